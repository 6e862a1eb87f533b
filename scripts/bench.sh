#!/usr/bin/env bash
# The figures that the documents quote, measured on this machine, each beside its anchor where
# that is installed. With the rounds below it takes about 20 minutes, and what storing and asking
# cost (bench-data.sh, called at the end) as long again; nothing of it is a test.
#
#   SECONDS_AGENT=300   how long the agent (and node_exporter beside it) is watched
#   ROUNDS=100          rounds of each latency; the slow ways take some seconds each
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

seconds=${SECONDS_AGENT:-300}
rounds=${ROUNDS:-100}
target=$(target_folder)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/daywatch-bench.XXXXXX")
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

echo "== building (release; the agent with its own small profile)"
cargo build --locked --quiet --release -p daywatch -p tests --examples
cargo build --locked --quiet --release -p daywatch
cargo build --locked --quiet --profile agent -p daywatch-agent

echo "== latency: value → webhook, sample → page (tests/examples/latency.rs)"
DAYWATCH_BIN="$target/release/daywatch" DAYWATCH_AGENT_BIN="$target/agent/daywatch-agent" \
  cargo run --locked --quiet --release -p tests --example latency -- "$rounds"

echo "== storm: 1,000 idle and 100 sending agents lose their connections, and serve itself (tests/examples/storm.rs)"
DAYWATCH_BIN="$target/release/daywatch" cargo run --locked --quiet --release -p tests --example storm

echo "== agent: $seconds s, host metrics each 10 s, five checks each 30 s"
"$target/release/daywatch" serve --data "$scratch/data" --listen 127.0.0.1:0 2>"$scratch/serve.log" &
started+=($!)
serve=$!
until [ -s "$scratch/data/url" ] && curl -fsS "$(cat "$scratch/data/url")/-/healthy" >/dev/null 2>&1; do
  kill -0 "$serve" || { cat "$scratch/serve.log"; exit 1; }
  sleep 0.1
done
url=$(cat "$scratch/data/url")
"$target/release/daywatch" keys create --kind agent --data "$scratch/data" >"$scratch/agent.key"
"$target/release/daywatch" keys create --kind read --data "$scratch/data" >"$scratch/read.key"
chmod 600 "$scratch"/*.key
{
  printf 'url = "%s"\nkey_file = "%s"\nname = "bench"\ndata_dir = "%s"\n' "$url" "$scratch/agent.key" "$scratch/agent"
  printf '[graphite]\nlisten = "127.0.0.1:0"\n[statsd]\nlisten = ""\n'
  plugins=/usr/lib/nagios/plugins
  for number in 1 2 3 4 5; do
    if [ -x $plugins/check_procs ]; then
      command="[\"$plugins/check_procs\", \"-w\", \"100000\"]"
    else
      command='["/bin/true"]'
    fi
    printf '[[check]]\nname = "check-%s"\ncommand = %s\ninterval = "30s"\n' "$number" "$command"
  done
} >"$scratch/agent.toml"
"$target/agent/daywatch-agent" --config "$scratch/agent.toml" 2>"$scratch/agent.log" &
started+=($!)
agent=$!

exporter=
if command -v prometheus-node-exporter >/dev/null; then
  prometheus-node-exporter --web.listen-address=127.0.0.1:19100 >/dev/null 2>&1 &
  exporter=$!
  started+=("$exporter")
fi

# CPU seconds of a process, its ended children not counted.
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"; }
rss() { awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
scrapes=0
cpu_agent=$(cpu $agent)
cpu_exporter=0
[ -z "$exporter" ] || cpu_exporter=$(cpu "$exporter")
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
  sleep 10
  if [ -n "$exporter" ]; then
    curl -fsS http://127.0.0.1:19100/metrics >"$scratch/scrape"
    scrapes=$((scrapes + 1))
  fi
done
generated=$(curl -fsS -u "x:$(cat "$scratch/read.key")" "$url/api/v1/sources" |
  sed -n 's/.*"name":"bench".*"generated":\([0-9]*\).*/\1/p')
used=$(awk -v a="$(cpu $agent)" -v b="$cpu_agent" 'BEGIN { print a - b }')
awk -v rss="$(rss $agent)" -v cpu="$used" -v n="${generated:-0}" -v bytes="$(stat -c %s "$target/agent/daywatch-agent")" 'BEGIN {
  printf "daywatch-agent   RSS %s MiB   CPU %.2f s for %d samples = %.5f s per 1,000   binary %.2f MB\n",
    rss, cpu, n, (n ? cpu * 1000 / n : 0), bytes / 1e6 }'
if [ -n "$exporter" ]; then
  used=$(awk -v a="$(cpu "$exporter")" -v b="$cpu_exporter" 'BEGIN { print a - b }')
  samples=$(($(grep -vc '^#' "$scratch/scrape") * scrapes))
  awk -v rss="$(rss "$exporter")" -v cpu="$used" -v n="$samples" -v bytes="$(stat -Lc %s "$(command -v prometheus-node-exporter)")" 'BEGIN {
    printf "node_exporter    RSS %s MiB   CPU %.2f s for %d samples = %.5f s per 1,000   binary %.2f MB (no checks, no buffer)\n",
      rss, cpu, n, (n ? cpu * 1000 / n : 0), bytes / 1e6 }'
else
  echo "node_exporter is not installed (Debian: prometheus-node-exporter): no anchor beside it"
fi
printf 'daywatch serve   RSS %s MiB\n' "$(rss $serve)"

scripts/bench-data.sh
