#!/usr/bin/env bash
# Checks an archive of make dist in the bare root of a distribution: it is unpacked into a folder with a space in its
# name, which is made read-only, and used by an ordinary user without a home: run, predict, score, report and launch. As
# root, for chroot and mounts; what it puts into ROOT it removes.
#
# Usage: scripts/check_dist.sh ARCHIVE ROOT
#
#   ARCHIVE  dist/autolora-VERSION-linux-x86_64.tar.zst
#   ROOT     a root, as debootstrap --variant=minbase bullseye ROOT makes it
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 2 2 "$@"
[[ -f $1 ]] || die "no archive $1"
[[ -d $2/usr ]] || die "$2 is not the root of a distribution"
ARCHIVE=$(realpath -- "$1") ROOT=$(realpath -- "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

HOME_OF=$(mktemp -d "$ROOT/check dist.XXXXXX")
trap 'umount "$ROOT/proc" 2>/dev/null; chmod -R u+w "$HOME_OF"; rm -rf "$HOME_OF"' EXIT
tar -C "$HOME_OF" --zstd -xf "$ARCHIVE"
mkdir "$HOME_OF/own"
cp -r testdata/nn/bert-tiny "$HOME_OF/own/model"
cp testdata/compat/0.1.0/vocab.txt "$HOME_OF/own/model/"
cp testdata/compat/0.1.0/table.csv "$HOME_OF/own/"
printf 'a O O\nfilm B-x B-x\n' >"$HOME_OF/own/tags.conll"
chmod -R a+rX "$HOME_OF"
chmod -R a-w "$HOME_OF"/autolora-*
chown -R 65534:65534 "$HOME_OF/own"
mountpoint -q "$ROOT/proc" || mount -t proc proc "$ROOT/proc"

inside=${HOME_OF#"$ROOT"}
program=$(echo "$HOME_OF"/autolora-*/bin/autolora)
program=${program#"$ROOT"}
do_it() {
	# shellcheck disable=SC2016 # for the inner shell
	chroot --userspec=65534:65534 "$ROOT" /usr/bin/env -i PATH=/usr/bin:/bin TMPDIR="$inside/own" OMP_NUM_THREADS=1 \
		sh -c 'cd "$1" && shift && exec "$@"' sh "$inside/own" "$program" "$@" >"$HOME_OF/out" 2>&1 || {
		say "$1 failed in $ROOT:"
		tail -n 5 "$HOME_OF/out" >&2
		exit 1
	}
}
run=(run --model model --train table.csv --dev table.csv --search-steps 3 --steps 4 --batch-size 4)
do_it version --json
grep -q '"libtorch": "2' "$HOME_OF/out" || { cat "$HOME_OF/out" >&2 && exit 1; }
do_it "${run[@]}" --out out
do_it predict --adapter out/adapter --model model --input table.csv --output labels.csv
do_it score tagging --input tags.conll
do_it report out
do_it launch --processes 2 "${run[@]}" --out two
for file in out/results.json out/adapter/adapter_model.safetensors out/report.html labels.csv two/results.json; do
	[[ -s $HOME_OF/own/$file ]] || die "no $file"
done
# shellcheck source=/dev/null
. "$ROOT/etc/os-release"
echo "${ARCHIVE##*/} works in ${PRETTY_NAME:-$ROOT}, $(chroot "$ROOT" ldd --version | sed -n '1s/.* /glibc /p')"
