#!/usr/bin/env bash
# Form, and what the compilers and checkers of each language say; a warning is an error here.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

echo "== rustfmt"
cargo fmt --all --check
echo "== clippy"
cargo clippy --locked --workspace --all-targets --features "$(cloud_features)" -- -D warnings
if cargo deny --version >/dev/null 2>&1; then
  echo "== cargo deny"
  cargo deny --offline check bans licenses sources
else
  echo "skipped: cargo deny (licences, sources); cargo-deny is not installed"
fi
if has shellcheck; then
  echo "== shellcheck"
  shellcheck --severity=warning --external-sources scripts/*.sh .ci/run
  shellcheck --severity=warning packaging/install.sh
else
  echo "skipped: shellcheck is not installed"
fi
echo "== cfn-lint"
scripts/cloud-lint.sh
echo "lint: nothing to complain about"
