#!/bin/sh
# Builds, in the folder it is given, the shims that answer for the kernel drivers of NVIDIA, AMD and Intel, of the source of Mesa
# 25.0.7 that lies there, and the layer of layer.c: scripts/compilers.sh runs this inside its root.
set -eu
cd "$1"
rm -rf mesa-25.0.7
tar xf mesa_25.0.7.orig.tar.xz mesa-25.0.7/src mesa-25.0.7/include
cd mesa-25.0.7
# What the shims do not know yet: NVIDIA's Ada and Blackwell (their classes and ids), and what newer drivers ask for.
newer() { printf 'device_info.chip_id >= 0x1b0 ? %s : device_info.chip_id >= 0x190 ? %s :' "$1" "$2"; }
sed -i -E "
s#^(\s*)case 0x170:\$#\1case 0x1b0: case 0x190: case 0x170:#
s#oclass = AMPERE_DMA_COPY_A;#oclass = $(newer 0xcab5 0xc7b5) AMPERE_DMA_COPY_A;#
s#oclass = GA102_3D_CLASS;#oclass = $(newer 0xce97 0xc997) GA102_3D_CLASS;#
s#oclass = GA102_COMPUTE_CLASS;#oclass = $(newer 0xcec0 0xc9c0) GA102_COMPUTE_CLASS;#
s#gp->value = 0x1004;#gp->value = $(newer 0x2b85 0x2684) device_info.chip_id >= 0x170 ? 0x2204 : device_info.chip_id >= 0x160 ? 0x1e07 : 0x1004;#
s#case NOUVEAU_GETPARAM_HAS_BO_USAGE:#case 17: case 18: case NOUVEAU_GETPARAM_HAS_BO_USAGE:#" src/nouveau/drm-shim/nouveau_noop.c
sed -i 's/version_minor = 49/version_minor = 64/' src/amd/drm-shim/amdgpu_noop_drm_shim.c
mkdir -p gen/dev gen/intel/dev o
python3 src/intel/dev/gen_wa_helpers.py src/intel/dev/mesa_defs.json gen/intel_wa.h gen/intel_wa.c
python3 src/intel/dev/intel_device_info_gen_h.py gen/intel_device_info_gen.h
python3 src/intel/dev/intel_device_info_serialize_gen_c.py gen/intel_device_info_serialize_gen.c
cp gen/intel_wa.h gen/intel_device_info_gen.h gen/dev/
cp gen/intel_wa.h gen/intel_device_info_gen.h gen/intel/dev/
echo '#define MESA_GIT_SHA1 ""' >gen/git_sha1.h
# Newer C libraries have these names too.
printf '#include <stdlib.h>\n#define once_flag mesa_once_flag\n#define call_once mesa_call_once\n' >gen/first.h
flags="-O1 -fPIC -ffunction-sections -fdata-sections -w -std=gnu11 -include gen/first.h -D_GNU_SOURCE -DNDEBUG -DDETECT_OS_LINUX=1
-DMAJOR_IN_SYSMACROS -DUTIL_ARCH_LITTLE_ENDIAN=1 -DUTIL_ARCH_BIG_ENDIAN=0 -Iinclude -Isrc -Igen -I/usr/include/libdrm -Isrc/amd
-Isrc/intel -Isrc/util -Isrc/intel/dev -Isrc/intel/common"
for name in PTHREAD STRUCT_TIMESPEC TIMESPEC_GET __BUILTIN_EXPECT __BUILTIN_CLZ __BUILTIN_CLZLL __BUILTIN_FFS __BUILTIN_FFSLL \
  __BUILTIN_POPCOUNT __BUILTIN_POPCOUNTLL __BUILTIN_TYPES_COMPATIBLE_P __BUILTIN_BSWAP32 __BUILTIN_BSWAP64 __BUILTIN_UNREACHABLE \
  FUNC_ATTRIBUTE_PACKED FUNC_ATTRIBUTE_UNUSED MEMFD_CREATE ENDIAN_H LINUX_FUTEX_H DL_ITERATE_PHDR SECURE_GETENV \
  PROGRAM_INVOCATION_NAME; do flags="$flags -DHAVE_$name"; done
for file in util/hash_table util/vma util/ralloc util/u_debug util/log util/os_misc util/u_printf util/set util/u_process \
  util/memstream util/u_call_once c11/impl/threads_posix c11/impl/time util/strtod util/os_file util/simple_mtx util/anon_file \
  util/futex util/blob util/os_time drm-shim/device drm-shim/drm_shim; do
  # shellcheck disable=SC2086
  [ ! -e "src/$file.c" ] || gcc $flags -c "src/$file.c" -o "o/$(basename "$file").o"
done
link() {
  name=$1
  shift
  # shellcheck disable=SC2086
  gcc $flags -shared -o "../lib$name.so" "$@" o/*.o -ldl -lpthread -lm -ldrm -Wl,--gc-sections -Wl,--no-undefined
}
link nouveau src/nouveau/drm-shim/nouveau_noop.c
link amdgpu src/amd/drm-shim/amdgpu_noop_drm_shim.c src/amd/drm-shim/amdgpu_devices.c
i=src/intel
link intel $i/tools/intel_noop_drm_shim.c gen/intel_device_info_serialize_gen.c gen/intel_wa.c $i/dev/intel_device_info.c \
  $i/dev/i915/intel_device_info.c $i/dev/xe/intel_device_info.c $i/dev/intel_hwconfig.c $i/dev/intel_kmd.c $i/dev/intel_debug.c \
  $i/common/intel_gem.c $i/common/i915/intel_gem.c $i/common/xe/intel_gem.c $i/common/xe/intel_device_query.c \
  $i/common/intel_engine.c $i/common/i915/intel_engine.c $i/common/xe/intel_engine.c src/util/parson.c src/util/u_cpu_detect.c \
  src/util/half_float.c src/util/u_math.c src/util/softfloat.c src/util/u_thread.c src/util/mesa-sha1.c src/util/sha1/sha1.c
cd ..
rm -rf mesa-25.0.7
cat >layer.json <<'JSON'
{
  "file_format_version": "1.2.0",
  "layer": {
    "name": "VK_LAYER_PITH_compilers",
    "type": "GLOBAL",
    "library_path": "./liblayer.so",
    "api_version": "1.3.0",
    "implementation_version": "1",
    "description": "compiles and reports, runs nothing"
  }
}
JSON
gcc -O1 -fPIC -shared -fvisibility=hidden -o liblayer.so "$2"
