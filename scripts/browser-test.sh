#!/usr/bin/env bash
# The page's browser tests (dashboard/browser) against a real server and a real agent on this
# host, in a folder and on a port of their own. Passes DAYWATCH_URL, DAYWATCH_KEY (read) and
# DAYWATCH_ADMIN_KEY, with which a test raises its alert.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

readonly READY_MS=30000

if ! compgen -G 'dashboard/browser/*.test.mjs' >/dev/null; then
  echo "skipped: there are no browser tests in dashboard/browser"
  exit 0
fi
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
export CHROMIUM
if [ ! -x "$CHROMIUM" ]; then
  echo "skipped: no Chromium here (Debian: apt-get install chromium, or make deps-test)"
  exit 0
fi
scripts/page.sh
if [ -x "${DAYWATCH_BIN:-}" ] && [ -x "${DAYWATCH_AGENT_BIN:-}" ]; then
  server_program=$DAYWATCH_BIN agent_program=$DAYWATCH_AGENT_BIN
else
  cargo build --locked -p daywatch -p daywatch-agent
  programs=$(cd "$(target_folder)/debug" && pwd)
  server_program=$programs/daywatch agent_program=$programs/daywatch-agent
fi

data=$(mktemp -d "${TMPDIR:-/tmp}/daywatch-browser.XXXXXX")
server='' agent=''
end() {
  local code=$?
  [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait 2>/dev/null || true
  if [ "$code" != 0 ]; then
    printf '\nThe end of the server'\''s log:\n' && tail -n 20 "$data/server.log" || true
    printf '\nThe end of the agent'\''s log:\n' && tail -n 20 "$data/agent.log" || true
  fi
  rm -rf "$data"
  exit "$code"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

"$server_program" serve --data "$data/store" --listen 127.0.0.1:0 </dev/null >"$data/server.log" 2>&1 &
server=$!
deadline=$(($(now_ms) + READY_MS))
until [ -s "$data/store/url" ]; do
  kill -0 "$server" 2>/dev/null && [ "$(now_ms)" -lt "$deadline" ] || { echo "the server did not start" && exit 1; }
  sleep 0.05
done
url=$(cat "$data/store/url")
"$server_program" keys create --data "$data/store" --kind agent --name browser-test >"$data/agent.key"
read_key=$("$server_program" keys create --data "$data/store" --kind read --name browser-test)
cat >"$data/agent.toml" <<TOML
url = "$url"
key_file = "agent.key"
name = "browser-host"
data_dir = "agent"
[graphite]
listen = ""
[host]
interval = "1s"
[[check]]
name = "load"
builtin = "load"
interval = "2s"
[[check]]
name = "disk"
builtin = "disk"
interval = "2s"
TOML
"$agent_program" --config "$data/agent.toml" </dev/null >"$data/agent.log" 2>&1 &
agent=$!
deadline=$(($(now_ms) + READY_MS))
until [ -n "$("$server_program" query --data "$data/store" 'node_load1{source="browser-host"}' 2>/dev/null)" ]; do
  kill -0 "$agent" 2>/dev/null && [ "$(now_ms)" -lt "$deadline" ] || { echo "no sample of the agent came" && exit 1; }
  sleep 0.1
done

cd dashboard
DAYWATCH_URL=$url DAYWATCH_KEY=$read_key DAYWATCH_ADMIN_KEY=$(cat "$data/store/admin.key") \
  DAYWATCH_SOURCE=browser-host npm run --silent browser
