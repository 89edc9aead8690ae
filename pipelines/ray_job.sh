#!/usr/bin/env bash
# Runs a build as a job of a Ray cluster where all nodes reach ROOT (object storage, or a shared disk) and have interlink
# installed:  RAY_ADDRESS=http://HEAD:8265 pipelines/ray_job.sh RECIPE ROOT [--set key=value]…
set -euo pipefail
recipe=$1 root=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
# The job's own driver connects to the cluster it runs on (`auto`); the recipe travels with the job.
ray job submit --working-dir "$here/pipelines" -- \
  python -m interlink build "$(basename "$recipe")" --root "$root" --executor ray --set executor.address=auto "$@"
