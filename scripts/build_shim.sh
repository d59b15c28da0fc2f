#!/usr/bin/env bash
# Compiles the C++ of torchbind. The program opens what comes out when it first needs a tensor, and so starts without
# libtorch:
#
#   third_party/lib/libautolora_torch.so   torchbind/internal/{accelerator,c10d,profiler,shim}/*.cc, and gotorch's
#   third_party/lib/libautolora_cuda.so    torchbind/internal/cuda/*.cc, where CUDA's headers are
#                                          (scripts/fetch_libtorch.sh --cuda-headers)
#
# The second takes neither CUDA's libraries nor a GPU: symbols of libtorch_cuda are found when the library is opened, after
# libtorch_cuda.so. Where that is here, all symbols are checked. Objects are kept in
# ${XDG_CACHE_HOME:-~/.cache}/autolora/native/objects: a change compiles one file again, a second clone none. Says nothing
# when the libraries are there and made of these sources.
#
# Usage: scripts/build_shim.sh [--asan]
#
#   --asan  makes third_party/asan/libautolora_torch.so, with the address sanitizer
#
# Environment:
#   CXX   the C++ compiler (default g++)
#   JOBS  how many files are compiled at once (default: the number of cores)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

[[ $* == --asan ]] || takes 0 0 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly GOTORCH=github.com/wangkuiyi/gotorch INTERNAL=torchbind/internal INCLUDE=third_party/include LIB=third_party/lib
readonly OBJECTS=${XDG_CACHE_HOME:-$HOME/.cache}/autolora/native/objects
: "${CXX:=g++}" "${JOBS:=$(nproc)}"
export CXX LC_ALL=C

[[ -e $INCLUDE/ATen/ATen.h ]] || die "third_party has no libtorch: run scripts/fetch_libtorch.sh"
command -v "$CXX" >/dev/null || die "a C++17 compiler ($CXX) is missing: apt-get install g++, or set CXX"

WORK=$(mktemp -d third_party/.shim.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What every object depends on beside its source and flags.
BASE=$({
	sed -n '/define TORCH_VERSION \\/{n;p}' $INCLUDE/torch/headeronly/version.h
	[[ ! -e third_party/cuda/include ]] || realpath third_party/cuda/include
	"$CXX" -dumpfullversion -dumpmachine
	echo '#include <gloo/config.h>' | "$CXX" -x c++ -fsyntax-only - 2>&1 || true # c10d.cc asks for it
	find $INTERNAL -name '*.h' -print0 | sort -z | xargs -0 sha256sum
} | sha256sum)

# library FOLDER/NAME COMPILER-FLAGS LINKER-FLAGS SOURCE... makes a library, unless it is there.
library() {
	local path=$1 flags=$2 link=$3 key source objects=() todo=()
	shift 3
	for source in "$@"; do
		key=$({ echo "$BASE $flags" && cat "$source"; } | sha256sum)
		objects+=("$OBJECTS/${key%% *}.o")
		[[ -e ${objects[-1]} ]] || todo+=("$flags -c $source -o $WORK/${key%% *}.o")
	done
	local made=$path.made now
	now="${objects[*]} $link $(realpath $LIB/libtorch_cpu.so)"
	[[ ! -e $path || ! -f $made || $(<"$made") != "$now" ]] || return 0

	mkdir -p "$OBJECTS" "${path%/*}"
	if ((${#todo[@]})); then
		say "${path##*/}: compiling ${#todo[@]} files, some minutes in all"
		# shellcheck disable=SC2016 # for the inner shell
		printf '%s\n' "${todo[@]}" | TMPDIR=$WORK xargs -P "$JOBS" -d '\n' -I{} bash -c '$CXX {}' ||
			die "${path##*/} does not compile with $CXX (see above)"
		mv "$WORK"/*.o "$OBJECTS/"
	fi
	# shellcheck disable=SC2086 # several flags
	"$CXX" -shared -o "$WORK/library" "${objects[@]}" -L$LIB $link -ltorch_cpu -lc10 || die "${path##*/} cannot be linked (see above)"
	if [[ ${path##*/} == libautolora_cuda.so && -e $LIB/libtorch_cuda.so ]]; then
		local lost
		lost=$(LD_PRELOAD=$PWD/$LIB/libtorch_cuda.so ldd -r "$WORK/library" 2>&1 | sed -n 's/.*undefined symbol: \(\S*\).*/\1/p' | c++filt)
		[[ -z $lost ]] || die "libautolora_cuda.so calls what libtorch_cuda.so does not have:"$'\n'"$lost"
	fi
	mv "$WORK/library" "$path"
	printf '%s\n' "$now" >"$WORK/made"
	mv "$WORK/made" "$made"
	touch "${objects[@]}"
	find "$OBJECTS" -mtime +60 -delete # what no library was made of for so long
	say "${path##*/}: $(du -k "$path" | cut -f 1) KB"
}

include="-I$INTERNAL/shim -isystem $INCLUDE -isystem $INCLUDE/torch/csrc/api/include"
# The program knows the sum of its own sources, and refuses a library of others: torchbind/internal/load.
sum=$(cat $INTERNAL/{accelerator,c10d,profiler,shim}/*.{cc,h} | sha256sum)
printf 'extern "C" const char tb_sources[];\nconst char tb_sources[] = "%s";\n' "${sum%% *}" >"$WORK/sources.cc"
# gotorch's as one translation unit: libtorch's headers are parsed once instead of nine times.
read -r version gotorch < <(go mod download $GOTORCH >&2 && go list -m -f '{{.Version}} {{.Dir}}' $GOTORCH)
{
	echo "// gotorch $version"
	printf '#include "cgotorch/%s.cc"\n' device functional init memory optim pickle tensor torch cuda
} >"$WORK/gotorch.cc"
export CPLUS_INCLUDE_PATH=$gotorch${CPLUS_INCLUDE_PATH:+:$CPLUS_INCLUDE_PATH}
torch=("$INTERNAL"/{accelerator,c10d,profiler,shim}/*.cc "$WORK"/{gotorch,sources}.cc)
flags="-std=c++17 -O2 -fPIC -pthread -fopenmp $include"
link='-fopenmp -ldl'
if [[ ${1:-} == --asan ]]; then
	library third_party/asan/libautolora_torch.so "$flags -g -fsanitize=address" "-fsanitize=address $link -Wl,-rpath,$PWD/$LIB" "${torch[@]}"
	exit
fi
# shellcheck disable=SC2016 # the loader expands $ORIGIN
rpath='-Wl,-rpath,$ORIGIN'
library $LIB/libautolora_torch.so "$flags" "$link $rpath" "${torch[@]}"

[[ -e third_party/cuda/include/cuda_runtime_api.h && -e $INCLUDE/c10/cuda/CUDAStream.h ]] || exit 0
library $LIB/libautolora_cuda.so \
	"-std=c++17 -O2 -fPIC -fvisibility-inlines-hidden -Wall -DUSE_C10D_NCCL $include -isystem third_party/cuda/include -idirafter $INTERNAL/cuda/opaque" \
	"$rpath -Wl,--version-script=$INTERNAL/cuda/exports.map" "$INTERNAL"/cuda/*.cc
