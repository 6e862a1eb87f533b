#!/usr/bin/env bash
# Builds the six functions and packs each into a zip for AWS's runtime provided.al2023.
#
#   --profile release|dev    release (default): by cargo-lambda, for Amazon Linux 2023, small.
#                            dev: by cargo, for this host; what the emulator runs in tests
#   --arch arm64|x86_64      release only; arm64 is the template's default. dev is this host's
#   --binaries DIR           dev only: packs those that stand there instead of building them
#   --out DIR                where the zips go: target/lambda, where infra/template.yaml looks
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

readonly FUNCTIONS=(ingest ws-connect aggregate evaluate-alerts broadcast query)

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

case $(uname -m) in
  x86_64) host_arch=x86_64 ;;
  aarch64 | arm64) host_arch=arm64 ;;
  *) host_arch=$(uname -m) ;;
esac
profile=release arch='' out=target/lambda binaries=''
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || fail "$1 needs a value"
  case $1 in
    --profile) profile=$2 ;;
    --arch) arch=$2 ;;
    --out) out=$2 ;;
    --binaries) binaries=$2 ;;
    *) fail "$1 is unknown; see the head of scripts/lambdas.sh" ;;
  esac
  shift 2
done
case $profile in
  release) arch=${arch:-arm64} ;;
  dev)
    arch=${arch:-$host_arch}
    [ "$arch" = "$host_arch" ] || fail "A dev build is for this host's $host_arch; for $arch: --profile release"
    ;;
  *) fail "--profile is release or dev, not $profile" ;;
esac
case $arch in
  arm64) triple=aarch64-unknown-linux-gnu flag=--arm64 ;;
  x86_64) triple=x86_64-unknown-linux-gnu flag=--x86-64 ;;
  *) fail "--arch is arm64 or x86_64, not $arch" ;;
esac

packages=() features=''
for function in "${FUNCTIONS[@]}"; do
  packages+=(-p "$function")
  features+="$function/main,"
done

# `query` carries the page.
[ -n "$binaries" ] || scripts/page.sh
mkdir -p "$out"
tools=''
if [ -n "$binaries" ]; then
  [ "$profile" = dev ] || fail "--binaries goes with --profile dev"
  find_binary() { printf '%s/%s' "$binaries" "$1"; }
elif [ "$profile" = dev ]; then
  cargo build --locked "${packages[@]}" --features "${features%,}" --bins
  binaries=$(target_folder)/debug
  find_binary() { printf '%s/%s' "$binaries" "$1"; }
else
  tools=$(scripts/cloud-tools.sh)
  if [ "$arch" != "$host_arch" ] && ! [ -d "$(rustc --print sysroot)/lib/rustlib/$triple" ]; then
    fail "Rust has no standard library for $arch here: rustup target add $triple (or deploy with ARCH=$host_arch)"
  fi
  built=$(target_folder)/cloud-functions
  # Absolute: cargo-lambda would take it relative to cargo's own folder.
  mkdir -p "$built"
  built=$(cd "$built" && pwd)
  PATH=$tools:$PATH cargo lambda build --locked --profile lambda "$flag" --lambda-dir "$built" "${packages[@]}" --features "${features%,}"
  find_binary() { printf '%s/%s/bootstrap' "$built" "$1"; }
fi

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
for function in "${FUNCTIONS[@]}"; do
  binary=$(find_binary "$function")
  [ -s "$binary" ] || fail "$binary was not built"
  if [ "$profile" = dev ] && has strip; then
    strip -o "$stripped" "$binary"
    binary=$stripped
  fi
  python3 infra/zip_function.py "$binary" "$out/$function.zip"
  printf '%-16s %5s KB zipped  %s %s\n' "$function" $(($(stat -c %s "$out/$function.zip") / 1000)) "$profile" "$arch"
done
# For those who deploy them: what they were built for.
printf '%s\n' "$arch" >"$out/architecture"
