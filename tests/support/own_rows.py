"""Rows of one's own: choices of some people between twelve statements, and files of them."""

from __future__ import annotations

import json
import random

STATEMENTS = [f"statement {word}" for word in ("ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st", "uv", "wx")]


def choices(people: int, each: int, prompt=lambda person, n: "Which?", answer=None) -> list[dict]:
    """Rows of `each` choices: `answer(person, n)` gives the two answers, by default two of twelve statements."""
    rows = []
    for person in range(people):
        rng = random.Random(person)
        for n in range(each):
            chosen, rejected = answer(person, n) if answer else rng.sample(STATEMENTS, 2)
            rows.append({"user_id": f"p{person}", "prompt": prompt(person, n), "chosen": chosen, "rejected": rejected})
    return rows


def written(path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def likes(label: bool) -> list[dict]:
    return [{"user_id": f"p{n}", "prompt": "q", "completion": f"answer {n}", "label": label} for n in range(9)]
