#!/usr/bin/env bash
# `make agent-install-line`: makes a fresh agent key and prints the line, alone on stdout, that
# installs an agent with it. A key may serve any number of hosts.
#
#   STACK, REGION   as for `make deploy`      NAME   how the key is listed
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh
# shellcheck source=scripts/cloud-stack.sh
. scripts/cloud-stack.sh

check_stack_name
choose_region
tools=$(scripts/cloud-tools.sh)
stack whoami >/dev/null || exit 1
read_outputs || exit 1
build_operator
install_line "$(new_key agent "${NAME:-install-$(date +%Y%m%d)}")"
