"""The run folder's README.md: a model card for both models, from the run's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = """---
library_name: transformers
tags: [plus, preference, reward-model, personalization, trl]
base_model: {base}
---

# Summarizer and reward model for {dataset}

Trained together with plus (PLUS, arXiv 2507.13579): `summarizer/` writes a short text about a user
from their past choices, `reward_model/` predicts the user's next choice from that text.

    import plus
    p = plus.load("{folder}")
    p.summarize([{{"prompt": "...", "chosen": "...", "rejected": "..."}}])

## Judged on users it has never met

{users:,} users, {targets:,} choices; ties count one half. {verdict}.

| what | accuracy |
|---|---|
{rows}

`shuffled`, `empty` and `opposite` are the same choices read with another user's summary, with none,
and with that of a user who chose the opposite: personalization is real only as far as they differ.

## Training

{options}

Left out of the data: {dropped}.
"""


def write_card(folder: Path, settings: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write README.md into the run folder."""
    values = {**report["accuracy"], **report["controls"]}
    shown = (
        "max_steps",
        "learning_rate",
        "reward_learning_rate",
        "beta",
        "num_generations",
        "per_device_train_batch_size",
        "pairs_per_user",
        "seed",
    )
    text = CARD.format(
        base=settings["model_name_or_path"], dataset=report["dataset"], folder=folder, verdict=report["verdict"][:1].upper() + report["verdict"][1:],
        users=report["test"]["users"], targets=report["test"]["targets"],
        rows="\n".join(f"| {name} | {'-' if value is None else f'{value:.3f}'} |" for name, value in values.items()),
        options="\n".join(f"- {key}: {settings[key]}" for key in shown if settings.get(key) is not None) or "- defaults of PLUSConfig",
        dropped="; ".join(f"{count:,} {reason}" for reason, count in report["dropped"].items()) or "nothing",
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
