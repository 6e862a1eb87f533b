#!/usr/bin/env bash
# Trips and clears the demo alert of the Daywatch that `make up` runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

program=$(target_folder)/$UP_PROFILE/daywatch
if [ ! -x "$program" ]; then
  echo "Daywatch is not built yet: run \`make up\`, then this in another terminal." >&2
  exit 1
fi
exec "$program" trip --data "${DATA:-daywatch-data}"
