#!/usr/bin/env bash
# A Python with the clients of tests/clients/requirements.txt: other people's senders and readers, which the
# tests run against Daywatch. It lives outside of the clone, and is installed again only when that file changed.
#
#   test-python.sh   prints the path of that Python, made first where it is not; status 1 and why where it
#                    cannot be: the tests that need it say then that they were skipped
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

venv=${DAYWATCH_CLIENTS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/daywatch/clients-venv}
stamp=$venv/daywatch-requirements
requirements=tests/clients/requirements.txt

fail() {
  printf 'skipped: no Python with other people'\''s clients: %s\n' "$*" >&2
  exit 1
}

installed() { cmp -s "$requirements" "$stamp"; }

if ! installed; then
  has python3 || fail "Python is missing: apt-get install python3 python3-venv"
  mkdir -p "$(dirname "$venv")"
  # Two scripts at once would install into each other.
  exec 9>"$venv.lock"
  flock 9
  if ! installed; then
    echo "Installing other people's clients into $venv (about 250 MB, once)" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2 ||
      fail "no virtual environment can be made; on Debian: apt-get install python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
      fail "$requirements could not be installed; is the Python package index reachable from here?"
    cp "$requirements" "$stamp"
  fi
  flock -u 9
fi
printf '%s\n' "$venv/bin/python"
