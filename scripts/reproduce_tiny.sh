#!/usr/bin/env bash
# The evidence on synthetic users, from nothing: bash scripts/reproduce_tiny.sh OUT
#
# Makes a tiny base for each family of data and each seed, trains every method on it, audits seed 0 against
# seed 1, and writes OUT/evidence.md: all tables, the promises of plus/benchmark/evidence.toml (status 1
# where one is missed), and what it took. Two processes of one thread each, since two of two threads
# stall one another. Stopped at any moment, the same command continues.
#
# SEEDS=1 runs fewer seeds; QUICK=1 only shows that it runs (minutes; its figures are no evidence); PYTHON
# names another interpreter.
set -euo pipefail
out=${1:?usage: bash scripts/reproduce_tiny.sh OUT}
python=${PYTHON:-python}
seeds=${SEEDS:-5}
here=$(dirname "$0")
quick=${QUICK:+--quick}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore

mkdir -p "$out/logs"
for family in styles pets_ood pets; do # the longest first
    for seed in $(seq 0 $((seeds - 1))); do echo "$family $seed"; done
done | xargs -P 2 -L 1 sh -c \
    '"$0" "$1" "$2" "$4" "$5" $3 2>>"$2/logs/$4-$5.log" && echo "$4, seed $5: done"' \
    "$python" "$here/reproduce_cells.py" "$out" "$quick"

if [ "$seeds" -gt 1 ]; then
    for data in pets styles; do
        if [ ! -e "$out/audits/$data" ]; then
            mkdir -p "$out/audits"
            rm -rf "$out/audits/.$data.partial"
            "$python" -m plus audit "$out/$data/runs/$data-0" --other_run "$out/$data/runs/$data-1" \
                --output_dir "$out/audits/.$data.partial" >/dev/null 2>>"$out/logs/audit-$data.log"
            mv "$out/audits/.$data.partial" "$out/audits/$data"
        fi
    done
fi
"$python" "$here/reproduce_cells.py" "$out" report "$seeds" $quick 2>>"$out/logs/report.log"
