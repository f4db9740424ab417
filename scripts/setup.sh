#!/bin/sh
# Makes a checkout ready to run: the packages, a Node of at least version 24, and a Vulkan adapter. Quick when all is there.
# `npm start` and `npm test` call it first.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'setup: %s\n' "$*" >&2; }

# Packages, when package-lock.json has changed since they were installed.
stamp=node_modules/.setup-stamp
if ! cmp -s package-lock.json "$stamp"; then
  say "installing packages"
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "$stamp"
fi

# The development dependency `node` brings its binary by an install script; where those are blocked, fetch the binary itself.
node=node_modules/.bin/node
if ! "$node" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)' 2>/dev/null; then
  if node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)' 2>/dev/null; then
    rm -f "$node" && ln -s "$(command -v node)" "$node"
  else
    say "installing Node 24"
    node scripts/install-node.mjs >&2
  fi
fi

# A Vulkan adapter. Dawn says itself whether it can use one, in a process of its own because drivers may crash.
# XDG_RUNTIME_DIR: Mesa complains where it is not set.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"
has_adapter() { "$node" scripts/has-adapter.js 2>/dev/null; }
if ! has_adapter; then
  . /etc/os-release 2>/dev/null || true
  packages="mesa-vulkan-drivers libvulkan1"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "no Vulkan adapter answers: installing Mesa's software driver"
    apt-get update -qq >&2
    release=""
    if [ "${ID:-}" = debian ] && [ "${VERSION_ID:-13}" -le 12 ]; then
      # Debian 12's own Mesa is too old for Dawn; backports has a newer one. The mirror is the one that apt already uses.
      mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
      list=/etc/apt/sources.list.d/pith-backports.list
      if ! apt-cache policy | grep -q "$VERSION_CODENAME-backports"; then
        echo "deb $mirror $VERSION_CODENAME-backports main" > "$list"
        apt-get update -qq >&2 || { rm -f "$list"; say "the mirror has no $VERSION_CODENAME-backports"; exit 1; }
      fi
      release="-t $VERSION_CODENAME-backports"
    fi
    # shellcheck disable=SC2086 # the lists are meant to be split
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $release $packages >&2
  fi
  if ! has_adapter; then
    say "expected a Vulkan adapter, got none. Install your GPU's driver, or Mesa's software driver as root:"
    say "  Debian 12: apt-get install -t bookworm-backports $packages   (after adding bookworm-backports to apt's sources)"
    say "  Debian 13, Ubuntu 24.04 and newer: apt-get install $packages"
    say "  Fedora: dnf install mesa-vulkan-drivers vulkan-loader      Arch: pacman -S vulkan-swrast"
    exit 1
  fi
fi
