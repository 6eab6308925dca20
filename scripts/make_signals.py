"""Make `data/signals/head.safetensors`, the offline classifier of `plus signals`, and print how it does.

python scripts/make_signals.py [FOLDER]     # data/signals unless given; about a minute
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from safetensors.torch import save_file

from plus.models.embeddings import Embeddings, minilm
from plus.resources import shipped
from plus.signals import fit_head
from plus.signals.head import CLASSES, SignalHead


def main(folder: Path, cache: Path | None = None) -> None:
    encode = minilm()
    written, embeddings = fit_head.training_rows(folder), Embeddings(encode, cache)
    weights, unseen_NK = fit_head.fit(written, embeddings)
    save_file(
        {name: value.contiguous() for name, value in weights.items()},
        folder / "head.safetensors",
        {"classes": json.dumps(CLASSES)},
    )
    show("authors not seen, classes weighed equally", [row.label for row in written], unseen_NK.argmax(1).tolist())
    for author in sorted({row.author for row in written}):
        mine = [number for number, row in enumerate(written) if row.author == author]
        right = sum(CLASSES[unseen_NK[number].argmax()] == written[number].label for number in mine)
        print(f"  {author:<12} {len(mine):>5} rows, {right / len(mine):.3f} right")
    test = fit_head.test_rows(folder)
    made = SignalHead(encode, weights).probabilities([row.context for row in test])
    show("test, base rates of logs", [row.label for row in test], made.argmax(1).tolist())
    print(f"temperature {weights['temperature'].item():.2f}")


def show(name: str, labels: list[str], found: list[int]) -> None:
    """Macro-F1 and the confusion table."""
    table = Counter(zip(labels, (CLASSES[number] for number in found), strict=True))
    scores = []
    for one in CLASSES:
        claimed, real = (sum(table[(a, b)] for a in CLASSES for b in CLASSES if (b, a)[side] == one) for side in (0, 1))
        scores.append(2 * table[one, one] / max(1, claimed + real))
    print(f"{name}: {len(labels):,} turns, macro-F1 {sum(scores) / 3:.3f} ({', '.join(f'{s:.3f}' for s in scores)})")
    for one in CLASSES:
        print(f"  {one:<13}", {got: table[one, got] for got in CLASSES})


if __name__ == "__main__":
    main(*(map(Path, sys.argv[1:]) if len(sys.argv) > 1 else [shipped("signals")]))
