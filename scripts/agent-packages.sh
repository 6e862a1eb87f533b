#!/usr/bin/env bash
# `make agent-packages`: the agent for hosts: binaries that need no glibc newer than 2.17 (the
# distributions of the last ten years), their checksums, and a Debian package of each.
# They end up in target/packages, which `daywatch serve --downloads` offers as it is.
#
# The tools are pinned and kept outside of the clone: zig as the linker (packaging/requirements.txt),
# cargo-auditable (writes the list of crates into the binary) and cargo-deb.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/host.sh
. scripts/host.sh

readonly GLIBC_MAX=2.17 CARGO_DEB=3.8.0 CARGO_AUDITABLE=0.7.7
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/daywatch
venv=$cache/agent-venv tools=$cache/cargo-tools
packages=$(target_folder)/packages

fail() {
  printf 'agent-packages: %s\n' "$*" >&2
  exit 1
}

install_zig() {
  local wanted=packaging/requirements.txt
  cmp -s "$wanted" "$venv/installed" && return 0
  has python3 || fail "python3 is not installed; on Debian: apt-get install python3-venv"
  echo "Installing the linker into $venv …"
  python3 -m venv "$venv" || fail "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$venv/installed"
}

# tool NAME VERSION: a tool of cargo's, in that very version.
tool() {
  cargo install --list --root "$tools" | grep -qx "$1 v$2:" && return 0
  echo "Installing $1 $2 …"
  CARGO_TARGET_DIR=$cache/cargo-tools-build cargo install --quiet --locked --root "$tools" --version "$2" "$1"
  rm -rf "$cache/cargo-tools-build"
}

# The newest glibc that a binary asks for.
glibc_of() { readelf --dyn-syms --wide "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -V | tail -n 1; }

# build MACHINE: the binary, its checksum, its package.
build() {
  local machine=$1 target=$1-unknown-linux-gnu name=daywatch-agent-linux-$1 built needs
  if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then
    echo "skipped: $machine; this Rust has no libraries for it (rustup target add $target)"
    return 0
  fi
  cargo auditable zigbuild --locked --profile agent -p daywatch-agent --target "$target.$GLIBC_MAX"
  built=$(target_folder)/$target/agent/daywatch-agent
  needs=$(glibc_of "$built")
  at_least "$GLIBC_MAX" "$needs" || fail "$name needs glibc $needs, at most $GLIBC_MAX is allowed"
  install -m 0755 "$built" "$packages/$name"
  (cd "$packages" && sha256sum "$name" >"$name.sha256")
  cargo deb --quiet --no-build --no-strip --profile agent -p daywatch-agent --target "$target" --output "$packages/"
  echo "$packages/$name: $(stat -c %s "$built") bytes, needs glibc $needs"
}

install_zig
tool cargo-auditable "$CARGO_AUDITABLE"
tool cargo-deb "$CARGO_DEB"
export PATH=$venv/bin:$tools/bin:$PATH
rm -rf "$packages"
mkdir -p "$packages"
for machine in x86_64 aarch64; do build "$machine"; done

if has lintian; then
  lintian --fail-on error,warning --tag-display-limit 0 "$packages"/*.deb
else
  echo "skipped: lintian is not installed"
fi
ls -l "$packages"
