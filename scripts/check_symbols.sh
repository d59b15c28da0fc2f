#!/usr/bin/env bash
# Checks that programs and libraries ask for no later glibc and libstdc++ than these.
#
# Usage: scripts/check_symbols.sh GLIBC GLIBCXX FILE...   (2.28 3.4.24)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 3 999 "$@"
glibc=$1 glibcxx=$2
shift 2
later() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | tail -n 1) == "$1" ]]; }
status=0
for file in "$@"; do
	while read -r kind version symbol; do
		limit=$glibc
		[[ $kind == GLIBC ]] || limit=$glibcxx
		if later "$version" "$limit"; then
			echo "$file: $symbol is of ${kind}_$version, want at most ${kind}_$limit" >&2
			status=1
		fi
	done < <(objdump -T "$file" | sed -nE 's/.*\*UND\*.*\(?\b(GLIBC|GLIBCXX)_([0-9.]+)\)? +(\S+)$/\1 \2 \3/p' | sort -u)
done
exit $status
