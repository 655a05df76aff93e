#!/usr/bin/env bash
# On a machine with a GPU and torch: DATA is what `gpu.py pack` wrote, OUT takes the results.
# STAGE probe (a minute), run (ten), finals or tune; more options go to gpu.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$1 out=$2 stage=${3:-run}
shift $(( $# < 3 ? $# : 3 ))
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
exec python3 experiments/discovery/gpu.py "$stage" "$data" "$out" "$@"
