#!/usr/bin/env bash
# Sets what this program chooses beside what it could have chosen, on MiniLM, one seed, at the steps of reproduce.sh:
#   tune      beside the full grid of 6 rates, 4 sets of layers and 3 ranks, and beside the paper's settings
#   prune     of an adapter on all linear layers at r = 8 to a quarter and an eighth of its parameters, beside cuts at
#             random and small adapters trained from the start, each at a rate that trials chose
# The rows of the grid and the small adapters see all of the training data, as what tune chose does. Runs that end in an
# error (a rate at which a training diverges) are left out, and tried again by the same command, which goes on where it
# was stopped.
#
# Usage: scripts/study_choose.sh [--data DIR] [--out DIR] [--tasks T,…] [--dry-run] [-- flags of every run]
#
# DIR of --data is as reproduce_glue.sh takes it; the default --out is out/reproduce/choose-small.
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=sst2,qqp,mrpc,stsb,cola
SMALL_TASKS=sst2,qqp,mrpc
METHODS=lora
NAME=choose

# study FOLDER COMMAND FLAGS… makes a run of the task, if it is not complete.
study() {
	once "$OUT/$task/$1" "${@:2}" --task "$task" --data "${FOLDERS[$task]:-DATA}" --model "$MODEL" --seed 1 || FAILED+=("$task/$1")
}

# lora FOLDER RATE LAYERS RANK makes a training.
lora() { study "$1" train --method lora --steps "$steps" --lr "$2" --target "$3" --rank "$4" --lora-alpha "$((4 * $4))"; }

tune() {
	study tune tune --steps "$steps"
	lora paper 1e-4 query,value 4
	lora default 1e-3 query,value 4
}

grid() {
	local rate layers rank
	for rate in 2.5e-4 5e-4 1e-3 2e-3 4e-3 8e-3; do
		for layers in query,value attention feed-forward all-linear; do
			for rank in 1 4 16; do
				lora "grid/$layers-$rank-$rate" "$rate" "$layers" "$rank"
			done
		done
	done
	$DRY_RUN || grid_table >"$OUT/$task/grid.csv"
}

# grid_table prints what the runs of the grid came to.
grid_table() {
	echo layers,rank,rate,parameters,loss
	local run
	for run in "$OUT/$task/grid"/*/results.json; do
		[[ $run =~ grid/(.*)-([0-9]+)-([0-9.]+e-[0-9]+)/ ]] || continue
		printf '"%s",%s,%s,' "${BASH_REMATCH[@]:1}"
		awk '$1 == "\"loss\":" && !loss { loss = $2 } $1 == "\"adapter\":" { size = $2 } END { gsub(",", "", size); printf "%d,%.4f\n", size, loss }' "$run"
	done
}

prune() {
	lora whole auto all-linear 8
	local whole=(prune --adapter "$OUT/$task/whole") size by
	for size in 83k 41k; do # of 331,776
		for by in trained ablation random; do
			study "$by-$size" "${whole[@]}" --by "$by" --parameters "$size"
		done
	done
	for by in trained ablation; do
		study "$by-41k-50" "${whole[@]}" --by "$by" --parameters 41k --steps 50
	done
	lora small-83k auto all-linear 2
	lora small-41k auto all-linear 1
}

usage() { about; }

begin --small "$@"
FAILED=()
# The cheapest part of all tasks comes first: what is there when time ends is complete.
for part in prune tune grid; do
	for task in "${LIST[@]}"; do
		steps=$(small_steps "$task")
		"$part"
	done
done
((${#FAILED[@]} == 0)) || fail "not complete: ${FAILED[*]}"
