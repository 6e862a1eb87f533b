#!/usr/bin/env bash
# Installs Debian's packages that some tests need. Only root can; for others it says what to do,
# and the tests say what they skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

# A browser for the page's tests, real Nagios plugins, a real sender of Graphite lines (and what its
# exporter for Prometheus needs), one of remote write that answers the same queries (with its promtool),
# a target to scrape, a client of the Alertmanager API; what makes a Python with PyPI's clients; a bare
# Debian root to install the agent in, and what boots it.
readonly PACKAGES=(chromium monitoring-plugins-basic collectd-core libmicrohttpd12 libprotobuf-c1 prometheus
  prometheus-node-exporter prometheus-alertmanager python3-venv debootstrap systemd-container)

absent=()
for package in "${PACKAGES[@]}"; do
  # shellcheck disable=SC2016 # dpkg-query's own variable
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || absent+=("$package")
done
if [ ${#absent[@]} = 0 ]; then
  echo "Installed for the tests: ${PACKAGES[*]}"
  exit 0
fi
if ! has apt-get; then
  echo "Not installed: ${absent[*]}. This is no Debian; the tests that need them say that they were skipped."
  exit 0
fi
if ! is_root; then
  echo "Not installed: ${absent[*]}. The tests that need them say that they were skipped."
  echo "To run these too: sudo apt-get install -y --no-install-recommends ${absent[*]}"
  exit 0
fi
echo "Installing for the tests: ${absent[*]}"
export DEBIAN_FRONTEND=noninteractive
# Services that a package brings are not for this machine to run. (RUNLEVEL is invoke-rc.d's way.)
export RUNLEVEL=1
apt-get update -q
apt-get install -y -q --no-install-recommends "${absent[@]}"
