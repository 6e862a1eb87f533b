#!/usr/bin/env bash
# The stage "cloud" of `make test`: packs the six functions as this host builds them and runs the
# tests of a deployed stack, each on an emulator of AWS of its own.
#
#   cloud-test.sh [NAME]…               only tests whose names hold one of these
#   cloud-test.sh --latency [ROUNDS]    no tests: how soon people know, measured on the emulator
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

DAYWATCH_CLOUD_TOOLS=$(scripts/cloud-tools.sh)
# The whole workspace at once, as the stage "Rust" builds it: each dependency is built once for all.
# AWS's alone take minutes.
scripts/page.sh
cargo build --locked --workspace --all-targets --features "$(cloud_features)"
built=$(cd "$(target_folder)/debug" && pwd)
DAYWATCH_CLOUD_ZIPS=$built/lambda
scripts/lambdas.sh --profile dev --binaries "$built" --out "$DAYWATCH_CLOUD_ZIPS"
export DAYWATCH_CLOUD_TOOLS DAYWATCH_CLOUD_ZIPS
export DAYWATCH_BIN=$built/daywatch DAYWATCH_AGENT_BIN=$built/daywatch-agent

if [ "${1:-}" = --latency ]; then exec "$built/examples/latency" "${2:-20}" cloud; fi
if cargo nextest --version >/dev/null 2>&1; then
  filter=''
  for name in "$@"; do filter+="${filter:+ or }test(/^cloud::.*$name/)"; done
  report=target/nextest/default/junit.xml code=0
  rm -f "$report"
  cargo nextest run --locked --workspace --all-targets --features "$(cloud_features)" --no-fail-fast --status-level fail --final-status-level slow \
    -E "package(tests) and (${filter:-test(/^cloud::/)})" || code=$?
  grep -ohE 'skipped: [^<]*' "$report" | sort -u || true
  exit "$code"
fi
cargo test --locked --workspace --all-targets --features "$(cloud_features)" -- "cloud::${1:-}" --nocapture
