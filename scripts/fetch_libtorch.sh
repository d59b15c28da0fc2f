#!/usr/bin/env bash
# Fills third_party/ with the native parts that the Go packages link:
#
#   include/  libtorch's headers
#   lib/      libtorch_cpu.so and what it needs
#   static/   libtokenizers.a, libchattemplate.a
#   cuda/     headers of CUDA, CCCL and NCCL (with --cuda or --cuda-headers only)
#
# They are kept in ${XDG_CACHE_HOME:-~/.cache}/autolora/native, a folder per part and version, and third_party
# links there, so a second clone needs seconds. Says nothing when everything is in place.
set -euo pipefail

usage() {
	cat <<'USAGE'
Usage: scripts/fetch_libtorch.sh [--cuda | --cuda-headers] [--dry-run]

  --cuda          add libtorch_cuda and the CUDA libraries it needs (1.8 GB more to download), and the headers
  --cuda-headers  add only the headers that compiling for CUDA takes (203 MB to download); no GPU is needed
  --dry-run       say what would be done, and do nothing

A checkout that was set up for CUDA stays so.

Environment:
  LIBTORCH        an unpacked libtorch, or the folder "torch" of an installed PyTorch, used instead of a download
  LIBTOKENIZERS   a folder with libtokenizers.a, used instead of a build by cargo (chat templates are built by it anyway)
  XDG_CACHE_HOME  where the parts are kept (default ~/.cache)
  CXX             the C++ compiler (default g++)
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
# shellcheck source=scripts/native.sh
. scripts/native.sh

CUDA=no # or headers, or yes
DRY_RUN=no
for arg in "$@"; do
	case $arg in
	--cuda) CUDA=yes ;;
	--cuda-headers) [[ $CUDA == yes ]] || CUDA=headers ;;
	--dry-run) DRY_RUN=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		say "unknown argument $arg; see --help"
		exit 2
		;;
	esac
done

# module_version MODULE prints the version that go.mod pins; go.sum has its sum.
module_version() {
	awk -v module="$1" '$1 == module { print $2; exit } $1 == "require" && $2 == module { print $3; exit }' go.mod
}

readonly TOKENIZERS=github.com/daulet/tokenizers
TORCH_VERSION=$(wheel_field torch 2)
TOKENIZERS_VERSION=$(module_version $TOKENIZERS)
[[ -n $TOKENIZERS_VERSION ]] || die "go.mod lacks $TOKENIZERS"
: "${CXX:=g++}"

LIBTORCH=${LIBTORCH:+$(realpath -m -- "$LIBTORCH")}
LIBTOKENIZERS=${LIBTOKENIZERS:+$(realpath -m -- "$LIBTOKENIZERS")}

STORE=${XDG_CACHE_HOME:-$HOME/.cache}/autolora/native
TORCH_DIR=$STORE/libtorch-$TORCH_VERSION
CUDART_DIR=$STORE/cudart-$(wheel_field nvidia-cuda-runtime 2)
HEADERS_DIR=$STORE/cuda-headers-$(wheel_field nvidia-cuda-runtime 2)-nccl-$(wheel_field nvidia-nccl-cu13 2)
CUDA_DIR=$STORE/libtorch-cuda-$TORCH_VERSION
TOKENIZERS_DIR=$STORE/tokenizers-$TOKENIZERS_VERSION
readonly CHATTEMPLATE=data/chattemplate/native
CHATTEMPLATE_DIR=$STORE/chattemplate-$(cat $CHATTEMPLATE/Cargo.{toml,lock} $CHATTEMPLATE/src/lib.rs | sha256sum | cut -c 1-12)

# What compiling against libtorch's CUDA headers takes.
readonly HEADER_WHEELS=(nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-cccl nvidia-nccl-cu13)

# What libtorch_cuda.so is linked to, and what it and cuDNN open when they need it. Left out is what only linear
# algebra solvers (libtorch_cuda_linalg, cuSOLVER), recurrent networks (cudnn_adv), profilers and NVSHMEM over a
# network would open.
# wheel folder files
CUDA_LIBS="\
torch                  torch/lib    libtorch_cuda.so libtorch_nvshmem.so libc10_cuda.so libcaffe2_nvrtc.so
nvidia-cuda-nvrtc      nvidia/*/lib libnvrtc.so.13 libnvrtc-builtins.so.13.0
nvidia-cublas          nvidia/*/lib libcublas.so.13 libcublasLt.so.13
nvidia-cudnn-cu13      nvidia/*/lib $(printf '%s ' libcudnn{,_graph,_ops,_cnn,_heuristic,_engines_precompiled,_engines_runtime_compiled}.so.9)
nvidia-cufft           nvidia/*/lib libcufft.so.12
nvidia-cufile          nvidia/*/lib libcufile.so.0
nvidia-curand          nvidia/*/lib libcurand.so.10
nvidia-cusparse        nvidia/*/lib libcusparse.so.12
nvidia-cusparselt-cu13 nvidia/*/lib libcusparseLt.so.0
nvidia-nccl-cu13       nvidia/*/lib libnccl.so.2
nvidia-nvjitlink       nvidia/*/lib libnvJitLink.so.13
nvidia-nvshmem-cu13    nvidia/*/lib libnvshmem_host.so.3"

# in_place says whether third_party already is what this call asks for.
in_place() {
	local file
	[[ -f third_party/.parts && $(<third_party/.parts) == "$(parts)" ]] || return 1
	for file in include/ATen/ATen.h lib/lib{torch_cpu,c10}.so static/lib{tokenizers,chattemplate}.a; do
		[[ -e third_party/$file ]] || return 1
	done
	[[ $CUDA == no || -e third_party/cuda/include/cuda_runtime_api.h ]] || return 1
	[[ $CUDA != yes || -e third_party/lib/libtorch_cuda.so ]]
}

parts() {
	printf '%s\n' "libtorch ${LIBTORCH:-$TORCH_DIR}" "tokenizers ${LIBTOKENIZERS:-$TOKENIZERS_DIR}" "chattemplate $CHATTEMPLATE_DIR" "cuda $CUDA"
}

if [[ -n $LIBTORCH && $CUDA == yes ]]; then
	die "--cuda downloads libtorch's CUDA parts; LIBTORCH=$LIBTORCH brings its own, if it has any: leave out one of the two"
fi
if [[ -f third_party/.parts ]]; then
	if [[ -z $LIBTORCH ]] && grep -qx 'cuda yes' third_party/.parts; then
		CUDA=yes
	elif [[ $CUDA == no ]] && grep -qx 'cuda headers' third_party/.parts; then
		CUDA=headers
	fi
fi
if in_place; then
	exit 0
fi

# What this machine lacks, all of it in one message and before the long download.
missing=()
check_host() {
	local tool
	[[ $(uname -s)-$(uname -m) == Linux-x86_64 || -n $LIBTORCH ]] ||
		missing+=("libtorch for $(uname -s) on $(uname -m): only Linux on x86_64 is fetched; set LIBTORCH to an unpacked libtorch $TORCH_VERSION")
	command -v go >/dev/null || missing+=("go: install Go 1.26 or later (go.dev/doc/install)")
	for tool in flock readelf objcopy ldd sha256sum; do
		command -v $tool >/dev/null ||
			missing+=("$tool: install your distribution's util-linux, binutils, libc-bin and coreutils")
	done
	if ! command -v "$CXX" >/dev/null; then
		missing+=("a C++17 compiler ($CXX): apt-get install g++, or set CXX")
	fi
	if [[ (-z $LIBTORCH && ! (-d $TORCH_DIR && -d $CUDART_DIR)) ||
		($CUDA != no && ! -d $HEADERS_DIR) || ($CUDA == yes && ! -d $CUDA_DIR) ]] && ! have_pip; then
		missing+=("pip (python3 -m pip), to download libtorch: apt-get install python3-pip; or set LIBTORCH to an unpacked libtorch $TORCH_VERSION")
	fi
	if [[ -z $LIBTOKENIZERS && ! -d $TOKENIZERS_DIR ]] && ! recent_cargo; then
		missing+=("cargo 1.78 or later, to build libtokenizers.a: install Rust (rustup.rs); or download libtokenizers of ${TOKENIZERS_VERSION} from the releases of $TOKENIZERS and set LIBTOKENIZERS to its folder")
	fi
	if [[ ! -d $CHATTEMPLATE_DIR ]] && ! recent_cargo; then
		missing+=("cargo 1.78 or later, to build the library of chat templates: install Rust (rustup.rs)")
	fi
	((${#missing[@]} == 0)) || {
		say "error: this machine lacks"
		printf '  - %s\n' "${missing[@]}" >&2
		exit 1
	}
}

check_libtorch() {
	local header=$LIBTORCH/include/torch/headeronly/version.h version
	[[ -f $LIBTORCH/lib/libtorch_cpu.so ]] ||
		die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so: it must be an unpacked libtorch or the folder torch of an installed PyTorch"
	version=$(sed -n '/define TORCH_VERSION \\/{n;s/[ "]//gp}' "$header" 2>/dev/null) || version=unknown
	[[ $version == "$TORCH_VERSION" ]] ||
		die "LIBTORCH=$LIBTORCH is version ${version:-unknown}, want $TORCH_VERSION: unset LIBTORCH to have it downloaded"
}

check_libtokenizers() {
	local symbol=tokenizers_version_${TOKENIZERS_VERSION#v}
	[[ -f $LIBTOKENIZERS/libtokenizers.a ]] ||
		die "LIBTOKENIZERS=$LIBTOKENIZERS has no libtokenizers.a: unset it to have it built by cargo"
	grep -q "${symbol//./_}" "$LIBTOKENIZERS/libtokenizers.a" ||
		die "LIBTOKENIZERS=$LIBTOKENIZERS is not version $TOKENIZERS_VERSION: unset it to have it built by cargo"
}

# part DIR COMMAND makes DIR by COMMAND, which fills the folder it is given. DIR appears whole or not at all.
part() {
	local dir=$1 name=${1##*/}
	[[ ! -d $dir ]] || return 0
	mkdir -p "$WORK/$name"
	"$2" "$WORK/$name"
	mv -T "$WORK/$name" "$dir"
}

module_dir() { go mod download "$1" >&2 && go list -m -f '{{.Dir}}' "$1"; }

# quietly LOG COMMAND... runs COMMAND and shows the end of its output if it fails.
quietly() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		return 1
	}
}

# unpack_licences NAME DIR takes the licences of the last wheel into DIR/licenses/NAME.
unpack_licences() {
	unpack_wheel "$WHEEL" "$2/licenses/$1" '*.dist-info/*[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*' 2>/dev/null || say "the wheel of $1 has no licences: see its page"
}

make_libtorch() {
	download_wheel torch "$WORK/wheels"
	unpack_wheel "$WHEEL" "$1" 'torch/include/*' torch/lib/lib{torch_cpu,c10}.so torch/lib/libgomp.so.1
	unpack_licences torch "$1"
	say "libtorch $TORCH_VERSION: $(du -sm "$1" | cut -f 1) MB unpacked"
}

# libtorch_cpu.so is linked to these two even where there is no GPU.
make_cudart() {
	local lib
	for lib in runtime:cudart cupti:cupti; do
		download_wheel "nvidia-cuda-${lib%:*}" "$WORK/wheels"
		unpack_wheel "$WHEEL" "$1" "nvidia/*/lib/lib${lib#*:}.so.13"
		unpack_licences "nvidia-cuda-${lib%:*}" "$1"
	done
}

make_headers() {
	local name
	for name in "${HEADER_WHEELS[@]}"; do
		download_wheel "$name" "$WORK/wheels"
		unpack_wheel "$WHEEL" "$1" 'nvidia/*/include/*'
	done
	say "CUDA's headers: $(du -sm "$1" | cut -f 1) MB unpacked"
}

make_cuda() {
	local name folder files
	while read -r name folder files; do
		read -ra files <<<"$files"
		download_wheel "$name" "$WORK/wheels"
		unpack_wheel "$WHEEL" "$1" "${files[@]/#/$folder/}"
		[[ $name == torch ]] || unpack_licences "$name" "$1"
		rm -rf "${WORK:?}/wheels/$name"
	done <<<"$CUDA_LIBS"
	say "libtorch_cuda $TORCH_VERSION: $(du -sm "$1" | cut -f 1) MB unpacked"
}

make_tokenizers() {
	local src
	src=$(module_dir $TOKENIZERS)
	say "libtokenizers.a: building tokenizers $TOKENIZERS_VERSION by cargo, one to five minutes"
	cp -R "$src" "$WORK/tokenizers-src"
	chmod -R u+w "$WORK/tokenizers-src"
	(cd "$WORK/tokenizers-src" && CARGO_TARGET_DIR=$WORK/tokenizers-src/target quietly "$WORK/cargo.log" cargo build --release --locked) ||
		die "cargo could not build libtokenizers.a (see above): it needs the network once and a recent Rust; or download libtokenizers of $TOKENIZERS_VERSION from the releases of $TOKENIZERS and set LIBTOKENIZERS to its folder"
	mv "$WORK/tokenizers-src/target/release/libtokenizers.a" "$1/"
	rm -rf "$WORK/tokenizers-src"
	say "libtokenizers.a: $(du -sm "$1" | cut -f 1) MB"
}

make_chattemplate() {
	local functions=(chat_compile chat_render chat_free chat_free_text)
	say "libchattemplate.a: building by cargo, half a minute"
	cp -R $CHATTEMPLATE "$WORK/chattemplate-src"
	(cd "$WORK/chattemplate-src" && CARGO_TARGET_DIR=target quietly "$WORK/cargo.log" cargo build --release --locked) ||
		die "cargo could not build libchattemplate.a (see above): it needs the network once and Rust 1.78 or later"
	# libtokenizers.a has Rust's own library too. With no symbol visible but ours, both can be in one program, whatever
	# versions of Rust made them.
	(
		cd "$WORK/chattemplate-src"
		ld -r --gc-sections "${functions[@]/#/-u}" -o chat.o target/release/libchattemplate.a
		objcopy "${functions[@]/#/--keep-global-symbol=}" --strip-debug -R .llvmbc -R .llvmcmd chat.o
		ar crs "$1/libchattemplate.a" chat.o
	)
	rm -rf "$WORK/chattemplate-src"
	say "libchattemplate.a: $(du -sm "$1" | cut -f 1) MB"
}

# link_all DIR FILE... links the files that exist into DIR, the later ones over the earlier.
link_all() {
	local dir=$1 file
	shift
	for file in "$@"; do
		[[ ! -e $file ]] || ln -sfn "$file" "$dir/"
	done
}

# lay_out DIR makes in DIR what third_party is to hold.
lay_out() {
	local dir=$1 torch=${LIBTORCH:-$TORCH_DIR} needs_cudart=yes
	mkdir -p "$dir"/{lib,static}
	ln -s "$torch/include" "$dir/include"
	if [[ -n $LIBTORCH ]]; then
		# An installed PyTorch keeps CUDA's libraries in wheels beside it.
		link_all "$dir/lib" "$torch"/lib/*.so* "$torch"/../nvidia/*/lib/*.so*
		rm -f "$dir"/lib/libtorch_python.so "$dir"/lib/libshm.so
		[[ ! -e $dir/lib/libcudart.so.13 && $(readelf -d "$torch/lib/libtorch_cpu.so") == *libcudart.so.13* ]] || needs_cudart=no
	else
		link_all "$dir/lib" "$torch"/lib/*
	fi
	[[ $needs_cudart == no ]] || {
		part "$CUDART_DIR" make_cudart
		link_all "$dir/lib" "$CUDART_DIR"/lib/*
	}
	if [[ $CUDA != no ]]; then
		mkdir "$dir/cuda"
		ln -s "$HEADERS_DIR/include" "$dir/cuda/include"
	fi
	[[ $CUDA != yes ]] || link_all "$dir/lib" "$CUDA_DIR"/lib/*
	link_all "$dir/static" "${LIBTOKENIZERS:-$TOKENIZERS_DIR}/libtokenizers.a" "$CHATTEMPLATE_DIR/libchattemplate.a"

	local lost users=("$dir/lib/libtorch_cpu.so")
	[[ $CUDA != yes ]] || users+=("$dir/lib/libtorch_cuda.so")
	lost=$(ldd "${users[@]}" | awk '/not found/ { print $1 }' | sort -u | tr '\n' ' ')
	[[ -z $lost ]] || die "${LIBTORCH:-libtorch} needs libraries that were not found: $lost"
}

check_host
[[ -z $LIBTORCH ]] || check_libtorch
[[ -z $LIBTOKENIZERS ]] || check_libtokenizers

if [[ $DRY_RUN == yes ]]; then
	todo() { [[ -d $1 ]] || say "would $2, into $1"; }
	megabytes() {
		local name sum=0
		for name in "$@"; do sum=$((sum + $(wheel_field "$name" 3))); done
		echo $sum
	}
	[[ -n $LIBTORCH ]] || todo "$TORCH_DIR" "download torch $TORCH_VERSION ($(wheel_field torch 3) MB)"
	[[ -n $LIBTORCH ]] || todo "$CUDART_DIR" "download the CUDA runtime and CUPTI (13 MB)"
	[[ $CUDA == no ]] || todo "$HEADERS_DIR" "download CUDA's headers ($(megabytes "${HEADER_WHEELS[@]}") MB)"
	# shellcheck disable=SC2046 # one word a wheel
	[[ $CUDA != yes ]] || todo "$CUDA_DIR" "download torch and the CUDA libraries ($(megabytes $(awk '{ print $1 }' <<<"$CUDA_LIBS" | sort -u)) MB)"
	[[ -n $LIBTOKENIZERS ]] || todo "$TOKENIZERS_DIR" "build tokenizers $TOKENIZERS_VERSION by cargo"
	todo "$CHATTEMPLATE_DIR" "build the library of chat templates by cargo"
	say "would link third_party to them"
	exit 0
fi

mkdir -p "$STORE" third_party || die "cannot write to $STORE or $ROOT/third_party"
exec {lock}>"$STORE/.lock"
flock --nonblock "$lock" || {
	say "another set-up is at work; waiting for it"
	flock "$lock"
}
in_place && exit 0

# Whoever holds the lock is alone: what lies here was left by a run that was killed.
rm -rf "$STORE"/.work.* third_party/.new.*
WORK=$(mktemp -d "$STORE/.work.XXXXXX")
NEW=$(mktemp -d "$ROOT/third_party/.new.XXXXXX")
trap 'rm -rf "$WORK" "$NEW"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -z $LIBTORCH && ! -d $TORCH_DIR ]]; then
	room "$STORE" 1300 libtorch
fi
[[ $CUDA == no || -d $HEADERS_DIR ]] || room "$STORE" 500 "CUDA's headers"
[[ $CUDA != yes || -d $CUDA_DIR ]] || room "$STORE" 6000 "libtorch with CUDA"
[[ -n $LIBTOKENIZERS || -d $TOKENIZERS_DIR ]] || room "$STORE" 500 "the build of libtokenizers.a"

if [[ -z $LIBTORCH ]]; then
	part "$TORCH_DIR" make_libtorch
	part "$CUDART_DIR" make_cudart
fi
[[ $CUDA == no ]] || part "$HEADERS_DIR" make_headers
[[ $CUDA != yes ]] || part "$CUDA_DIR" make_cuda
rm -rf "$WORK/wheels"
[[ -n $LIBTOKENIZERS ]] || part "$TOKENIZERS_DIR" make_tokenizers
part "$CHATTEMPLATE_DIR" make_chattemplate

lay_out "$NEW"
# The list goes first and comes back last: without it the next call lays everything out again.
rm -rf third_party/{.parts,include,lib,static,cuda}
mv "$NEW"/* third_party/
parts >"$NEW/.parts"
mv "$NEW/.parts" third_party/.parts
say "third_party is ready"
