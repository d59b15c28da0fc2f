#!/usr/bin/env bash
# Runs every fuzz target for a short time.
#
# Usage: scripts/fuzz.sh [TIME [FOLDER...]]   (default 10s, and all packages)
set -euo pipefail
# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 99 "$@"
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
((found > 0)) || die "no fuzz target in ${folders[*]}"
