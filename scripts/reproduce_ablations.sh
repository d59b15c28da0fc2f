#!/usr/bin/env bash
# Searches and trains AutoLoRA and its three ablations on GLUE: without the constraint on the selection variables, with
# sigmoid in place of softmax, and without the second-order part (eta = 0). The paper's Table 4. With the --out of
# reproduce_glue.sh it takes the runs of AutoLoRA there as they are.
set -euo pipefail
# shellcheck source=scripts/reproduce.sh
. "$(dirname "${BASH_SOURCE[0]}")/reproduce.sh"

TASKS=cola,sst2,mrpc,qqp,mnli,qnli,rte,stsb
SMALL_TASKS=sst2,stsb
METHODS=autolora,autolora-none,autolora-sigmoid,autolora-eta0
CONTROLS=false
reproduce "$@"
