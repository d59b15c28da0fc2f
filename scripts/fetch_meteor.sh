#!/usr/bin/env bash
# Makes the folder of word lists that METEOR needs: function words, synonyms and abbreviations of English. The synonyms
# are WordNet 3.0's, made from Debian's packages wordnet-base and wordnet-sense-index (8 MB), byte for byte as METEOR
# 1.5 has them; the other lists are in scripts/meteor. Says nothing when the folder is there already.
#
# METEOR's table of paraphrases (data/paraphrase-en.gz of METEOR 1.5, 61 MB) is not among them.
#
# Usage: scripts/fetch_meteor.sh [DIR]      (default ${XDG_CACHE_HOME:-~/.cache}/autolora/meteor)
set -euo pipefail

if (($# > 1)) || [[ ${1:-} == -* ]]; then
	sed -n '2,/^set/{/^#/p}' "$0" >&2
	exit 2
fi
DEST=$(realpath -m -- "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/autolora/meteor}")
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/native.sh
. ./native.sh
export LC_ALL=C # METEOR's files are in the order of bytes

# SHA-256 of METEOR 1.5's own files
readonly SUMS='2ae0d5b8c29e2993a0f442b065b946d1a17fbfe8538e66bf5931c4a248cf4c3a  function/english.words
bd909f364224748976f9b8b7cdeb4f9be3bf7c8e66a10f1ed268b12d904ab876  nonbreaking/english.prefixes
5feb8fcb5b349d035df1a448149c2ccc860bf32e4b9eea8c8e4f113e90a5a962  synonym/english.exceptions
20b7cf6ae1cba2395d714d8c2ec2992e88c6d1c75c7c30aa480c6a2a9bb8fef9  synonym/english.synsets'
# name SHA-256
readonly PACKAGES='
wordnet-base         61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752
wordnet-sense-index  b22c7d3100470d90f812acc224718e4bd362d7ca427766fa3e11013c8c7895cf
'
readonly VERSION=3.0-37 DEBIAN=https://deb.debian.org/debian/pool/main/w/wordnet

# whole DIR says whether DIR has the files.
whole() { [[ -d $1 ]] && (cd "$1" && sha256sum --status --check <<<"$SUMS" 2>/dev/null); }

whole "$DEST" && exit 0
[[ ! -e $DEST ]] || rmdir -- "$DEST" 2>/dev/null ||
	die "$DEST exists, but METEOR's word lists are not in it, or not as they should be: remove it, or name another folder"

have() { command -v "$1" >/dev/null; }
have curl || have apt-get || die "curl is missing: install it"
have dpkg-deb || (have ar && have xz) || die "ar and xz are missing: install binutils and xz-utils"

# download NAME leaves the checked package in $WORK/NAME.deb.
download() {
	local deb=$WORK/$1.deb sum got
	say "$1 $VERSION: downloading"
	curl --silent --show-error --fail --location --connect-timeout 10 --output "$deb" "$DEBIAN/$1_${VERSION}_all.deb" 2>"$WORK/log" ||
		(cd "$WORK" && apt-get download "$1=1:$VERSION" >>log 2>&1 && mv "$1"_*.deb "$deb") || {
		tail -n 3 "$WORK/log" >&2
		die "$1 $VERSION is to be had neither by curl from $DEBIAN nor by apt-get download: check the network"
	}
	sum=$(awk -v name="$1" '$1 == name { print $2 }' <<<"$PACKAGES")
	got=$(sha256sum <"$deb" | cut -d ' ' -f 1)
	[[ $got == "$sum" ]] || die "$1 $VERSION: SHA-256 is $got, want $sum: this is not Debian's package; nothing was kept"
}

# unpack NAME puts the package's dictionary files into $WORK.
unpack() {
	if have dpkg-deb; then
		dpkg-deb --fsys-tarfile "$WORK/$1.deb"
	else
		ar p "$WORK/$1.deb" data.tar.xz | xz --decompress
	fi | tar -x -C "$WORK" --strip-components=4 ./usr/share/wordnet || die "$1 $VERSION does not unpack (see above)"
}

# synsets turns index.sense into a line for each word and one for its synsets. These are numbered by where they stand
# in the files of WordNet 3.0; Debian has corrected these files, so that behind two places the numbers differ.
synsets() {
	awk '{
		split($1, key, "%"); kind = substr(key[2], 1, 1); offset = $2 + 0
		if ((kind == 3 || kind == 5) && offset >= 1681478) offset -= 1 # adjectives
		if (kind == 2 && 613036 <= offset && offset < 2422967) offset -= 18 # verbs
		if (key[1] "" != word "") {
			if (NR > 1) print word "\n" ids
			word = key[1]; ids = ""
		}
		ids = ids (ids == "" ? "" : " ") sprintf("%08d", offset)
	} END { print word "\n" ids }' "$WORK/index.sense"
}

# exceptions turns lines of an irregular form and its base words into a line for each base and one for its forms.
exceptions() {
	cat "$WORK"/{adj,adv,noun,verb}.exc |
		awk '{ for (i = 2; i <= NF; i++) forms[$i] = forms[$i] (forms[$i] == "" ? "" : " ") $1 }
			END { for (base in forms) print base "\t" forms[base] }' |
		sort | tr '\t' '\n'
}

mkdir -p -- "$(dirname "$DEST")"
WORK=$(mktemp -d -- "$(dirname "$DEST")/.meteor.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
room "$WORK" 50 "the making of METEOR's word lists"
for name in wordnet-base wordnet-sense-index; do
	download $name
	unpack $name
done
NEW=$WORK/new
mkdir -p "$NEW"/{function,nonbreaking,synonym}
cp meteor/english.words "$NEW/function/"
cp meteor/english.prefixes "$NEW/nonbreaking/"
cp meteor/{README.md,COPYING,WordNet.txt} "$NEW/"
synsets >"$NEW/synonym/english.synsets"
exceptions >"$NEW/synonym/english.exceptions"
whole "$NEW" || {
	(cd "$NEW" && sha256sum --quiet --check <<<"$SUMS" 2>/dev/null) >&2 || true
	die "these word lists are not METEOR 1.5's; nothing was kept"
}
# Another call may have been quicker.
mv -T -- "$NEW" "$DEST" 2>/dev/null || whole "$DEST" || die "$DEST cannot be written"
say "METEOR's word lists are in $DEST"
