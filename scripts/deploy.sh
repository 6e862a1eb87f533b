#!/usr/bin/env bash
# `make deploy`: Daywatch into your AWS account. Checks what it needs, says what a month will cost,
# builds, deploys with rollback, and ends with a login link and the line that installs an agent. Again
# with the same STACK: an upgrade; what is not said stays as it is.
#
#   STACK      its name: letters, digits, hyphens
#   REGION     where; else what AWS's own tools are set to
#   PAGER_URL  PagerDuty's or Opsgenie's address for SNS     MAIL       an address
#   SHARDS     1      FRESHNESS  2 (seconds)                 RETENTION  30 (days of single samples)
#   ARCH       arm64 or x86_64 (what Rust here can build)    AGENTS     folder of the agents' binaries
#   ACCESS_LOGS  none, http, all (API Gateway's logging role has to be set for that)
#   ZIPS       folder of functions that are built already
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh
# shellcheck source=scripts/cloud-stack.sh
. scripts/cloud-stack.sh

check_stack_name
choose_region
tools=$(scripts/cloud-tools.sh)
who=$(stack whoami) || exit 1
[ -n "${ZIPS:-}" ] || scripts/doctor.sh --tools

# Those that were chosen; CloudFormation keeps the others, or takes the template's defaults.
parameters=()
chosen() { [ -z "$2" ] || parameters+=("--parameter=$1=$2"); }
case $(uname -m) in aarch64 | arm64) host_arch=arm64 ;; *) host_arch=x86_64 ;; esac
arch=${ARCH:-}
if [ -z "$arch" ]; then
  # arm64 is cheaper; but only where this Rust can build for it.
  if [ -d "$(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu" ]; then arch=arm64; else arch=$host_arch; fi
fi
if [ -n "${ZIPS:-}" ] && [ -s "$ZIPS/architecture" ]; then arch=$(cat "$ZIPS/architecture"); fi
chosen Architecture "$arch"
chosen PagerUrl "${PAGER_URL:-}"
chosen MailAddress "${MAIL:-}"
chosen ShardCount "${SHARDS:-}"
chosen FreshnessSeconds "${FRESHNESS:-}"
chosen RawRetentionDays "${RETENTION:-}"
chosen FiveMinutesRetentionDays "${RETENTION_5M:-}"
chosen HoursRetentionDays "${RETENTION_1H:-}"
chosen AccessLogs "${ACCESS_LOGS:-}"

build_operator
echo "Stack $STACK: $who, functions for $arch"
"$operator" cost --agents 1 || fail "The month's cost could not be computed"

zips=${ZIPS:-$PWD/target/lambda}
[ -n "${ZIPS:-}" ] || scripts/lambdas.sh --profile release --arch "$arch"
started_ms=$(now_ms)
stack deploy "$STACK" --zips "$zips" "${parameters[@]}"
read_outputs || fail "$STACK is not there after its deployment"
echo "Deployed in $(seconds $(($(now_ms) - started_ms))) s"
wait_for_answer

agents=${AGENTS:-$(target_folder)/packages}
shopt -s nullglob
binaries=("$agents"/daywatch-agent-linux-*)
if [ ${#binaries[@]} -gt 0 ]; then
  stack upload "$STACK" "${binaries[@]}"
else
  echo "note: no agent is offered for download, because $agents holds none: make agent-packages, then make deploy again"
fi

read_key=$(new_key read "deploy-$(date +%Y%m%d)")
agent_key=$(new_key agent "deploy-$(date +%Y%m%d)")
echo
for name in ApiUrl WebsocketUrl PagerTopicArn MailTopicArn; do printf '  %-14s %s\n' "$name" "${out[$name]}"; done
echo
echo "  page           $(login_link "$read_key")"
echo "  agent key      $agent_key"
echo "  on each host   $(install_line "$agent_key")"
echo
[ -n "${PAGER_URL:-}" ] || echo "  Nobody is woken until the pager topic has a subscriber: docs/operations.md, or PAGER_URL=…"
[ -z "${MAIL:-}" ] || echo "  AWS has sent $MAIL a mail; alerts come after its link was opened."
echo "  Remove it all: make destroy STACK=$STACK${REGION:+ REGION=$REGION}"
