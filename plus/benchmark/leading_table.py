"""Leading table of a benchmark on rows of one's own: plus against what it has to beat, beside another user's text.

All intervals of a group's table hold at once in 95 % of repeats (Bonferroni), and the tokens that each side read
stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plus.benchmark.cells import Results
from plus.benchmark.embedding_tables import by_slice, shared
from plus.evaluate import markdown
from plus.evaluate.intervals import corrected, paired_difference
from plus.evaluate.predictions import Prediction
from plus.measures import mean
from plus.sources.folds import CONTROVERSIAL

Slices = Mapping[str, Sequence[Prediction]]
OWN, ANOTHER = "own", "another user's"
SHUFFLED = ", shuffled"


def plus_of(k: int) -> str:
    """Name the method in the tables of all methods."""
    return f"extractive_{k}"


def opponents(k: int) -> dict[str, str]:
    """Map what plus is compared with to what that reads, in the order of the table."""
    return {
        "in_context": "the whole past",
        f"in_context_cut_{k}": "the newest events that fit in as many tokens as the summary has",
        f"random_{k}": f"{k} past events at random",
        "bradley_terry": "nothing",
    }


def leading(results: Results, k: int, groups: Sequence[str]) -> dict[str, Any]:
    """Compare plus with each opponent, in each group: {group: {"comparisons", "level", "rows"}}."""
    names = [name for one in (plus_of(k), *opponents(k)) for name in (one, one + SHUFFLED)]
    found = {name: by_slice(results.of(name)) for name in names}
    return {group: table for group in groups if (table := _group(found, k, group))}


def _group(found: Mapping[str, Slices], k: int, group: str) -> dict[str, Any]:
    slices = {"all": group, "controversial": group + CONTROVERSIAL}
    # Pairs of rows first: how many there are sets the level of each.
    pairs: dict[tuple[str, str, str], tuple[list[Prediction], list[Prediction]]] = {}
    for other in opponents(k):
        for text, suffix in ((OWN, ""), (ANOTHER, SHUFFLED)):
            theirs = other if other == "bradley_terry" else other + suffix
            for where, part in slices.items():
                both = shared(found[plus_of(k) + suffix].get(part, ()), found[theirs].get(part, ()))
                if both[0]:
                    pairs[other, text, where] = both
    level = corrected(len(pairs))
    rows: dict[str, dict[str, Any]] = {other: {} for other, _, _ in pairs}
    for (other, text, where), (ours, theirs_too) in pairs.items():
        rows[other].setdefault(text, {})[where] = list(paired_difference(ours, theirs_too, level=level))
    for other, row in rows.items():
        row["tokens"] = [_tokens(found[name].get(group, ())) for name in (plus_of(k), other)]
    return {"comparisons": len(pairs), "level": level, "rows": rows} if rows else {}


def _tokens(predictions: Sequence[Prediction]) -> float | None:
    counted = [p.tokens for p in predictions if p.tokens is not None]
    return mean(counted) if counted else None


def section(tables: Mapping[str, Any], k: int) -> list[str]:
    """Render the leading table in Markdown, a row for each group and opponent; nothing without a row."""
    if not tables:
        return []
    lines = [f"## plus ({plus_of(k)}) beside what it has to beat", ""]
    columns = ["test", "difference of accuracies", "all", "all, another user's text"]
    columns += ["controversial", "controversial, another user's text", "tokens read"]
    rows = [
        [group, f"plus - {other}", *_values(row), _both(row["tokens"])]
        for group, table in tables.items()
        for other, row in table["rows"].items()
    ]
    lines += [markdown.table(columns, rows), ""]
    reads = "; ".join(f"{name} reads {what}" for name, what in opponents(k).items())
    levels = "; ".join(
        f"{group}: {table['comparisons']} intervals, each at the {table['level']:.2%} level"
        for group, table in tables.items()
    )
    return [
        *lines,
        f"- plus is {plus_of(k)} of the tables below: it reads the {k} past events that it selects. {reads}.",
        "- another user's text: both sides are given the past of another test user (bradley_terry reads none).",
        f"- Corrected for the number of comparisons (Bonferroni, 1 - 0.05 / m): {levels}. All m intervals of a test "
        "hold at once in 95 % of repeats. The tables below are at 95 % each.",
        "- tokens read: the mean over test choices of plus's and the other's, one for four ASCII characters and one "
        "for any other character (an estimate).",
        "- controversial: both answers stand about equally with training users (shares at most 0.15 apart).",
        "",
    ]


def _values(row: Mapping[str, Any]) -> list[str]:
    return [
        markdown.values(row.get(text, {}).get(where), "+.3f")
        for where in ("all", "controversial")
        for text in (OWN, ANOTHER)
    ]


def _both(tokens: Sequence[float | None]) -> str:
    return " / ".join("0" if count is None else f"{count:.0f}" for count in tokens)
