#!/usr/bin/env bash
# Copies what runs measured, without the models and adapters that they trained, into a folder to be kept: config.json,
# results.json, losses.json, ranks.json, grid.json, tune.json, prune.json and hypotheses.txt of every finished run,
# compare.json of comparisons, grid.csv in the place of the runs of a grid, and the tables of all (tables.md). The page and
# the pictures come again by `autolora report FOLDER`.
#
# Usage: scripts/keep_results.sh RUNS FOLDER   (out/reproduce/glue-small results/glue-small)
set -euo pipefail
# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 2 2 "$@"
runs=$(realpath -- "$1") kept=$(realpath -m -- "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ -d $runs ]] || die "no folder $1"
[[ $kept/ != "$runs"/* && $runs/ != "$kept"/* ]] || die "$2 is $1, in it, or around it: what it holds would be lost"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
while IFS= read -r file; do
	run=$(dirname "$file")
	copy=$WORK/kept${run#"$runs"}
	mkdir -p "$copy"
	for name in compare.json config.json results.json losses.json ranks.json grid.json tune.json prune.json hypotheses.txt; do
		[[ ! -f $run/$name ]] || cp "$run/$name" "$copy/"
	done
done < <(find "$runs" \( -name .autolora -o -name grid \) -prune -o \( -name results.json -o -name compare.json \) -print | sort)
[[ -d $WORK/kept ]] || die "no finished run in $1"
while IFS= read -r file; do
	cp "$file" "$WORK/kept${file#"$runs"}"
done < <(find "$runs" -name grid.csv)
bin/autolora report "$WORK/kept" --out "$WORK/report" >/dev/null
cp "$WORK/report/tables.md" "$WORK/kept/"
rm -rf "$kept"
mkdir -p "$kept"
cp -r "$WORK/kept/." "$kept/"
