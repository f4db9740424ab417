#!/bin/sh
# Tests the tier with subgroup matrices where there is no GPU. Mesa's software driver has them from version 26 on, which Debian
# forky carries: this makes a forky root of its own and runs the engine's tests in it. What it needs comes from Debian.
#
#   PITH_MATRICES_ROOT     where the root is made, or found from an earlier run (default: /var/tmp/pith-forky)
#   PITH_DEBIAN_MIRROR     where Debian comes from (default: the mirror that apt uses)
#
# Arguments are the tests to run (default: those of kernels, model, engine, training and verification). Exits with 0 and the
# reason where such a root cannot be made.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'matrices: %s\n' "$*" >&2; }
skip() { say "skipped: $*"; exit 0; }

root=${PITH_MATRICES_ROOT:-/var/tmp/pith-forky}
[ "$(id -u)" = 0 ] || skip "making a Debian root needs root's rights"
[ -d node_modules/webgpu ] || { say "expected the packages in node_modules; run scripts/setup.sh first"; exit 1; }
command -v unshare >/dev/null || skip "there is no unshare"

# Mounts are seen by this script alone and go when it ends.
if [ "${PITH_MATRICES_MOUNTS:-}" != private ]; then
  unshare --mount true 2>/dev/null || skip "this machine does not let root mount anything"
  PITH_MATRICES_MOUNTS=private exec unshare --mount --propagation private sh scripts/ci-matrices.sh "$@"
fi

if ! [ -e "$root/made" ]; then
  if ! command -v debootstrap >/dev/null && command -v apt-get >/dev/null; then
    say "installing debootstrap"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap; } >&2 ||
      skip "debootstrap cannot be installed"
  fi
  command -v debootstrap >/dev/null || skip "there is no debootstrap"
  . /etc/os-release
  mirror=${PITH_DEBIAN_MIRROR:-}
  if [ -z "$mirror" ] && [ "${ID:-}" = debian ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
  fi
  [ -n "$mirror" ] || skip "set PITH_DEBIAN_MIRROR to a mirror of Debian"
  # An older debootstrap does not know forky; sid's script serves.
  script=/usr/share/debootstrap/scripts/forky
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
  say "making a Debian forky root in $root"
  rm -rf "$root"
  debootstrap --variant=minbase --include=libvulkan1,mesa-vulkan-drivers,nodejs forky "$root" "$mirror" "$script" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; say "expected a forky root from the mirror, got the above"; exit 1; }
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root.log"
  touch "$root/made"
fi

mkdir -p "$root/pith"
mount --bind . "$root/pith"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"

[ $# -gt 0 ] || set -- test/gpu test/kernels test/model test/engine test/train test/verify
say "Mesa $(chroot "$root" dpkg-query -W -f '${Version}' mesa-vulkan-drivers), Node $(chroot "$root" node --version)"
# With this tier wanted, an adapter without matrices is an error, not a pass.
exec chroot "$root" env -i HOME=/tmp PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/tmp PITH_TIER=matrices \
  sh -c 'cd /pith && exec node node_modules/vitest/vitest.mjs run --project node "$@"' sh "$@"
