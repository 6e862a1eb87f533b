#!/usr/bin/env bash
# Every decoder on damaged input, without a panic: DAYWATCH_FUZZ inputs each (1,000,000), of which
# DAYWATCH_FUZZ_SEED (1) says which. With debug assertions and overflow checks, on stable Rust; names of
# decoders as arguments run these alone.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

scripts/doctor.sh --tools
exec cargo run --locked --quiet -p tests --example fuzz -- \
  --runs "${DAYWATCH_FUZZ:-1000000}" --seed "${DAYWATCH_FUZZ_SEED:-1}" "$@"
