#!/bin/sh
# Policies of the tiny world, on two CPU cores: scripts/policy_tiny.sh [--quick] [OUT]
# Resumable: run it again and only what is missing is computed.
set -eu
cd "$(dirname "$0")/.."
quick=""
if [ "${1:-}" = "--quick" ]; then quick="--quick"; shift; fi
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1
exec "${PYTHON:-python}" scripts/policy_tiny.py ${quick} "${1:-runs/policy-tiny${quick}}"
