#!/usr/bin/env bash
# `make destroy`: removes a stack with everything that it stores, then says what still costs money.
# Asks for the stack's name first.
#
#   STACK, REGION   as for `make deploy`
#   KEEP_DATA=yes   leaves the tables and the buckets of blocks
#   YES=STACK-NAME  the answer, for scripts
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

data="with all samples, alerts, keys and settings; there is no way back"
options=()
if [ "${KEEP_DATA:-}" = yes ]; then
  data="but leaves its tables and its buckets of blocks"
  options=(--keep-data)
fi
echo "This removes the stack $STACK ($who) $data."
answer=${YES:-}
if [ -z "$answer" ]; then
  [ -t 0 ] || fail "Nobody is there to ask; a script says: make destroy STACK=$STACK YES=$STACK"
  read -r -p "Type the stack's name to go on: " answer
fi
[ "$answer" = "$STACK" ] || fail "Nothing was removed"

stack destroy "$STACK" "${options[@]}"
# The keys that this user had for it.
rm -f -- "${XDG_CONFIG_HOME:-$HOME/.config}/daywatch/stacks/${who##*region }-$STACK.key"
