#!/usr/bin/env bash
# Trains language models of today, on real weights: Gemma 3 270M as a classifier of SST-2, and Gemma 3 270M and
# SmolLM2-135M-Instruct on 300 conversations made of E2E (e2e_chats.py), the one without a chat template, the other with
# its own, whose held-out loss is that of 60 others. LoRA on all linear layers, r = 8. The same command goes on where it
# was stopped.
#
# Usage: scripts/study_models.sh --data DIR [--out DIR] [--dry-run] [-- flags of every run]
#
# DIR of --data has SST-2 and E2E's trainset.csv and devset.csv somewhere in it; the default --out is
# out/reproduce/models-small.
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=sst2
SMALL_TASKS=sst2
METHODS=lora
NAME=models
SMALL_SEEDS=2
SMALL_MODEL=third_party/models/gemma-3-270m
FETCH_SMALL_MODEL=scripts/fetch_gemma3.sh
SMOLLM2=third_party/models/SmolLM2-135M

usage() { about; }

# table NAME prints the path of a table of E2E.
table() {
	local found
	found=$(find "$DATA" -name "$1" -print -quit)
	[[ -n $found ]] || fail "no $1 in $DATA: E2E's files are those of github.com/tuetschek/e2e-dataset"
	echo "$found"
}

# chat NAME MODEL trains a model on the conversations.
chat() {
	once "$OUT/chat/$1/seed-1" train --model "$2" --train "$OUT/chat/train.jsonl" --dev "$OUT/chat/dev.jsonl" --max-length 256 \
		--batch-size 4 --epochs 1 --eval-every 25 --seed 1 --method lora "${LORA[@]}"
}

LORA=(--target all-linear --rank 8 --lora-alpha 16 --lr 5e-4)
begin --small "$@"
if ! $DRY_RUN; then
	[[ -n $DATA ]] || wrong "--data: a folder with SST-2 and E2E is missing"
	[[ -d $SMOLLM2 ]] || fail "no model $SMOLLM2: fetch it with scripts/fetch_smollm2.sh"
	train=$(table trainset.csv)
	dev=$(table devset.csv)
	mkdir -p "$OUT/chat"
	python3 scripts/e2e_chats.py "$train" 300 >"$OUT/chat/train.jsonl"
	python3 scripts/e2e_chats.py "$dev" 60 >"$OUT/chat/dev.jsonl"
fi
chat smollm2 "$SMOLLM2"
chat gemma3 "$MODEL"
once "$OUT/sst2" compare --methods lora --seeds "$SEEDS" --model "$MODEL" --task sst2 --data "${FOLDERS[sst2]:-DATA}" --steps 100 "${LORA[@]}"
