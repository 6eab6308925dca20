"""Set runs of the write engine with several seeds together: python scripts/real_model_seeds.py RUN RUN RUN

Each RUN was judged by `real_model.py`. Prints accuracies, differences and goals over all of them as Markdown: intervals
over users and seeds, each seed's own differences beside them, and claims checked against scores (SPI), summed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from real_model import compare, tables

from plus.errors import PlusError, RunError
from plus.evaluate.markdown import table
from plus.evaluate.predictions import Prediction
from plus.jsonl import read_json, read_jsonl

SHOWN = ("plus - zero_shot", "plus - nothing", "plus - plus, shuffled", "plus - imitation", "plus - in_context")


def predictions(runs: Sequence[Path]) -> dict[str, list[Prediction]]:
    """Read the predictions of every method. Raises RunError where two runs have one seed, or methods differ."""
    found: dict[str, list[Prediction]] = {}
    seeds, methods = set[int](), []
    for run in runs:
        made = [Prediction(**row) for row in read_jsonl(run / "predictions.jsonl")]
        if repeated := seeds & (own := {p.seed for p in made}):
            raise RunError(f"{run} has seed {min(repeated)}, as a run before it; give runs of different seeds")
        seeds |= own
        methods.append({p.method for p in made})
        for p in made:
            found.setdefault(p.method, []).append(p)
    if odd := set.union(*methods) - set.intersection(*methods):
        raise RunError(f"{min(odd)} was judged in some of the runs only; judge all with real_model.py --imitation")
    return found


def by_seed(judged: Sequence[Mapping[str, Any]]) -> str:
    """Write each seed's differences on controversial choices as a table."""
    groups = [next(iter(one["groups"].values()))["differences"] for one in judged]
    return table(
        ["controversial, by run", *(str(place) for place in range(1, len(groups) + 1))],
        [
            [name, *(f"{group[name]['controversial'][0]:+.3f}" for group in groups)]
            for name in SHOWN
            if name in groups[0]
        ],
    )


def claims(judged: Sequence[Mapping[str, Any]]) -> str:
    """Sum the claims of all runs."""
    rows = []
    for name in judged[0]["claims"]:
        right, wrong, unsure = (sum(one["claims"][name][key] for one in judged) for key in ("right", "wrong", "unsure"))
        rows.append([name, str(right), str(wrong), str(unsure), f"{right / max(1, right + wrong):.3f}"])
    return table(["text", "right", "wrong", "unsure", "precision"], rows)


def main(runs: Sequence[Path]) -> None:
    """Print the page."""
    judged = [read_json(run / "real_model.json") for run in runs]
    found = predictions(runs)
    users = len({(p.seed, p.user_id) for p in found["plus"]})
    group = next(iter(judged[0]["groups"]))
    pooled = {"dataset": judged[0]["dataset"], "groups": {group: compare(found)}}
    parts = [
        f"{len(runs)} seeds, {users} test users, {len(found['plus']):,} choices; 95 % intervals over users and seeds.",
        *tables(pooled),
        by_seed(judged),
        *([claims(judged)] if "claims" in judged[0] else []),
    ]
    print("\n\n".join(part for part in parts if part))


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:]] or sys.exit("real_model_seeds: give the folders of judged runs"))
    except PlusError as error:
        sys.exit(f"real_model_seeds: {error}")
