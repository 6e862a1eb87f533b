#!/usr/bin/env bash
# The stage "cloud" of `make test`: packs the six functions as this host builds them and runs the
# tests of a deployed stack, each on an emulator of AWS of its own.
#
#   cloud-test.sh [NAME]…     only tests whose names hold one of these
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

DAYWATCH_CLOUD_TOOLS=$(scripts/cloud-tools.sh)
mkdir -p "$(target_folder)/lambda-dev"
DAYWATCH_CLOUD_ZIPS=$(cd "$(target_folder)/lambda-dev" && pwd)
scripts/lambdas.sh --profile dev --out "$DAYWATCH_CLOUD_ZIPS"
export DAYWATCH_CLOUD_TOOLS DAYWATCH_CLOUD_ZIPS

programs=$(cd "$(target_folder)/debug" && pwd)
export DAYWATCH_BIN=${DAYWATCH_BIN:-$programs/daywatch} DAYWATCH_AGENT_BIN=${DAYWATCH_AGENT_BIN:-$programs/daywatch-agent}
cargo build --locked -p daywatch -p daywatch-agent

if cargo nextest --version >/dev/null 2>&1; then
  # The whole workspace, so that what the stage "Rust" has built is used again.
  filter=''
  for name in "$@"; do filter+="${filter:+ or }test(/^cloud::.*$name/)"; done
  report=target/nextest/default/junit.xml code=0
  rm -f "$report"
  cargo nextest run --locked --workspace --no-fail-fast --status-level fail --final-status-level slow \
    -E "package(tests) and (${filter:-test(/^cloud::/)})" || code=$?
  grep -ohE 'skipped: [^<]*' "$report" | sort -u || true
  exit "$code"
fi
cargo test --locked -p tests --test all -- "cloud::${1:-}" --nocapture
