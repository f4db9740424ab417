#!/bin/sh
# What compilers for real GPUs make of the kernels, without the GPUs: registers, occupancy, workgroup memory and spills of every
# pipeline that the bundled model's, Qwen2.5-0.5B's and R1-Distill-Qwen-1.5B's shapes take. Mesa's Vulkan drivers believe what its
# "drm-shim" libraries tell them of the kernel, and a layer keeps commands from running (scripts/compilers/).
#
#     scripts/compilers.sh [GPU[:TIER]...]        as root, on Debian; minutes to make a root, minutes for a GPU and tier
#
# GPU: tu102, ga102, ad102, gb202 (NVIDIA, by Mesa's NAK), vega10, navi10, navi21, navi31, gfx1150 (AMD), tgl, dg2, mtl, lnl, bmg
# (Intel); default ad102 and navi31, in the tiers subgroups and matrices each. Exits with 1 where one does not compile.
#
#     PITH_COMPILERS_ROOT    where the root is made, or found from an earlier run (default: /var/tmp/pith-compilers)
#     PITH_DEBIAN_MIRROR     where Debian comes from (default: the mirror that apt uses)
#     ONLY                   a pattern: only pipelines whose line matches
set -eu
cd "$(dirname "$0")/.."
say() { printf 'compilers: %s\n' "$*" >&2; }
root=${PITH_COMPILERS_ROOT:-/var/tmp/pith-compilers}
[ "$(id -u)" = 0 ] || { say "expected root's rights, which making a root takes"; exit 2; }
[ -d node_modules/webgpu ] || { say "expected the packages in node_modules; run scripts/setup.sh first"; exit 2; }

# Mounts are seen by this script alone and go when it ends.
if [ "${PITH_COMPILERS_MOUNTS:-}" != private ]; then
  PITH_COMPILERS_MOUNTS=private exec unshare --mount --propagation private sh scripts/compilers.sh "$@"
fi

export DEBIAN_FRONTEND=noninteractive
mirror=${PITH_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)}
fresh="-o Acquire::Check-Valid-Until=false"
if ! [ -e "$root/made" ]; then
  command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >&2
  say "making a Debian forky root in $root"
  rm -rf "$root"
  debootstrap --variant=minbase --include=ca-certificates forky "$root" "$mirror" /usr/share/debootstrap/scripts/sid >&2
  touch "$root/made"
fi
mkdir -p "$root/pith" "$root/shims/lists/partial"
mount --bind . "$root/pith"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"

if ! [ -e "$root/shims/layer.json" ] || [ -n "$(find scripts/compilers -newer "$root/shims/liblayer.so" ! -name '*.ts' -type f)" ]; then
  say "installing Mesa's drivers and building the shims"
  # Debian 13's Mesa is the last whose tarball builds them with gcc alone.
  echo "deb-src $mirror trixie main" >"$root/shims/source.list"
  source="-o Dir::Etc::sourcelist=/shims/source.list -o Dir::Etc::sourceparts=- -o Dir::State::Lists=/shims/lists"
  chroot "$root" sh -ec "
    apt-get $fresh update -qq
    apt-get $fresh install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 libvulkan-dev libdrm-dev gcc libc6-dev \
      python3-mako python3-yaml dpkg-dev xz-utils
    cd /shims
    apt-get $fresh $source update -qq
    [ -e mesa_25.0.7.orig.tar.xz ] || apt-get $fresh $source source -qq --download-only mesa || true
    sh /pith/scripts/compilers/shims.sh /shims /pith/scripts/compilers/layer.c" >&2
fi
# Debian's does not read TypeScript.
cmp -s node_modules/.bin/node "$root/shims/node" || cp -L node_modules/.bin/node "$root/shims/node"
say "Mesa $(chroot "$root" dpkg-query -W -f '${Version}' mesa-vulkan-drivers)"

[ $# -gt 0 ] || set -- ad102:subgroups ad102:matrices navi31:subgroups navi31:matrices
failed=0
for which in "$@"; do
  gpu=${which%%:*}
  tier=${which#"$gpu"}
  case $gpu in
    tu102) driver=nouveau shim=nouveau as=NOUVEAU_CHIPSET=0x162 ;;
    ga102) driver=nouveau shim=nouveau as=NOUVEAU_CHIPSET=0x172 ;;
    ad102) driver=nouveau shim=nouveau as=NOUVEAU_CHIPSET=0x192 ;;
    gb202) driver=nouveau shim=nouveau as=NOUVEAU_CHIPSET=0x1b2 ;;
    vega10 | navi10 | navi21 | navi31 | gfx1150) driver=radeon shim=amdgpu as=AMDGPU_GPU_ID=$gpu ;;
    tgl | dg2 | mtl | lnl | bmg) driver=intel shim=intel as=INTEL_STUB_GPU_PLATFORM=$gpu ;;
    *) say "unknown GPU $gpu: the head of this script lists them"; exit 2 ;;
  esac
  rm -f "$root/shims/statistics"
  chroot "$root" env -i HOME=/tmp PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/tmp MESA_SHADER_CACHE_DISABLE=true "$as" \
    COMPILER_STATISTICS=/shims/statistics VK_DRIVER_FILES="/usr/share/vulkan/icd.d/${driver}_icd.json" VK_LAYER_PATH=/shims \
    VK_INSTANCE_LAYERS=VK_LAYER_PITH_compilers LD_PRELOAD="/shims/lib$shim.so" sh -c 'cd /pith && exec /shims/node \
      --disable-warning=ExperimentalWarning --import ./scripts/wgsl-hook.js scripts/compilers/pipelines.ts "$@"' \
    sh "${tier#:}" /shims/statistics "${ONLY:-}" || failed=1
done
exit "$failed"
