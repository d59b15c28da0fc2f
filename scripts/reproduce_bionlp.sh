#!/usr/bin/env bash
# Fine-tunes RoBERTa-base on JNLPBA ("BioNLP") with every method, and sets precision and F1 on the test set beside the
# paper's: its Table 3.
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=jnlpba
SMALL_TASKS=jnlpba
METHODS=full,adapter,lora,adalora,autolora
reproduce "$@"
