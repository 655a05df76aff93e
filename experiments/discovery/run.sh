#!/usr/bin/env bash
# The discovery run on the cores of one machine, from the repository's root:
#
#     bash experiments/discovery/run.sh [OUT]
#
# A search of SPACE, a random search of as many networks, then long trainings of both fronts by
# student.yaml. Every stage goes on where it was stopped, so give the same command again. PublicTest
# is looked at by the long trainings; PrivateTest is read once for each of their networks. MACS limits
# the multiply-accumulates of a network.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=experiments/discovery
space=${SPACE:-fer_tiny} data=${DATA:-fer2013} evaluations=${EVALUATIONS:-32} seed=${SEED:-1}
workers=${WORKERS:-2} seeds=${SEEDS:-1} top=${TOP:-4} python=${PYTHON:-python}
out=${1:-$here/$space}
mkdir -p "$out"
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1

search() {  # name, algorithm
  if [ -e "$out/$1" ]; then
    set -- --resume "$out/$1"
  else
    set -- --space "$space" --data "$data" --config $here/search.yaml --algorithm "$2" \
      --seed "$seed" --run-dir "$out/$1" ${MACS:+--set "constraints=[{name: macs, at_most: $MACS}]"}
  fi
  "$python" -m nas.search "$@" --workers "$workers" --evaluations "$evaluations"
}

search search nsga2+gp
search random random
for name in search random; do
  "$python" -m nas.retrain --front "$out/$name" --top "$top" --data "$data" --seeds "$seeds" \
    --recipe $here/student.yaml --workers "$workers" --out "$out/$name-long"
done
"$python" $here/compare.py "$out"
