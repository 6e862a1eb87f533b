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

# Where this user's keys of a stack lie. Keys are secrets: nobody else may read them.
key_folder() {
  printf '%s/daywatch/stacks/%s-%s' "${XDG_CONFIG_HOME:-$HOME/.config}" "$STACK" "${AWS_REGION:-default}"
}

# The operator's binary, with AWS in it. DAYWATCH_BIN names one that is built already.
build_operator() {
  operator=${DAYWATCH_BIN:-$(target_folder)/$UP_PROFILE/daywatch}
  [ -n "${DAYWATCH_BIN:-}" ] || cargo build --locked --profile "$UP_PROFILE" -p daywatch >&2
  [ -x "$operator" ] || fail "$operator is no program"
}

# admin_key FILE: the first admin key is written into the stack's table with the caller's AWS
# credentials; whoever may do that owns the stack anyway. Kept for the next time, unless the stack
# does not know it any more.
admin_file=''
admin_key() {
  admin_file=$1
  if [ -s "$1" ] && "$operator" keys list --url "${out[ApiUrl]}" --key-file "$1" >/dev/null 2>&1; then return 0; fi
  save_key "$1" --stack "$STACK" --kind admin --name "$(id -un)@$(uname -n)"
}

# new_key KIND FILE NAME: by the admin key, over HTTP.
new_key() { save_key "$2" --url "${out[ApiUrl]}" --key-file "$admin_file" --kind "$1" --name "$3"; }

save_key() {
  local file=$1 text
  shift
  text=$("$operator" keys create "$@") || fail "No key could be made for $STACK"
  mkdir -p "$(dirname "$file")"
  (umask 077 && printf '%s\n' "$text" >"$file.new" && mv "$file.new" "$file")
}

# Everything between the HTTP API and the table answers, or this fails: a stack that CloudFormation
# calls complete may still refuse its first requests for a while.
readonly ANSWERS_MS=120000
wait_for_answer() {
  local deadline answer
  deadline=$(($(now_ms) + ANSWERS_MS))
  until answer=$("$operator" keys list --url "${out[ApiUrl]}" --key-file "$admin_file" 2>&1); do
    [ "$(now_ms)" -lt "$deadline" ] || fail "$STACK is deployed, but does not work: ${out[ApiUrl]} answers: $answer
Look at the functions' logs in CloudWatch; \`make destroy STACK=$STACK\` removes it."
    sleep 0.5
  done
}

login_link() { printf '%s/#key=%s' "${out[ApiUrl]}" "$(cat "$1")"; }
