#!/usr/bin/env bash
# One search on several nodes: sbatch docs/fleet/slurm.sh matmul --hw h200 --use-laws
#SBATCH --job-name=spak-fleet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --requeue
# For nodes with GPUs add: #SBATCH --gpus-per-node=8
set -euo pipefail

# A folder of this job's own, on a file system of all nodes; who can read its keys belongs to the fleet.
mkdir -p "spak-$SLURM_JOB_ID" && cd "spak-$SLURM_JOB_ID"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

# The scheduler, on the first node. FLEET_LISTEN: an interface or address, where the node's name is not what others reach.
spak fleet up --listen "${FLEET_LISTEN:-$(hostname)}" --keys keys --compilers 0 --no-gpus &
spak fleet status keys --seconds 120

# On every node a compiler for each of its cores, and a worker for each GPU that Slurm shows it.
srun --overlap --cpus-per-task="$SLURM_CPUS_PER_TASK" spak fleet join keys &
spak fleet status keys --seconds 120 --workers "$((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK))"

# A job that was preempted, or whose node failed, is queued again and goes on with its search.
shopt -s nullglob
begun=(.spak/journal/*.jsonl)
tune "$@" --fleet keys ${begun:+--resume "$(basename "${begun[-1]}" .jsonl)"}
