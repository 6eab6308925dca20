"""A data set's card: YAML front matter that the Hub reads, then what is in it and what was left out."""

from __future__ import annotations

from pathlib import Path

from plus.sources.check import Check

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = {
    "prompt, chosen, rejected": "TRL's preference columns, each a list of messages",
    "completion, label": "instead of chosen and rejected where the user liked or disliked one answer",
    "messages": "instead of a prompt where a conversation has no label",
    "user_id": "whose row it is, as text",
    "session_id": "what belongs together, or empty",
    "timestamp": "seconds since 1970 (UTC), or null",
    "source": "where the row comes from",
    "split": "train, validation or test",
}


def card(found: Check, licence: str = "unknown", title: str = "") -> str:
    """The card as Markdown."""
    facts = found.as_dict()
    size = next((name for limit, name in _SIZES if found.kept < limit), "n>1M")
    spread = facts["events_per_user"]
    lines = [
        "---", f"license: {licence}", "tags:", "- preference", "- personalization", "- trl", "- plus",
        "size_categories:", f"- {size}", "---", "",
        f"# {title or Path(found.source).name}", "",
        f"{found.kept:,} rows of {facts['users']:,} users"
        + (f", {spread['min']} to {spread['max']} each (median {spread['median']})." if spread else "."), "",
        f"- shape: {found.shape}",
        f"- timestamps: {_counts(facts['timestamps'])}",
        f"- splits: {_counts(facts['splits'])}",
        f"- prompts in the middle of a conversation: {found.multi_turn:,}",
        f"- mean answer: {facts['mean_answer_characters']:,} characters", "",
        "## Columns", "", "As `plus data split` writes them; `trl reward` trains on the choices unchanged.", "",
        "| column | what |", "|---|---|", *(f"| {name} | {what} |" for name, what in _COLUMNS.items()), "",
        "## Left out", "", *([f"- {line}" for line in found.dropped.lines()] or ["Nothing."]),
    ]  # fmt: skip
    notes = found.notes()
    return "\n".join([*lines, *(["", "## Notes", "", *(f"- {note}" for note in notes)] if notes else [])]) + "\n"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"
