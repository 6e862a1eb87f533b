#!/usr/bin/env bash
# The Python tools of everything that is called cloud-…: the emulator, the template's linter, AWS's
# libraries, cargo-lambda. They live outside of the clone, in pinned versions, and are installed
# again only when infra/requirements.txt or localstack/requirements.txt has changed.
#
#   cloud-tools.sh          prints the folder of their programs, installed first where they are not
#   cloud-tools.sh --check  the same without installing; status 1 where they are missing
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

venv=${DAYWATCH_CLOUD_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/daywatch/cloud-venv}
stamp=$venv/daywatch-requirements

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

wanted=$(cat infra/requirements.txt localstack/requirements.txt)
installed() { [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }

if ! installed; then
  [ "${1:-}" != --check ] || exit 1
  has python3 || fail "Python is missing: apt-get install python3 python3-venv"
  at_least "$(python3 --version | first_version)" 3.11 || fail "Python 3.11 or newer is needed, this is $(python3 --version)"
  mkdir -p "$(dirname "$venv")"
  # Two scripts at once would install into each other.
  exec 9>"$venv.lock"
  flock 9
  if ! installed; then
    echo "Installing the cloud tools into $venv (about 900 MB, once)" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2 ||
      fail "Python cannot make a virtual environment; on Debian: apt-get install python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      -r infra/requirements.txt -r localstack/requirements.txt >&2 ||
      fail "The cloud tools could not be installed; is the Python package index reachable from here?"
    printf '%s' "$wanted" >"$stamp"
  fi
  flock -u 9
fi
printf '%s\n' "$venv/bin"
