#!/usr/bin/env bash
# Builds the server and the agent that `make up` runs: optimised, and nothing of AWS in them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

[ -x "$(target_folder)/$UP_PROFILE/daywatch" ] ||
  echo "Building Daywatch for the first time: some minutes on two cores …"
exec cargo build --locked --profile "$UP_PROFILE" -p daywatch -p daywatch-agent
