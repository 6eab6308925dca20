"""The README.md of a response policy: a model card from the run's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from plus.evaluate import markdown

TAGS = ("plus", "rlhf", "personalization", "trl")
CARD = """# A response policy from {base}

Trained with plus by {method}. `policy/` is a plain model folder: adapters are merged, the chat template is inside.

    from transformers import pipeline
    answer = pipeline("text-generation", "{folder}/policy")
    answer([{{"role": "user", "content": "About this user: Likes short answers.\\n\\nWhat is tea?"}}])

    vllm serve {folder}/policy

The summary of the user opens the first message, as "About this user: ...", then an empty line; without one, leave it out.

## What it was trained to want

{goals}

A goal with a floor is a condition: an answer below it was worth less than any answer above. {aside}

## What was seen

{seen}

{verdict}

What a reward model likes is not what people like. Judge it on people before you rely on it.
"""


def write_card(folder: Path, settings: Mapping[str, Any], report: Mapping[str, Any]) -> Path:
    """Write README.md into the run folder."""
    goals = yaml.safe_dump(settings["goals"], sort_keys=False, allow_unicode=True).rstrip()
    text = CARD.format(
        base=settings["model_name_or_path"], method=report["method"].replace("_", " "), folder=folder,
        goals="\n".join(f"    {line}" for line in goals.splitlines()),
        aside=f"Set aside, since they gave every answer the same number: {', '.join(report['set_aside'])}." if report["set_aside"] else "",
        seen=_seen(report), verdict=_verdict(report),
    )  # fmt: skip
    return markdown.write_card(folder, settings["model_name_or_path"], text, TAGS, "text-generation")


def _seen(report: Mapping[str, Any]) -> str:
    if "last_look" not in report:
        return f"{report['prompts']:,} prompts were trained on."
    first, last = report["first_look"], report["last_look"]
    lines = ["| what | as it started | at the last look |", "|---|---|---|"]
    for key in ("total", "held_out", "kl", "floor", "length_ratio", "distinct_ratio", "worst_decile_change", "disagreement_ratio"):  # fmt: skip
        if key in last:
            lines.append(f"| {key} | {first[key]:.3f} | {last[key]:.3f} |")
    return "\n".join([f"{report['panel']:,} prompts that it was not trained on.", "", *lines])


def _verdict(report: Mapping[str, Any]) -> str:
    if report.get("stopped"):
        reasons = "; ".join(alarm["sentence"] for alarm in report["stopped"])
        return f"**Stopped at update {report['updates']}**: {reasons}. These are the weights of update {report['returned']}."  # fmt: skip
    return "No alarm stopped the run." if "last_look" in report else "Nobody looked while it was trained."
