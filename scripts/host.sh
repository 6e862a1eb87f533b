# shellcheck shell=bash
# What the other scripts ask about this host: versions, ports, folders. Sourced, never run.

# The binaries of `make up` are built with this profile of cargo's.
# shellcheck disable=SC2034 # used by those who source this
readonly UP_PROFILE=up

# Where cargo puts what it builds.
target_folder() { printf '%s' "${CARGO_TARGET_DIR:-target}"; }

# What makes the functions' binaries out of the workspace, and a daywatch that knows stacks.
cloud_features() {
  local function
  printf 'daywatch/aws,'
  for function in ingest ws-connect aggregate evaluate-alerts broadcast query; do printf '%s/main,' "$function"; done
}

# Whether a program is there.
has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" = 0 ]; }

# at_least HAVE WANT: whether version HAVE is WANT or newer.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The first thing in the input that looks like a version.
first_version() { grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

# port_taken tcp|udp PORT: whether something on this host listens there. Read from /proc, so that
# no tool has to be installed for it.
port_taken() {
  local hex listening
  printf -v hex '%04X' "$2"
  # 0A is LISTEN; a UDP socket has no such state, being bound is enough.
  if [ "$1" = tcp ]; then listening='0A'; else listening='07'; fi
  cat "/proc/net/$1" "/proc/net/${1}6" 2>/dev/null |
    awk -v hex="$hex" -v state="$listening" '{ split($2, at, ":") } at[2] == hex && $4 == state { found = 1 } END { exit !found }'
}

# port_owner tcp|udp PORT: " by NAME (process N)", where this user may know it.
port_owner() {
  has ss || return 0
  local flag=-Hlntp
  [ "$1" = udp ] && flag=-Hlnup
  ss "$flag" "sport = :$2" 2>/dev/null |
    sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/ by \1 (process \2)/p' | head -n 1
}

# A clock for messages, in milliseconds.
now_ms() { date +%s%3N; }

# seconds MILLISECONDS: for people.
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }
