"""Tables of a speed measurement, as the README shows them."""

from __future__ import annotations

from typing import Any

import torch

PARTS = ("generation", "logprobs", "reward", "step")


def card(device: str) -> str:
    """Name the machine of the measurement."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, bfloat16"
    return f"CPU, {torch.get_num_threads()} threads, float32"


def table(context: int, row: dict[str, Any]) -> str:
    """Render the rows of one context in Markdown."""
    ratios = {
        "generation": "generation_ratio",
        "logprobs": "logprob_ratio",
        "reward": "reward_ratio",
        "step": "step_ratio",
    }
    lines = []
    for part in PARTS:
        seconds = [
            f"{row['seconds'][name][part]:.2f} ({row['range'][name][part][0]:.2f} to {row['range'][name][part][1]:.2f})"
            for name in ("stock", "ours")
        ]
        lines.append(f"| {context:,} | {part} | {seconds[0]} | {seconds[1]} | {row[ratios[part]]:.1f} |")
    same_head, ours = (row["seconds"][name]["logprobs"] for name in ("same_head", "ours"))
    ratio = row["logprob_ratio_same_head"]
    lines.append(f"| {context:,} | logprobs, same head | {same_head:.2f} | {ours:.2f} | {ratio:.1f} |")
    if "memory_ratio" in row:
        held = [f"{row['peak_bytes'][name] / 2**20:,.0f} MiB" for name in ("stock", "ours")]
        lines.append(f"| {context:,} | peak memory | {held[0]} | {held[1]} | {row['memory_ratio']:.1f} |")
    if "share_of_peak" in row:
        shares = ["unknown card" if share is None else f"{share:.1%}" for share in row["share_of_peak"].values()]
        lines.append(f"| {context:,} | share of the card's peak | {shares[0]} | {shares[1]} | |")
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """Render the whole result as the README shows it."""
    lines = ["| context | part | stock, seconds | ours, seconds | ratio |", "|---|---|---|---|---|"]
    lines += [table(int(context), row) for context, row in result["contexts"].items()]
    if "growth_in_G" in result:
        curves = {
            "summaries a user": "by_num_generations",
            "users, at 1,024": "by_users",
            "context tokens": "by_context",
        }
        lines += ["", "| ours, seconds: summarizer's part / whole step | |", "|---|---|"]
        for name, key in curves.items():
            cells = [f"{size}: {c['summarizer']:.2f} / {c['step']:.2f}" for size, c in result[key].items()]
            lines.append(f"| {name} | {', '.join(cells)} |")
        lines.append(f"| summarizer's part, 16 summaries a user against 4 | {result['growth_in_G']:.2f} |")
    return "\n".join([*lines, "", f"{result['device']}, {result['date']}, {result['seconds'] / 60:.0f} minutes."])
