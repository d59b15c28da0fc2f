#!/usr/bin/env bash
# Writes what a version leaves behind to testdata/compat/VERSION, for later versions to read: a run that was killed in its
# search, and a complete one. To be run once a version, when it is tagged; TestFormerVersions reads all of them.
#
# Usage: testdata/compat/make.sh PROGRAM   (a program of that version: make build VERSION=0.1.0 leaves bin/autolora)
set -euo pipefail

program=$(realpath -- "${1:?is missing: a program of the version, as bin/autolora}")
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$("$program" version)
version=${version#autolora }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/model"
cp ../nn/bert-tiny/{config.json,model.safetensors} "$work/model/"
{
	printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' good bad film a the so-so
	for n in {11..119}; do echo "[unused$n]"; done
} >"$work/model/vocab.txt"
{
	echo title,label
	for _ in {1..10}; do printf '%s\n' 'a good film,good' 'the bad film,bad' 'a film,so-so'; done
} >"$work/table.csv"

cd "$work"
export OMP_NUM_THREADS=1
run=("$program" run --model model --train table.csv --dev table.csv --steps 8 --batch-size 4 --quiet)
"${run[@]}" --out complete --search-steps 4
"${run[@]}" --out killed --search-steps 20 --save-every 2 &
until [[ -e killed/checkpoint/state.safetensors ]]; do kill -0 $! && sleep 0.002; done
kill -KILL $!
wait $! || true

rm -rf complete/{.autolora,losses.json,report.html} killed/.autolora/lock
cd - >/dev/null
rm -rf "$version"
mkdir "$version"
cp -r "$work"/{complete,killed,table.csv} "$version/"
cp "$work/model/vocab.txt" "$version/"
du -sh "$version"
