#!/usr/bin/env bash
# Trains a recipe on the nodes of a Slurm job: one launcher per node, one process per GPU. OUT lies on a shared disk.
#   sbatch --nodes=4 --gpus-per-node=8 pipelines/slurm_train.sh RECIPE OUT [--set key=value]…
# Slurm sends SIGTERM two minutes before the time is up: the run saves; requeued, it goes on where it stood.
#SBATCH --job-name=cosmos_train
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
recipe=$1 out=$2
shift 2
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
exec srun --kill-on-bad-exit=1 --wait=60 python -m cosmos_train launch "$recipe" \
  --out "$out" --resume --nproc "${SLURM_GPUS_ON_NODE:-1}" --nnodes "$SLURM_JOB_NUM_NODES" \
  --rdzv "$head:$((20000 + SLURM_JOB_ID % 20000))" --job "$SLURM_JOB_ID" --restarts 2 --grace 100 "$@"
