#!/usr/bin/env bash
# Copies what runs measured, without the models and adapters that they trained, into a folder to be kept, and reports on
# it: config.json, results.json, ranks.json, grid.json, metrics.jsonl and hypotheses.txt of every finished run,
# report.html, tables.md, and the heat map of the ranks.
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
	for name in config.json results.json ranks.json grid.json metrics.jsonl hypotheses.txt; do
		[[ ! -f $run/$name ]] || cp "$run/$name" "$kept/${run#"$runs"}/$name"
	done
done < <(find "$runs" -name results.json | sort)
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
bin/autolora report "$kept" --out "$report" >"$kept/report.txt"
sed -i "s|$report|report|g" "$kept/report.txt"
cp "$report/report.html" "$report/tables.md" "$kept/"
cp "$report/ranks.png" "$kept/" 2>/dev/null || true # where no method learned ranks there is none
