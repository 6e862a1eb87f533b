#!/usr/bin/env bash
# Says what is missing on this machine to build, run and test Daywatch, and how to get it.
# Exit code 1 where something is missing without which nothing works.
#
#   doctor.sh             everything, with the ports of `make up` (LISTEN) and what tests need
#   doctor.sh --tools     only what is needed to build; prints nothing where all is well
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

readonly RUST_MIN=1.95 NODE_MIN=20.19 PYTHON_MIN=3.11
readonly ROOM_MIN_MIB=3072

tools_only=false
[ "${1:-}" = --tools ] && tools_only=true
blocked=0

fine() { $tools_only || printf '  ok       %s\n' "$*"; }
note() { $tools_only || printf '  note     %s\n' "$*"; }
# missing WHAT HOW: it blocks.
missing() {
  blocked=$((blocked + 1))
  printf '  MISSING  %s\n           %s\n' "$1" "$2"
}

as_root() { if is_root; then printf '%s' "$*"; else printf 'sudo %s' "$*"; fi; }
debian() { as_root "apt-get install -y $*"; }

check_rust() {
  local get='curl --proto "=https" -sSf https://sh.rustup.rs | sh   (Debian 12 has an older one; https://rustup.rs)'
  if ! has cargo && [ -x "${HOME:-}/.cargo/bin/cargo" ]; then
    missing "Rust in the PATH; it is installed in ~/.cargo/bin" '. ~/.cargo/env'
    return
  fi
  if ! has cargo || ! has rustc; then
    missing "Rust $RUST_MIN or newer" "$get"
    return
  fi
  local version
  version=$(rustc --version 2>/dev/null | first_version || true)
  if [ -z "$version" ]; then
    missing "a Rust toolchain that runs (\`rustc --version\` fails)" "rustup default stable"
  elif at_least "$version" "$RUST_MIN"; then
    fine "Rust $version"
  else
    missing "Rust $RUST_MIN or newer; this is $version" "rustup update stable   (or: $get)"
  fi
}

check_cc() {
  if has cc; then
    fine "C compiler ($(cc --version 2>/dev/null | head -n 1))"
  else
    missing "a C compiler (for zstd and ring)" "$(debian build-essential)"
  fi
}

check_make() {
  if has make; then fine "GNU Make $(make --version | first_version)"; else missing "GNU Make" "$(debian make)"; fi
}

check_node() {
  local get='https://nodejs.org/en/download, or https://github.com/nodesource/distributions for Debian (Debian 12 has Node 18)'
  if ! has node; then
    missing "Node $NODE_MIN or newer, with npm (for the page)" "$get"
    return
  fi
  local version
  version=$(node --version | first_version)
  if at_least "$version" "$NODE_MIN"; then fine "Node $version"; else missing "Node $NODE_MIN or newer; this is $version" "$get"; fi
  if has npm; then fine "npm $(npm --version)"; else missing npm "it comes with Node: $get; Debian's own Node: $(debian npm)"; fi
}

check_room() {
  local folder free
  folder=$(target_folder)
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
  if [ "$free" -ge "$ROOM_MIN_MIB" ]; then
    fine "$((free / 1024)) GiB free for the build"
  else
    note "only $free MiB are free in $folder; a first build takes about $((ROOM_MIN_MIB / 1024)) GiB (CARGO_TARGET_DIR names another place)"
  fi
}

check_ports() {
  local listen=${LISTEN:-127.0.0.1:9595} port data=${DATA:-daywatch-data}
  port=${listen##*:}
  case $port in
    '' | *[!0-9]*)
      missing "an address in LISTEN: $listen is none" "make up LISTEN=127.0.0.1:9595"
      return
      ;;
  esac
  if [ "$port" != 0 ] && port_taken tcp "$port"; then
    if [ -e "$data/lock" ] && has flock && ! flock -n "$data/lock" true; then
      fine "port $port: Daywatch is running there, for this data folder (process $(cat "$data/lock"))"
    else
      missing "TCP port $port; it is taken$(port_owner tcp "$port")" "make up LISTEN=127.0.0.1:$((port + 1))"
    fi
  else
    fine "port $port is free (page and API)"
  fi
  agent_port tcp 2003 'Graphite lines'
  agent_port udp 2003 'Graphite lines'
  agent_port udp 8125 'StatsD, where the agent is told to listen'
}

agent_port() {
  if port_taken "$1" "$2"; then
    note "${1^^} port $2 is taken$(port_owner "$1" "$2"): left out until it is free ($3)"
  else
    fine "${1^^} port $2 is free ($3)"
  fi
}

check_for_tests() {
  local absent=() pair
  for pair in chromium:chromium check_load:monitoring-plugins-basic collectd:collectd-core prometheus:prometheus \
    prometheus-node-exporter:prometheus-node-exporter amtool:prometheus-alertmanager; do
    PATH=$PATH:/usr/sbin:/usr/lib/nagios/plugins has "${pair%%:*}" || absent+=("${pair##*:}")
  done
  if [ ${#absent[@]} = 0 ]; then
    fine "for the tests: a browser, Nagios plugins, collectd, Prometheus, node_exporter, amtool"
  else
    note "for the tests, which else say what they skipped: $(debian "${absent[*]}")   (or: make deps-test)"
  fi
  has cargo-nextest || note "cargo-nextest is not there; \`make test\` uses cargo test instead, which takes longer"
}

check_python() {
  local version
  version=$(python3 --version 2>/dev/null | first_version || true)
  if [ -n "$version" ] && at_least "$version" "$PYTHON_MIN"; then
    fine "Python $version (the tests run other people's clients with it)"
  else
    note "Python $PYTHON_MIN is not there; some tests will say that they were skipped"
  fi
}

$tools_only || echo "What Daywatch needs on this machine:"
check_rust
check_cc
check_make
check_node
check_room
if ! $tools_only; then
  check_ports
  check_for_tests
  check_python
fi
if [ "$blocked" != 0 ]; then
  echo "$blocked missing: see above for how to get them, then try again." >&2
  exit 1
fi
$tools_only || echo "Nothing is missing."
