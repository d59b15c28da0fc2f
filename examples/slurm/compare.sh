#!/usr/bin/env bash
# A comparison spread over eight machines: sbatch examples/slurm/compare.sh
# Every task of the array makes its share of the runs. The same command goes on where it was stopped.
#SBATCH --job-name=autolora-compare
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

# MODEL and DATA are folders, and OUT is a folder to make, on a file system that all machines share.
: "${MODEL:=$HOME/models/roberta-base}" "${DATA:=$HOME/glue/MRPC}" "${OUT:=$HOME/out/mrpc}"

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" autolora compare --task mrpc --data "$DATA" --model "$MODEL" --seeds 5 \
	--device cuda --out "$OUT" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
