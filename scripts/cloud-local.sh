#!/usr/bin/env bash
# `make cloud-local`: Daywatch as on AWS, on an emulator on this host: builds the functions, starts
# the emulator, deploys infra/template.yaml, starts an agent against it. Both stay in the background
# until `make cloud-local-down`; what they keep is there again at the next start.
#
#   EMULATOR   ministack (default), localstack (Docker and a token), or the URL of one that runs
#   PORT       4566; the emulator's on 127.0.0.1
#   STACK      daywatch
#   CLOUD_DATA ./daywatch-cloud: state, logs, keys, the agent's configuration
#   PAGER_URL  where the pager topic delivers (http:// is taken here), MAIL an address
#   RIGHTS=checked  ministack asks each function's role before it does what the function wants. It
#              has no TLS, so the template's TLS-only statements are turned round for it
#   AGENT=no   starts no agent; PROFILE=release builds the functions as for AWS
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh
# shellcheck source=scripts/cloud-stack.sh
. scripts/cloud-stack.sh

# How long the emulator and the agent's first sample may take.
readonly READY_MS=60000 FIRST_SAMPLE_MS=120000

EMULATOR=${EMULATOR:-ministack} STACK=${STACK:-daywatch} PROFILE=${PROFILE:-dev}
port=${PORT:-4566}
data=${CLOUD_DATA:-daywatch-cloud}
check_stack_name
[[ $port =~ ^[0-9]+$ ]] || fail "PORT=$port is no port"

# An emulator takes any credentials; real ones are not shown to it.
unset AWS_PROFILE AWS_SESSION_TOKEN
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1

mkdir -p "$data/log"
data=$(cd "$data" && pwd)
chmod 700 "$data"

admin_file() { printf '%s' "$data/config/daywatch/stacks/$AWS_REGION-$STACK.key"; }

# alive FILE PROGRAM: whether the process whose number is in FILE runs, and is PROGRAM: numbers are
# given again.
alive() { [ -s "$1" ] && grep -qz -- "$2" "/proc/$(cat "$1")/cmdline" 2>/dev/null; }

# start NAME COMMAND…: in a session of its own, so that it outlives this script and its terminal.
start() {
  local log=$data/log/$1.log
  [ ! -e "$log" ] || mv -f "$log" "$log.before"
  setsid "${@:2}" </dev/null >"$log" 2>&1 &
  printf '%s\n' $! >"$data/$1.pid"
}

ended() { fail "The $1 has ended by itself. The end of its log, $data/log/$1.log:
$(tail -n 20 "$data/log/$1.log")"; }

emulator_runs() { alive "$data/emulator.pid" localstack/emulator.py; }

check_ministack() {
  address=127.0.0.1:$port
  if emulator_runs; then
    [ "$(cat "$data/address" 2>/dev/null)" = "$address" ] ||
      fail "An emulator of $data runs at $(cat "$data/address"); stop it with: make cloud-local-down"
  elif port_taken tcp "$port"; then
    fail "Port $port is taken$(port_owner tcp "$port"). Another one: make cloud-local PORT=$((port + 1))"
  fi
}

start_ministack() {
  export AWS_ENDPOINT_URL=http://$address
  if emulator_runs; then
    echo "The emulator runs already (process $(cat "$data/emulator.pid"))"
    return
  fi
  mkdir -p "$data/emulator/tmp"
  start emulator env AUTH="$([ "${RIGHTS:-}" = checked ] && echo true || echo false)" GATEWAY_PORT="$port" TMPDIR="$data/emulator/tmp" \
    PERSIST_STATE=1 STATE_DIR="$data/emulator/state" S3_PERSIST=1 S3_DATA_DIR="$data/emulator/s3" \
    "$tools/python" localstack/emulator.py
  printf '%s\n' "$address" >"$data/address"
  wait_ready "$AWS_ENDPOINT_URL/_ministack/health" emulator
}

# wait_ready URL [NAME]: until it answers.
wait_ready() {
  local deadline=$(($(now_ms) + READY_MS))
  until python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)' "$1" 2>/dev/null; do
    [ -z "${2:-}" ] || kill -0 "$(cat "$data/$2.pid")" 2>/dev/null || ended "$2"
    [ "$(now_ms)" -lt "$deadline" ] || fail "$1 does not answer within $((READY_MS / 1000)) s"
    sleep 0.1
  done
}

check_localstack() {
  has docker || fail "EMULATOR=localstack needs Docker; EMULATOR=ministack (the default) does not"
  [ -n "${LOCALSTACK_AUTH_TOKEN:-}" ] || fail "EMULATOR=localstack needs LOCALSTACK_AUTH_TOKEN, from LocalStack's account page"
  [ "$port" = 4566 ] || fail "LocalStack listens on 4566"
}

start_localstack() {
  docker compose --file localstack/compose.yaml up --detach --wait
  address=127.0.0.1:4566
}

case $EMULATOR in
  ministack) check_ministack ;;
  localstack) check_localstack ;;
  http://*) address=${EMULATOR#http://} address=${address%/} ;;
  *) fail "EMULATOR=$EMULATOR is neither ministack nor localstack nor http://HOST:PORT" ;;
esac

started_ms=$(now_ms)
tools=$(scripts/cloud-tools.sh)
case $(uname -m) in aarch64 | arm64) arch=arm64 ;; *) arch=x86_64 ;; esac
built=$(mkdir -p "$(target_folder)/debug" && cd "$(target_folder)/debug" && pwd)
zips=${ZIPS:-$PWD/target/lambda} operator=${DAYWATCH_BIN:-$built/daywatch} agent=${DAYWATCH_AGENT_BIN:-$built/daywatch-agent}
if [ -z "${ZIPS:-}" ] && [ "$PROFILE" = dev ]; then
  # All at once: AWS's libraries are built once for the functions and for the operator's binary.
  packages=(-p daywatch -p daywatch-agent -p ingest -p ws-connect -p aggregate -p evaluate-alerts -p broadcast -p query)
  [ -x "$built/query" ] || echo "Building Daywatch with AWS's libraries: some minutes on two cores, the first time …"
  scripts/page.sh
  cargo build --locked "${packages[@]}" --features "$(cloud_features)" --bins
  scripts/lambdas.sh --profile dev --binaries "$built"
else
  [ -n "${ZIPS:-}" ] || scripts/lambdas.sh --arch "$arch"
  if [ -z "${DAYWATCH_BIN:-}" ] || [ -z "${DAYWATCH_AGENT_BIN:-}" ]; then
    cargo build --locked -p daywatch -p daywatch-agent --features daywatch/aws
  fi
fi
built_ms=$(now_ms)

case $EMULATOR in
  ministack) start_ministack ;;
  localstack) start_localstack ;;
esac
export AWS_ENDPOINT_URL=http://$address
printf '%s\n' "$address" >"$data/address"
printf '%s\n' "$STACK" >"$data/stack"
up_ms=$(now_ms)

parameters=(Architecture="$arch")
# ministack never asks a subscription of the template to confirm itself, and so never serves it: it is
# made by hand below.
[ -z "${PAGER_URL:-}" ] || [ "$EMULATOR" = ministack ] || parameters+=(PagerUrl="$PAGER_URL")
[ -z "${MAIL:-}" ] || parameters+=(MailAddress="$MAIL")
[ -z "${SHARDS:-}" ] || parameters+=(ShardCount="$SHARDS")
options=()
[ "${RIGHTS:-}" != checked ] || options=(--plain-http)
stack deploy "$STACK" --zips "$zips" "${options[@]}" "${parameters[@]/#/--parameter=}"
read_outputs || fail "The stack is not there"
if [ -n "${PAGER_URL:-}" ] && [ "$EMULATOR" = ministack ] &&
  ! "$tools/aws" sns list-subscriptions-by-topic --topic-arn "${out[PagerTopicArn]}" --output text | grep -qF -- "$PAGER_URL"; then
  "$tools/aws" sns subscribe --topic-arn "${out[PagerTopicArn]}" --protocol "${PAGER_URL%%:*}" --notification-endpoint "$PAGER_URL" >/dev/null
fi
deployed_ms=$(now_ms)

# This stack's admin key belongs to the emulator's folder, not to the user's account.
export XDG_CONFIG_HOME=$data/config
wait_for_answer
for kind in agent read; do
  # Those of an emulator whose state was removed are not known any more.
  if ! [ "$data/$kind.key" -nt "$(admin_file)" ]; then new_key "$kind" "cloud-local-$kind" "$data/$kind.key"; fi
done

if [ ! -e "$data/agent.toml" ]; then
  cat >"$data/agent.toml" <<TOML
# The agent that \`make cloud-local\` starts. Written once; it is yours from now on. Paths are relative
# to this file; the address is passed on the command line.
url = "${out[ApiUrl]}"
key_file = "agent.key"
name = "$(uname -n)"
data_dir = "agent"

[host]
interval = "10s"
$(for check in disk:60 load:30 memory:30 processes:60 time:60 buffer:30; do
    printf '\n[[check]]\nname = "%s"\nbuiltin = "%s"\ninterval = "%ss"\n' "${check%:*}" "${check%:*}" "${check#*:}"
    # A build is no reason to wake anybody; three minutes of load are.
    [ "$check" != load:30 ] || echo "attempts = 6"
  done)

# A port of the system's choice would be of no use to a sender; name one to take Graphite lines.
[graphite]
listen = ""
TOML
fi

seen=false
if [ "${AGENT:-yes}" = yes ]; then
  since=$(date +%s)
  if alive "$data/agent.pid" daywatch-agent; then
    echo "The agent runs already (process $(cat "$data/agent.pid"))"
  else
    start agent "$agent" --config "$data/agent.toml" --url "${out[ApiUrl]}"
  fi
  newest() { "$operator" query --url "${out[ApiUrl]}" --key-file "$data/read.key" "count(timestamp(node_load1{job=\"node\"}) >= $since)" 2>&1; }
  deadline=$(($(now_ms) + FIRST_SAMPLE_MS)) answer=''
  until $seen || [ "$(now_ms)" -gt "$deadline" ]; do
    kill -0 "$(cat "$data/agent.pid")" 2>/dev/null || ended agent
    if answer=$(newest) && [ -n "$answer" ]; then seen=true; else sleep 0.2; fi
  done
fi
ready_ms=$(now_ms)

echo
echo "Daywatch is up on $EMULATOR: $(seconds $((built_ms - started_ms))) s to build, $(seconds $((up_ms - built_ms))) s to start the emulator, $(seconds $((deployed_ms - up_ms))) s to deploy, $(seconds $((ready_ms - deployed_ms))) s to the first sample."
[ "${AGENT:-yes}" != yes ] || $seen ||
  printf 'But no sample of this host came within %d s; the last answer: %s. The end of %s:\n%s\n' \
    $((FIRST_SAMPLE_MS / 1000)) "${answer:-nothing}" "$data/log/agent.log" "$(tail -n 10 "$data/log/agent.log")"
echo
echo "  page         $(login_link "$(cat "$data/read.key")")"
echo "  API          ${out[ApiUrl]}"
echo "  websocket    ${out[WebsocketUrl]}"
echo "  pager topic  ${out[PagerTopicArn]}"
echo "  mail topic   ${out[MailTopicArn]}"
echo "  keys, logs   $data"
echo "  AWS's tools  AWS_ENDPOINT_URL=$AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 $tools/aws …"
echo
echo "make cloud-local-down stops both."
[ "${AGENT:-yes}" != yes ] || $seen
