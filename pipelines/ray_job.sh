#!/usr/bin/env bash
# Runs a build as a job of a Ray cluster where all nodes reach ROOT (object storage, or a shared disk) and have interlink
# installed:  RAY_ADDRESS=http://HEAD:8265 pipelines/ray_job.sh RECIPE ROOT [--set key=value]…
set -euo pipefail
recipe=$1 root=$2
shift 2
# A recipe file travels with the job; one that comes with interlink is on every node.
job=(ray job submit)
if [ -f "$recipe" ]; then
  folder=$(mktemp -d)
  trap 'rm -r "$folder"' EXIT
  cp "$recipe" "$folder/"
  recipe=$(basename "$recipe")
  job+=(--working-dir "$folder")
fi
# The job's own driver connects to the cluster it runs on (`auto`).
"${job[@]}" -- python -m interlink build "$recipe" --root "$root" --executor ray --set executor.address=auto "$@"
