#!/usr/bin/env bash
# On a machine with a GPU and torch: DATA is what `gpu.py pack` wrote, OUT takes the results.
# STAGES: probe, or some of tune,search,random,finals; more options go to gpu.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$1 out=$2 stages=${3:-search,random,finals}
shift $(( $# < 3 ? $# : 3 ))
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
exec python3 experiments/discovery/gpu.py "$stages" "$data" "$out" "$@"
