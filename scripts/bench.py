"""A training step beside stock TRL's, part by part: python scripts/bench.py [--quick] [--json] [--device cuda]

Ratios are stock / ours, medians of alternating steps in one process; docs in scripts/speed/measure.py.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from speed import measure, report
from speed.setup import Setup


def peak(name: str, context: int, device: str) -> int:
    """Bytes at the peak of one step in a process of its own."""
    command = [sys.executable, __file__, "--peak", name, "--contexts", str(context), "--device", device]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return int(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, nothing else")
    parser.add_argument("--quick", action="store_true", help="1,024 context tokens only, few steps, no growth")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--contexts", type=int, nargs="+", help="tokens of a history (default 1024 4096; on a GPU 1024 8192)"
    )
    parser.add_argument("--peak", choices=measure.SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore")
    started, cuda = time.perf_counter(), args.device == "cuda"
    contexts = args.contexts or ([1024] if args.quick else [1024, 8192] if cuda else [1024, 4096])
    with tempfile.TemporaryDirectory() as folder:
        if args.peak:
            print(measure.peak_memory(args.peak, Setup(contexts[0], device=args.device), Path(folder)))
            return
        result = {"device": report.card(args.device), "date": time.strftime("%Y-%m-%d"), "contexts": {}}
        for context in contexts:
            setup = Setup(context, device=args.device)
            row = measure.measure(setup, (2 if args.quick else 5) if context <= 1024 or cuda else 2, Path(folder))
            if cuda or context == min(contexts):
                row["peak_bytes"] = {name: peak(name, context, args.device) for name in ("stock", "ours")}
                row["memory_ratio"] = row["peak_bytes"]["stock"] / row["peak_bytes"]["ours"]
            result["contexts"][str(context)] = row
            print(report.table(context, row), file=sys.stderr, flush=True)
        if not args.quick:
            result |= measure.growth(max(contexts), args.device, Path(folder))
    result["seconds"] = time.perf_counter() - started
    print(json.dumps(result, indent=2) if args.json else report.markdown(result))


if __name__ == "__main__":
    main()
