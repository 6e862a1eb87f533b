#!/usr/bin/env bash
# The tests that gain from running long: random lives of the agent's buffer and the embedded store,
# kill -9 of agent and server. DAYWATCH_SOAK says how many (1,000). Optimised, so that more of them
# fit into the time.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

scripts/doctor.sh --tools
export DAYWATCH_SOAK=${DAYWATCH_SOAK:-1000}
# What the tests of several processes start.
cargo build --locked --release -p daywatch -p daywatch-agent
# Schedules of the functions behind a stream that is split, repeated and cut.
cargo run --locked --release -p tests --example simulate -- --seeds 10000 --threads 2
exec cargo test --locked --release --workspace --no-fail-fast -- --nocapture
