#!/usr/bin/env bash
# `make up`: builds what is out of date, runs the server and one agent on this host, says where
# the page is, and stops both when asked to (Ctrl-C, or SIGTERM).
#
#   LISTEN   address of page and API (127.0.0.1:9595)
#   DATA     everything that is kept (./daywatch-data); made on the first start
#   WEBHOOK  URL that alerts are sent to
#
# Two files in DATA are written once and are the user's from then on: agent.toml and its key.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

# How long the server and the agent's first sample may take, and how long each may take to stop.
readonly READY_MS=30000 FIRST_SAMPLE_MS=60000 STOP_MS=20000

listen=${LISTEN:-127.0.0.1:9595}
data=${DATA:-daywatch-data}
webhook=${WEBHOOK:-}
server='' agent=''

fail() {
  printf '\n%s\n' "$*" >&2
  exit 1
}

# --- before anything is built ------------------------------------------------------------------

check_words() {
  [[ $listen =~ ^[^[:space:]]+:[0-9]+$ ]] || fail "LISTEN=$listen is no address; write LISTEN=127.0.0.1:9595"
  [ -z "$webhook" ] || [[ $webhook =~ ^https?://[^[:space:]\'\"]+$ ]] ||
    fail "WEBHOOK=$webhook is no URL; write WEBHOOK=https://host/path"
}

# The folder's lock is held by a running server; ours is held while this script lives, so that two
# of them cannot build and start at the same time.
refuse_a_second() {
  exec 9>>"$data/up.lock"
  if ! flock -n 9 || { [ -e "$data/lock" ] && ! flock -n "$data/lock" true; }; then
    echo "Daywatch is already running with the data folder $data" >&2
    if [ -s "$data/url" ]; then
      echo "  page   $(login_link "$(cat "$data/url")")" >&2
      echo "  stop   Ctrl-C in its terminal, or: kill $(cat "$data/lock")" >&2
    else
      echo "  and is just starting or stopping." >&2
    fi
    echo "For another one beside it: make up DATA=other-folder LISTEN=127.0.0.1:0" >&2
    exit 1
  fi
}

login_link() { printf '%s/#key=%s' "${1%/}" "$(cat "$data/read.key" 2>/dev/null)"; }

# --- processes -----------------------------------------------------------------------------------

# start NAME COMMAND…: in a session of its own, so that Ctrl-C reaches this script alone, which
# then stops the agent before the server. Should this script be killed, they are asked to stop.
start() {
  local log=$data/log/$1.log
  shift
  [ ! -e "$log" ] || mv -f "$log" "$log.before"
  setsid setpriv --pdeathsig TERM -- "$@" </dev/null >"$log" 2>&1 9>&- &
}

running() { kill -0 "$1" 2>/dev/null; }

# stop PID: asks, waits, and says so where it has to be killed.
stop() {
  [ -n "$1" ] && running "$1" || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  local deadline=$(($(now_ms) + STOP_MS))
  while running "$1"; do
    if [ "$(now_ms)" -gt "$deadline" ]; then
      echo "process $1 did not end within $((STOP_MS / 1000)) s and is killed" >&2
      kill -KILL "$1" 2>/dev/null || true
    fi
    sleep 0.05
  done
  wait "$1" 2>/dev/null || true
}

stop_both() {
  trap '' INT TERM HUP
  stop "$agent"
  stop "$server"
}

# shellcheck disable=SC2329 # by the trap below
on_signal() {
  printf '\nStopping …\n'
  stop_both
  echo "Stopped. Everything is kept in $data; \`make up\` goes on from there."
  exit 0
}

# ended NAME PID [STATUS]: a process that should run has ended by itself.
ended() {
  local code=${3:-}
  [ -n "$code" ] || { wait "$2" && code=0; } || code=$?
  stop_both
  printf '\nThe %s has ended by itself (status %s). The end of its log, %s:\n' "$1" "$code" "$data/log/$1.log" >&2
  tail -n 20 "$data/log/$1.log" >&2
  exit 1
}

# --- keys and files ------------------------------------------------------------------------------

# key KIND FILE: makes a key where there is none yet.
key() {
  [ -s "$2" ] && return 0
  local text
  text=$("$programs/daywatch" keys create --data "$data" --kind "$1" --name "make-up-$1")
  (umask 077 && printf '%s\n' "$text" >"$2.new" && mv "$2.new" "$2")
}

write_agent_config() {
  [ -e "$data/agent.toml" ] && return 0
  cat >"$data/agent.toml.new" <<TOML
# The agent that \`make up\` starts on this host. Written once; it is yours from now on: edit it and
# start \`make up\` again. Paths are relative to this file. docs/first-day.md has examples.
url = "http://127.0.0.1:9595"       # \`make up\` passes the address that it listens on
key_file = "agent.key"
name = "$host_name"
data_dir = "agent"

[host]
interval = "5s"

# These need no plugin. A plugin is run with: command = ["/usr/lib/nagios/plugins/check_load", "-w", "5"]
[[check]]
name = "disk"
builtin = "disk"
warn = "80"
crit = "90"
interval = "30s"

[[check]]
name = "load"
builtin = "load"
interval = "30s"
attempts = 6             # a build or a nightly job is no reason to wake anybody; three minutes of it are

[[check]]
name = "memory"
builtin = "memory"
interval = "10s"

[[check]]
name = "processes"
builtin = "processes"
interval = "30s"

[[check]]
name = "time"
builtin = "time"
interval = "60s"

[[check]]
name = "buffer"
builtin = "buffer"
interval = "30s"

# Lines such as \`shop.orders 5 -1\` become samples, by TCP and UDP. listen = "" turns it off.
[graphite]
listen = "127.0.0.1:2003"
TOML
  mv "$data/agent.toml.new" "$data/agent.toml"
}

write_routing() {
  cat >"$data/alertmanager.yml" <<YAML
# Written by \`make up WEBHOOK=…\`. Every alert goes to this webhook, at once.
route:
  receiver: webhook
  group_wait: 0s
receivers:
- name: webhook
  webhook_configs:
  - url: '$webhook'
YAML
}

# The port of the agent's Graphite listener: 2003 unless its file says otherwise, nothing where it
# is off.
graphite_port() {
  awk '
    BEGIN { port = 2003 }
    /^[[:space:]]*\[/ { inside = ($1 == "[graphite]") }
    inside && $1 == "listen" { port = match($0, /:[0-9]+"/) ? substr($0, RSTART + 1, RLENGTH - 2) : "" }
    END { print port }
  ' "$data/agent.toml"
}

# --- what is printed ----------------------------------------------------------------------------

# The agent's listeners, looked at before it starts: a port that is taken is somebody else's.
look_at_listeners() {
  listeners=''
  local port transport
  port=$(graphite_port)
  [ -n "$port" ] || return 0
  for transport in tcp udp; do
    if port_taken "$transport" "$port"; then
      listeners+="  note         ${transport^^} port $port is taken$(port_owner "$transport" "$port"): no Graphite lines there until it is free"$'\n'
    else
      listeners+="  Graphite     lines to 127.0.0.1:$port, ${transport^^}"$'\n'
    fi
  done
}

summary() {
  local port=${url##*:} loopback=false bound=${listen%:*}
  case $bound in 127.* | localhost | '[::1]') loopback=true ;; esac
  echo
  echo "  page         $(login_link "$link_url")"
  if $loopback; then
    echo "  from afar    ssh -L $port:127.0.0.1:$port $(id -un)@$host_name     then open the same link"
  else
    echo "  note         this address is open to the network without encryption, keys included;"
    echo "               better: LISTEN=127.0.0.1:$port and ssh -L $port:127.0.0.1:$port $(id -un)@$host_name"
  fi
  echo "  agent key    $data/agent.key     (the agent's file: $data/agent.toml)"
  echo "  data         $data     (logs: $data/log)"
  if [ -n "$webhook" ]; then
    echo "  alerts go to $webhook"
  else
    echo "  alerts go to nobody but the page, unless a receiver was stored before: make up WEBHOOK=https://…"
  fi
  printf '%s' "$listeners"
  echo
  echo "Try, in another terminal:  make trip$trip_words"
  echo "Ctrl-C stops both."
}

# --- the run -------------------------------------------------------------------------------------

check_words
mkdir -p "$data/log"
data=$(cd "$data" && pwd)
chmod 700 "$data"
host_name=$(uname -n)
programs=$(mkdir -p "$(target_folder)/$UP_PROFILE" && cd "$(target_folder)/$UP_PROFILE" && pwd)
refuse_a_second
started_ms=$(now_ms)

# Without the lock: what a build leaves running is not Daywatch.
scripts/doctor.sh 9>&-
scripts/page.sh 9>&-
scripts/build.sh 9>&-
built_ms=$(now_ms)

trap on_signal INT TERM HUP
# Whatever happens below, nothing is left running.
trap stop_both EXIT

options=(--data "$data" --listen "$listen")
if [ -n "$webhook" ]; then
  write_routing
  options+=(--alertmanager "$data/alertmanager.yml")
fi
case ${listen%:*} in
  0.0.0.0 | '[::]' | '') options+=(--external-url "http://$host_name:${listen##*:}") ;;
esac
rm -f "$data/url"
start server "$programs/daywatch" serve "${options[@]}"
server=$!
deadline=$(($(now_ms) + READY_MS))
until [ -s "$data/url" ]; do
  running "$server" || ended server "$server"
  [ "$(now_ms)" -lt "$deadline" ] || fail "The server is not ready after $((READY_MS / 1000)) s; its log: $data/log/server.log"
  sleep 0.05
done
url=$(cat "$data/url")
# Where it listens everywhere, the link names the host, and the agent stays on this one.
local_url=$url link_url=$url
case ${listen%:*} in
  0.0.0.0 | '[::]' | '')
    local_url=http://127.0.0.1:${url##*:}
    link_url=http://$host_name:${url##*:}
    ;;
esac

key agent "$data/agent.key"
key read "$data/read.key"
write_agent_config
look_at_listeners
start agent "$programs/daywatch-agent" --config "$data/agent.toml" --url "$local_url"
agent=$!

# The first sample that this agent sent, read as the page would read it.
since=$(date +%s)
newest() {
  "$programs/daywatch" query --url "$local_url" --key-file "$data/read.key" \
    "count(timestamp(node_load1{job=\"node\"}) >= $since)" 2>&1
}
trip_words=
[ "$data" = "$PWD/daywatch-data" ] || trip_words=" DATA=$data"
deadline=$(($(now_ms) + FIRST_SAMPLE_MS))
seen=false
while ! $seen; do
  running "$server" || ended server "$server"
  running "$agent" || ended agent "$agent"
  answer=$(newest) || fail "The page's key is not accepted: $answer. Remove $data/read.key to get a new one."
  if [ -n "$answer" ]; then
    seen=true
  elif [ "$(now_ms)" -gt "$deadline" ]; then
    break
  else
    sleep 0.1
  fi
done
ready_ms=$(now_ms)
if $seen; then
  echo
  echo "Daywatch is up: $(seconds $((built_ms - started_ms))) s to check and build, $(seconds $((ready_ms - built_ms))) s to this host's first sample on the page."
else
  echo
  echo "Daywatch is up, but no sample of this host came within $((FIRST_SAMPLE_MS / 1000)) s. The end of $data/log/agent.log:"
  tail -n 10 "$data/log/agent.log"
fi
summary

# Until one of them ends, or a signal comes.
code=0
wait -n -p first "$server" "$agent" || code=$?
if [ "${first:-}" = "$agent" ]; then ended agent "$agent" "$code"; fi
ended server "$server" "$code"
