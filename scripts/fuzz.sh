#!/usr/bin/env bash
# Runs every fuzz target for a short time: scripts/fuzz.sh [TIME] [PACKAGE FOLDER...]; 10s and all by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

time=${1:-10s}
shift || true
folders=("$@")
((${#folders[@]} > 0)) || folders=(autolora cmd data nn torchbind)

found=0
while IFS=: read -r file line; do
	name=${line#func }
	name=${name%%(*}
	found=$((found + 1))
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")"
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' "${folders[@]}")
((found > 0)) || {
	echo "fuzz.sh: no fuzz target in ${folders[*]}" >&2
	exit 1
}
