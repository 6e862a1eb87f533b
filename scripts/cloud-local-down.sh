#!/usr/bin/env bash
# `make cloud-local-down`: stops the agent and the emulator that `make cloud-local` started. What they
# keep stays for the next start; WIPE=yes removes it.
#
#   CLOUD_DATA ./daywatch-cloud
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

# The emulator writes its state after it was asked to end.
readonly STOP_MS=30000
data=${CLOUD_DATA:-daywatch-cloud}
if [ ! -d "$data" ]; then
  echo "Nothing runs: there is no folder $data (CLOUD_DATA names another)"
  exit 0
fi

# stop NAME PROGRAM: only a process that is this program; numbers are given again.
stop() {
  local file=$data/$1.pid pid deadline
  [ -s "$file" ] || return 0
  pid=$(cat "$file")
  if grep -qz -- "$2" "/proc/$pid/cmdline" 2>/dev/null; then
    kill -TERM "$pid" 2>/dev/null || true
    deadline=$(($(now_ms) + STOP_MS))
    while kill -0 "$pid" 2>/dev/null; do
      if [ "$(now_ms)" -gt "$deadline" ]; then
        echo "The $1 (process $pid) did not end within $((STOP_MS / 1000)) s and is killed; what it had not written is lost" >&2
        kill -KILL "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.1
    done
    echo "Stopped the $1"
  fi
  rm -f "$file"
}

stop agent daywatch-agent
stop emulator localstack/emulator.py
if [ "${EMULATOR:-}" = localstack ]; then docker compose --file localstack/compose.yaml down; fi
if [ "${WIPE:-}" = yes ]; then
  rm -rf -- "$data/emulator" "$data/agent" "$data/log" "$data/config" "$data"/*.key "$data/agent.toml" "$data/address" "$data/stack"
  rmdir -- "$data" 2>/dev/null || echo "Kept $data: there is more in it than ours"
  echo "Removed what it kept"
else
  echo "Everything is kept in $data; WIPE=yes removes it"
fi
