#!/usr/bin/env bash
# Fine-tunes RoBERTa-base on GLUE with every method, and sets the scores beside the paper's: its Table 1, with the sizes
# of the data sets (Table 6) and the heat map of the learned ranks (Figure 3, its rows for QQP and MNLI). Figure 2 is
#   scripts/reproduce_glue.sh --model roberta-large --tasks mrpc,qqp,sst2
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=cola,sst2,mrpc,qqp,mnli,qnli,rte,stsb
SMALL_TASKS=cola,mrpc,stsb,sst2
METHODS=full,adapter,lora,adalora,autolora
SMALL_METHODS=full,lora,adalora,autolora
reproduce "$@"
