"""UF-P-2 and UF-P-4 on a hand-made file: counts and labels of a worked example, and each rule alone."""

from __future__ import annotations

import json

import pytest

from plus.errors import SourceError
from plus.sources import ultrafeedback
from plus.sources.ultrafeedback import QUALITIES, build
from plus.types import Preference

# prompt -> ratings of the chosen and of the rejected answer, in the order of QUALITIES:
# helpfulness, honesty, instruction_following, truthfulness.
WORKED = {
    "agree": ((5, 5, 5, 5), (1, 1, 1, 1)),
    "helpful one": ((5, 2, 3, 3), (1, 4, 3, 3)),
    "honest one": ((2, 5, 3, 3), (4, 1, 3, 3)),
    "tie in help": ((3, 5, 3, 3), (3, 1, 3, 3)),
    "tie in both": ((3, 3, 3, 3), (3, 3, 3, 3)),
    "unrated": (("N/A", 5, 3, 3), (4, 1, 3, 3)),
}


def write(folder, rows: dict, binarized_only=()):
    """Files in the shapes of openbmb/UltraFeedback and argilla/...-binarized-preferences-cleaned."""

    def completion(text, ratings):
        annotations = {q: {"Rating": str(r), "Rationale": ""} for q, r in zip(QUALITIES, ratings, strict=True)}
        return {"response": text, "annotations": annotations, "model": "m"}

    def dialogue(prompt, text):
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]

    folder.mkdir(exist_ok=True)
    rated = [
        {
            "instruction": p,
            "source": "s",
            "completions": [completion(f"good {p}", c), completion(f"bad {p}", r), completion("third", c)],
        }
        for p, (c, r) in rows.items()
    ]
    binary = [
        {
            "prompt": p,
            "chosen": dialogue(p, f"good {p}"),
            "rejected": dialogue(p, f"bad {p}"),
            "chosen-rating": 4.0,
            "source": "s",
        }
        for p in (*rows, *binarized_only)
    ]
    for name, lines in (("ultrafeedback.jsonl", rated), ("binarized.jsonl", binary)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def many(count: int = 60) -> dict:
    """Rows on which helpfulness and honesty differ, every second one the other way round."""
    sides = ((5, 1, 5, 1), (1, 5, 1, 5))
    return {f"row {n}": (sides[n % 2], sides[1 - n % 2]) for n in range(count)}


def labels(population, user: str) -> dict[str, Preference]:
    return {e.target.prompt: e.target for e in population.examples if e.history.user_id.startswith(f"{user}-")}


def test_the_worked_example(tmp_path):
    """Of six rows one lacks a rating and one is agreed on; two are tied, and a coin decides those."""
    folder = write(tmp_path / "uf", WORKED, binarized_only=["missing"])
    population = build("uf", folder, QUALITIES[:2], seed=0, past_events=(1, 1), copies=1, pool=1)
    dropped = population.dropped
    assert dropped["rows whose answers lack a whole-number rating of each quality"] == 2
    # "tie in help": honesty keeps the order, so the row is controversial when the coin swaps it.
    kept = 2 + (4 - 2) - (dropped["rows that all users agree on"] - 1)
    assert dropped["rows that all users agree on"] in (1, 2, 3)
    assert dropped["survey rows, which are context and no target"] == 1
    assert len(population.examples) == (kept - 1) * 2
    helpful, honest = labels(population, "helpfulness"), labels(population, "honesty")
    good = {p: Preference(p, f"good {p}", f"bad {p}") for p in WORKED}
    for prompt in helpful:
        assert helpful[prompt] == honest[prompt].swapped()
    if "helpful one" in helpful:
        assert helpful["helpful one"] == good["helpful one"]
    if "honest one" in helpful:
        assert honest["honest one"] == good["honest one"]


def test_every_label_follows_the_rating(tmp_path):
    population = ultrafeedback.build(
        "uf", write(tmp_path / "uf", many()), QUALITIES[:2], seed=1, pool=10, past_events=(2, 2)
    )
    helpful, honest = labels(population, "helpfulness"), labels(population, "honesty")
    assert len(helpful) == len(honest) == 50
    for prompt, pair in helpful.items():
        even = int(prompt.split()[1]) % 2 == 0
        assert pair.chosen.startswith("good" if even else "bad")
        assert honest[prompt] == pair.swapped()
    assert len(population.split("test")) == pytest.approx(12, abs=2 * 6)
    assert {user.split("-")[0] for user in population.histories} == {"helpfulness", "honesty"}


def test_tie_rules(tmp_path):
    """40 rows tied in helpfulness: the published coin keeps about half as controversial; dropping keeps none."""
    tied = {f"tie {n}": ((3, 5, 3, 3), (3, 1, 3, 3)) for n in range(40)}
    folder = write(tmp_path / "uf", {**many(), **tied})
    coin = build("uf", folder, QUALITIES[:2], 0, "coin", (2, 2), pool=10)
    drop = build("uf", folder, QUALITIES[:2], 0, "drop", (2, 2), pool=10)
    assert drop.dropped["rows with equal ratings"] == 40 and not any(
        "tie" in prompt for prompt in labels(drop, "honesty")
    )
    flipped = 40 - coin.dropped["rows that all users agree on"]
    assert 10 < flipped < 30
    assert coin.dropped["rows with equal ratings"] == 0
    assert labels(build("uf", folder, QUALITIES[:2], 0, "coin", (2, 2), pool=10), "honesty") == labels(coin, "honesty")


def test_k_rules(tmp_path):
    """UF-P-2: eight past choices and eight copies in training; UF-P-4: two to eight, four copies."""
    four = {
        f"row {n}": (
            tuple(5 if (n >> q) & 1 else 1 for q in range(4)),
            tuple(1 if (n >> q) & 1 else 5 for q in range(4)),
        )
        for n in range(16)
    }
    folder = write(tmp_path / "uf", {f"{p} of {k}": r for k in range(30) for p, r in four.items()})
    p2, p4 = ultrafeedback.load_p2(folder), ultrafeedback.load_p4(folder)
    assert {len(h.events) for h in p2.histories.values()} == {8}
    assert {len(h.events) for h in p4.histories.values()} <= set(range(2, 9)) and len(
        {len(h.events) for h in p4.histories.values()}
    ) > 3
    for population, copies in ((p2, 8), (p4, 4)):
        targets = {}
        for example in population.examples:
            targets.setdefault((example.split, example.history.user_id.rsplit("-", 1)[0]), []).append(example)
        assert {len(group) for (split, _), group in targets.items() if split == "train"} == {copies}
        assert {len(group) for (split, _), group in targets.items() if split == "test"} == {1}
    # What is unique about UF-P-4: no other user agrees with all of a context.
    by_id = {e.id.split("-")[1]: {} for h in p4.histories.values() for e in h.events}
    for history in p4.histories.values():
        for event in history.events:
            user, row = event.id.split("-")[:2]
            by_id[row][user] = event.content
    for history in p4.histories.values():
        rows = [event.id.split("-")[1] for event in history.events]
        user = history.user_id.split("-")[0]
        agree = [u for u in QUALITIES if all(by_id[row].get(u) == by_id[row][user] for row in rows)]
        assert agree == [user]


def test_pool_rule(tmp_path, monkeypatch):
    """Survey rows are contexts and never targets; with the published rule, a target would stand in its own context."""
    population = build("uf", write(tmp_path / "uf", many()), QUALITIES[:2], 0, pool=20, past_events=(8, 8), copies=2)
    targets = {e.target.prompt for e in population.examples}
    read = {event.content.prompt for h in population.histories.values() for event in h.events}
    assert len(read) == 20 and not targets & read
    assert population.dropped["survey rows, which are context and no target"] == 20
    train = {e.target.prompt for e in population.split("train")}
    test = {e.target.prompt for e in population.split("test")}
    assert not train & test and len(train) == 60 - 6 - 20 and len(test) == 6


def test_the_same_seed_gives_the_same_rows_in_any_order(tmp_path):
    rows = many()
    one = write(tmp_path / "a", rows)
    two = write(tmp_path / "b", dict(reversed(rows.items())))
    options = {"users": QUALITIES[:2], "seed": 3, "pool": 10, "past_events": (2, 4)}
    first, second = build("uf", one, **options), build("uf", two, **options)
    assert first.examples == second.examples
    assert first.examples != build("uf", one, **{**options, "seed": 4}).examples


def test_too_few_rows_and_half_a_source_are_named(tmp_path):
    with pytest.raises(SourceError, match="controversial training rows for its survey and a context holds up to 8"):
        ultrafeedback.load_p2(write(tmp_path / "few", WORKED))
    (tmp_path / "few" / "binarized.jsonl").unlink()
    with pytest.raises(SourceError, match="holds no rows with chosen and rejected"):
        ultrafeedback.load_p2(tmp_path / "few")
