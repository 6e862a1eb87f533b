#!/usr/bin/env bash
# Builds the page into dashboard/dist, and its packages first; each only where it is out of date.
#
#   page.sh             both
#   page.sh --packages  only the packages
set -euo pipefail
cd "$(dirname "$0")/../dashboard"

# npm writes this file last.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "Page: installing its packages …"
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
[ "${1:-}" = --packages ] && exit 0

# Folders are looked at as well: one changes when a file in it is removed.
newer() { find src public index.html package-lock.json tsconfig.json vite.config.ts -newer dist/index.html -print -quit; }
if [ ! -e dist/index.html ] || [ -n "$(newer)" ]; then
  echo "Page: building …"
  npm run --silent build
fi
