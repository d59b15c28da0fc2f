#!/usr/bin/env bash
# Copies what runs measured, without the models and adapters that they trained, into a folder to be kept: config.json,
# results.json, losses.json, ranks.json, grid.json, tune.json, prune.json and hypotheses.txt of every finished run,
# compare.json of comparisons, grid.csv in the place of the runs of a grid, and the tables of all (tables.md). The page and
# the pictures come again by `autolora report FOLDER`.
#
#   scripts/keep_results.sh out/reproduce/glue-small results/glue-small
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

(($# == 2)) || { echo "usage: scripts/keep_results.sh RUNS FOLDER" >&2; exit 2; }
runs=$1 kept=$2
[[ -d $runs ]] || { echo "keep_results.sh: no folder $runs" >&2; exit 1; }
rm -rf "$kept"
while IFS= read -r file; do
	run=$(dirname "$file")
	mkdir -p "$kept/${run#"$runs"}"
	for name in compare.json config.json results.json losses.json ranks.json grid.json tune.json prune.json hypotheses.txt; do
		[[ ! -f $run/$name ]] || cp "$run/$name" "$kept/${run#"$runs"}/$name"
	done
done < <(find "$runs" \( -name .autolora -o -name grid \) -prune -o \( -name results.json -o -name compare.json \) -print | sort)
while IFS= read -r file; do
	cp "$file" "$kept/${file#"$runs"}"
done < <(find "$runs" -name grid.csv)
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
bin/autolora report "$kept" --out "$report" >/dev/null
cp "$report/tables.md" "$kept/"
