#!/usr/bin/env bash
# One run over two machines with four GPUs each: sbatch examples/slurm/run.sh
# The processes share every batch; process 0 writes. The same command goes on where it was stopped.
#SBATCH --job-name=autolora-run
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

# MODEL and DATA are folders, and OUT is a folder to make, on a file system that all machines share.
: "${MODEL:=$HOME/models/roberta-large}" "${DATA:=$HOME/glue/QQP}" "${OUT:=$HOME/out/qqp}"

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${hosts[0]} MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK MODEL DATA OUT

# srun starts this once for every process, which is told of the others as by torchrun.
# shellcheck disable=SC2016 # the variables are those of every process
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 bash -c '
export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
exec autolora run --task qqp --data "$DATA" --model "$MODEL" --device cuda --out "$OUT" --resume
'
