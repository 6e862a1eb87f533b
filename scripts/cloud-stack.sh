# shellcheck shell=bash
# What the scripts about a deployed stack share. Sourced after host.sh, never run. The same on AWS
# and on an emulator: AWS_ENDPOINT_URL decides.

fail() {
  printf '\n%s\n' "$*" >&2
  exit 1
}

# The name decides which tables and buckets are ours, and stands in addresses of buckets.
check_stack_name() {
  [ -n "${STACK:-}" ] || fail "Which stack? Write STACK=daywatch"
  [[ $STACK =~ ^[A-Za-z][A-Za-z0-9-]{0,29}$ ]] ||
    fail "STACK=$STACK is no name: letters, digits and hyphens, a letter first, at most 30"
}

# REGION is what the commands here say; AWS's tools call it otherwise.
choose_region() {
  [ -z "${REGION:-}" ] || export AWS_REGION=$REGION AWS_DEFAULT_REGION=$REGION
  # boto3 reads only the older name.
  [ -z "${AWS_REGION:-}" ] || export AWS_DEFAULT_REGION=$AWS_REGION
}

# stack COMMAND…: infra/stack.py with the tools' Python.
tools=''
stack() {
  [ -n "$tools" ] || tools=$(scripts/cloud-tools.sh)
  "$tools/python" infra/stack.py "$@"
}

# The stack's outputs, each a variable: out[ApiUrl], …
declare -gA out
read_outputs() {
  local lines line
  lines=$(stack outputs "$STACK") || return 1
  out=()
  while IFS= read -r line; do out[${line%%=*}]=${line#*=}; done <<<"$lines"
  [ -n "${out[ApiUrl]:-}" ] || fail "$STACK has no output ApiUrl; is it a stack of Daywatch?"
}

# The operator's binary, with AWS in it. DAYWATCH_BIN names one that is built already.
build_operator() {
  operator=${DAYWATCH_BIN:-$(target_folder)/$UP_PROFILE/daywatch}
  [ -n "${DAYWATCH_BIN:-}" ] || cargo build --locked --profile "$UP_PROFILE" -p daywatch --features daywatch/aws >&2
  [ -x "$operator" ] || fail "$operator is no program"
}

# ask COMMAND…: the operator's binary, to the stack. It makes the first admin key of a stack with the
# caller's AWS credentials, and keeps it below $XDG_CONFIG_HOME/daywatch/stacks: whoever may write
# the stack's table owns it anyway.
ask() { "$operator" "$@" --stack "$STACK"; }

# new_key KIND NAME [FILE]: made by the admin key; into a file that only its owner reads.
new_key() {
  local text
  text=$(ask keys create --kind "$1" --name "$2") || fail "No key could be made for $STACK"
  if [ -n "${3:-}" ]; then
    mkdir -p "$(dirname "$3")"
    (umask 077 && printf '%s\n' "$text" >"$3.new" && mv "$3.new" "$3")
  else
    printf '%s\n' "$text"
  fi
}

# Everything between the HTTP API and the table answers, or this fails: a stack that CloudFormation
# calls complete may still refuse its first requests for a while.
readonly ANSWERS_MS=120000
wait_for_answer() {
  local deadline answer renewed=false
  deadline=$(($(now_ms) + ANSWERS_MS))
  until answer=$(ask keys list 2>&1); do
    # The key of an earlier stack of this name.
    if ! $renewed && [[ $answer == *key* ]]; then
      renewed=true
      "$operator" stack new-key "$STACK" >/dev/null || true
      continue
    fi
    [ "$(now_ms)" -lt "$deadline" ] || fail "$STACK is deployed, but does not work: ${out[ApiUrl]} answers: $answer
Look at the functions' logs in CloudWatch; \`make destroy STACK=$STACK\` removes it."
    sleep 0.5
  done
}

login_link() { printf '%s/#key=%s' "${out[ApiUrl]}" "$1"; }

# The line that installs an agent: its key in the environment, so that it is in no process list.
install_line() {
  printf 'curl -fsS %s/install.sh | sudo DAYWATCH_KEY=%s sh -s -- --url %s\n' "${out[ApiUrl]}" "$1" "${out[ApiUrl]}"
}
