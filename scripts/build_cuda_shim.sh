#!/usr/bin/env bash
# Compiles torchbind/internal/cuda/*.cc, the part of torchbind that calls CUDA, to third_party/lib/libautolora_cuda.so.
# It takes CUDA's headers (scripts/fetch_libtorch.sh --cuda-headers) but neither CUDA's libraries nor a GPU: symbols of
# libtorch_cuda are found when the library is opened, after libtorch_cuda.so. Where that is here, all symbols are
# checked. Says nothing when the library is there and made of these sources.
#
# Usage: scripts/build_cuda_shim.sh
#
# Environment:
#   CXX   the C++ compiler (default g++)
#   JOBS  how many files are compiled at once (default: the number of cores)
set -euo pipefail

if (($# > 0)); then
	sed -n '2,/^set/{/^#/p}' "$0" >&2
	exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/native.sh
. scripts/native.sh

readonly SOURCES=torchbind/internal/cuda LIB=third_party/lib
readonly SHIM=$LIB/libautolora_cuda.so KEY=third_party/.cuda-shim
: "${CXX:=g++}" "${JOBS:=$(nproc)}"

[[ -e third_party/include/c10/cuda/CUDAStream.h && -e third_party/cuda/include/cuda_runtime_api.h ]] ||
	die "third_party has no headers of CUDA: run scripts/fetch_libtorch.sh --cuda-headers"

# Only what Go calls is seen outside, so that nothing here stands in for a symbol of libtorch or of the program.
flags=(-std=c++17 -O2 -fPIC -fvisibility-inlines-hidden -Wall -DUSE_C10D_NCCL
	-Itorchbind/internal/shim -isystem third_party/include -isystem third_party/include/torch/csrc/api/include
	-isystem third_party/cuda/include -idirafter "$SOURCES/opaque")
# shellcheck disable=SC2016,SC2054 # the loader expands $ORIGIN; commas are the linker's
link=(-shared "-L$LIB" -Wl,-rpath,'$ORIGIN' -Wl,--version-script=/dev/stdin -ltorch_cpu -lc10)
readonly EXPORTS='{ global: tb_*; local: *; };'

key=$({
	sed -n '/define TORCH_VERSION \\/{n;p}' third_party/include/torch/headeronly/version.h
	realpath third_party/cuda/include
	"$CXX" -dumpfullversion
	printf '%s\n' "${flags[@]}" "${link[@]}" "$EXPORTS"
	find $SOURCES torchbind/internal/c10d torchbind/internal/shim -name '*.h' -o -path "$SOURCES/*.cc" | sort | xargs sha256sum
} | sha256sum)
if [[ -e $SHIM && -f $KEY && $(<$KEY) == "$key" ]]; then
	exit 0
fi
command -v "$CXX" >/dev/null || die "a C++17 compiler ($CXX) is missing: apt-get install g++, or set CXX"

WORK=$(mktemp -d third_party/.cuda-shim.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sources=("$SOURCES"/*.cc)
say "libautolora_cuda.so: compiling ${#sources[@]} files"
printf '%s\n' "${sources[@]##*/}" | TMPDIR=$WORK xargs -P "$JOBS" -I{} "$CXX" "${flags[@]}" -c "$SOURCES/{}" -o "$WORK/{}.o" ||
	die "$SOURCES does not compile with $CXX (see above)"
"$CXX" -o "$WORK/shim.so" "$WORK"/*.o "${link[@]}" <<<"$EXPORTS" || die "libautolora_cuda.so cannot be linked (see above)"

if [[ -e $LIB/libtorch_cuda.so ]]; then
	lost=$(LD_PRELOAD=$PWD/$LIB/libtorch_cuda.so ldd -r "$WORK/shim.so" 2>&1 | sed -n 's/.*undefined symbol: \(\S*\).*/\1/p' | c++filt)
	[[ -z $lost ]] || die "libautolora_cuda.so calls what libtorch_cuda.so does not have:"$'\n'"$lost"
fi
mv "$WORK/shim.so" $SHIM
printf '%s\n' "$key" >"$WORK/key"
mv "$WORK/key" $KEY
say "libautolora_cuda.so: $(du -k $SHIM | cut -f 1) KB"
