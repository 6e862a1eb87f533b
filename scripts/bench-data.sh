#!/usr/bin/env bash
# What storing and asking costs, each beside its anchor in the same run: Debian's victoria-metrics and
# prometheus, where these are installed. `bench-data.sh [write] [rest] [query] [bill]` runs only these.
#
#   SAMPLES=5000000   samples of each round of remote write
#   HOSTS=20          hosts of 100 series whose day is put at rest
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

samples=${SAMPLES:-5000000}
hosts=${HOSTS:-20}
target=$(cd "$(target_folder)" && pwd)
only=("$@")
wanted() { [ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; }

echo "== building (profile $UP_PROFILE)"
cargo build --locked --quiet --profile "$UP_PROFILE" -p daywatch
cargo build --locked --quiet --profile "$UP_PROFILE" -p tests -p blocks -p promql --examples
export DAYWATCH_BIN=$target/$UP_PROFILE/daywatch
example() { "$target/$UP_PROFILE/examples/$1" "${@:2}"; }

if wanted write; then
  for series in 1000 100000; do
    echo "== remote write, $series series (tests/examples/remote_write.rs)"
    example remote_write --compare --series "$series" --samples "$samples"
  done
  echo "== our own batches (tests/examples/handlers.rs)"
  example handlers
fi
if wanted rest; then
  echo "== a day at rest (crates/blocks/examples/at_rest.rs)"
  example at_rest "$hosts"
fi
if wanted query; then
  echo "== evaluation alone (crates/promql/examples/speed.rs)"
  example speed
  echo "== queries over HTTP (tests/examples/query_speed.rs)"
  example query_speed
fi
if wanted bill; then
  echo "== the month's bill, counted (tests/examples/bill.rs)"
  example bill
fi
