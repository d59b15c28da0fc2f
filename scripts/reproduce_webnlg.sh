#!/usr/bin/env bash
# Fine-tunes GPT-2 medium on WebNLG (2017) with every method, writes a text for every input of the test set, and sets BLEU,
# METEOR and TER beside the paper's: the right half of its Table 2. The scores are also given for the inputs of categories
# that the training set has, and of those that it has not. The paper's numbers may be of GPT-2 small, --model gpt2: see
# reproduce_e2e.sh.
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=webnlg
SMALL_TASKS=webnlg
METHODS=full,adapter,lora,adalora,autolora
compare_decoders
reproduce "$@"
