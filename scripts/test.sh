#!/usr/bin/env bash
# Every test: Rust (units, laws, end to end), a stack deployed to an emulator of AWS, the page, and
# the page in a browser against a real server and agent. All of them run, whatever fails; the
# runners' own summaries come last, and the exit code says whether all passed.
#
#   test.sh [rust] [cloud] [page] [browser]     only these
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/host.sh
. scripts/host.sh

scripts/doctor.sh --tools || exit 1
logs=$(mktemp -d "${TMPDIR:-/tmp}/daywatch-test.XXXXXX")
trap 'rm -rf "$logs"' EXIT
failed=()
summaries=''

# stage NAME PATTERN COMMAND…: runs it, keeps the lines of its output that sum it up or say what
# was skipped.
stage() {
  local name=$1 pattern=$2 started code=0
  shift 2
  started=$(now_ms)
  printf '\n== %s\n' "$name"
  "$@" 2>&1 </dev/null | tee "$logs/out"
  code=${PIPESTATUS[0]}
  [ "$code" = 0 ] || failed+=("$name")
  summaries+="== $name: status $code, $(seconds $(($(now_ms) - started))) s"$'\n'
  # Without colours; a runner may print them even here.
  summaries+=$(sed 's/\x1b\[[0-9;]*m//g' "$logs/out" | grep -E "$pattern" | sort -u -s | tail -n 40)$'\n'
}

wanted() { [ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; }
only=("$@")

# Other people's senders and readers; without them their tests say that they were skipped.
if python=$(scripts/test-python.sh); then
  PATH=$(dirname "$python"):$PATH
  export PATH DAYWATCH_CLIENTS_PYTHON=$python
fi

# All that is run, with one choice of features: with several, AWS's libraries would be built several
# times.
features=$(cloud_features)
prepare() { scripts/page.sh && cargo build --locked --workspace --all-targets --features "$features"; }
# Else each of these tests would make sure by itself that they are built.
programs=$(mkdir -p "$(target_folder)/debug" && cd "$(target_folder)/debug" && pwd) || exit 1
export DAYWATCH_BIN=$programs/daywatch DAYWATCH_AGENT_BIN=$programs/daywatch-agent

rust() {
  if cargo nextest --version >/dev/null 2>&1; then
    local code=0 report
    # nextest keeps it in the workspace, wherever cargo builds.
    report=target/nextest/default/junit.xml
    rm -f "$report"
    cargo nextest run --locked --workspace --all-targets --features "$features" --no-fail-fast \
      --status-level fail --final-status-level fail -E 'not (package(tests) and test(/^cloud::/))' || code=$?
    # nextest does not show what a passing test printed; what was skipped is to be seen.
    grep -ohE 'skipped: [^<]*' "$report" | sort -u
    return "$code"
  else
    cargo test --locked --workspace --features "$features" --no-fail-fast --all-targets -- --nocapture --skip cloud::
  fi
}

documents() { cargo test --locked --workspace --features "$features" --no-fail-fast --doc; }

page() { scripts/page.sh --packages && cd dashboard && npm test; }

stage "build" '^error' prepare
if wanted rust; then
  stage "Rust" '^error|^ *Summary|^test result|^ *(FAIL|SIGABRT|TIMEOUT) |skipped: ' rust
  stage "Rust, examples in the documentation" '^test result|FAILED' documents
fi
wanted cloud && stage "A deployed stack" '^error|^ *Summary|^test result|^ *(FAIL|SIGABRT|TIMEOUT) |skipped: ' scripts/cloud-test.sh
wanted page && stage "Page" 'Test Files|Tests  |FAIL |skipped: ' page
wanted browser && stage "Page in a browser" '^# (tests|pass|fail|skipped)|^ℹ (tests|pass|fail|skipped)|^not ok|✖|skipped: ' scripts/browser-test.sh

printf '\n%s' "$summaries"
if [ ${#failed[@]} = 0 ]; then
  echo "All tests passed."
else
  echo "FAILED: ${failed[*]}"
  exit 1
fi
