#!/usr/bin/env bash
# The paper's table (arXiv 2507.13579) with its models and data: bash scripts/reproduce_paper.sh OUT [--dry-run]
#
# Qwen2.5-3B-Instruct writes, Qwen2.5-0.5B-Instruct reads (scripts/configs/paper.yaml, which says what differs): pets
# and unseen pets (our mirrored sets), UF-P-2, UF-P-4 and PRISM from the Hub, 3 seeds, every method of the table
# and its shuffled user, then an audit of seed 0 read by seed 1. Needs a GPU of 80 GB and the Hub; --dry-run
# prints the commands. Stopped at any moment, the same command continues. CONFIG names other options (a
# 3B reward model, say), SEEDS another number, PYTHON another interpreter. Not run by whoever wrote it:
# there was no such machine.
set -euo pipefail
out=${1:?usage: bash scripts/reproduce_paper.sh OUT [--dry-run]}
dry=${2:-}
here=$(dirname "$0")
python=${PYTHON:-python}
config=${CONFIG:-$here/configs/paper.yaml}
seeds=${SEEDS:-3}
# The rows of the paper's table; DPL, VPL and the low-rank head read frozen states of the reward model's base.
methods=bradley_terry,dpl_mean_variance,dpl_categorical,vpl,low_rank,in_context,untrained,plus,oracle

refuse() { echo "reproduce_paper: $1; $0 $out --dry-run prints the commands" >&2; exit 2; }
run() { if [ "$dry" = --dry-run ]; then echo "$*"; else "$@"; fi; }
[ -z "$dry" ] || [ "$dry" = --dry-run ] || refuse "there is no option $dry"
if [ -z "$dry" ]; then
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
        refuse "no GPU that torch can use here, and these models need one of 80 GB"
    "$python" -c 'from huggingface_hub import HfApi; HfApi().model_info("Qwen/Qwen2.5-3B-Instruct", timeout=20)' 2>/dev/null ||
        refuse "the Hugging Face Hub cannot be reached from here, and models and data come from it"
fi
for data in pets pets_ood uf_p_2 uf_p_4 prism; do
    run "$python" -m plus benchmark --dataset_name "$data" --config "$config" --methods "$methods" --seeds "$seeds" \
        --output_dir "$out/$data"
    if [ "$seeds" -gt 1 ] && [ ! -e "$out/audits/$data" ]; then
        [ -n "$dry" ] || rm -rf "$out/audits/.$data.partial"
        run "$python" -m plus audit "$out/$data/runs/$data-0" --other_run "$out/$data/runs/$data-1" \
            --output_dir "$out/audits/.$data.partial"
        run mv "$out/audits/.$data.partial" "$out/audits/$data"
    fi
done
