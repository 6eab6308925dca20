"""Operations that an update asks for, and the share of a card's peak that it reaches."""

from __future__ import annotations

import torch
from speed.setup import Setup

# Dense bfloat16 operations a second, from the makers' data sheets.
PEAK_FLOPS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "A10G": 125e12, "L4": 121e12,
    "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip


def share_of_peak(setup: Setup, once: bool, seconds: float) -> float | None:
    """Model operations a second over the card's peak; None for a card that is not in the list."""
    name = torch.cuda.get_device_name()
    peak = next((peak for card, peak in PEAK_FLOPS.items() if card in name), None)
    return None if peak is None else flops(setup, once) / seconds / peak


def flops(setup: Setup, once: bool) -> float:
    """Multiply-adds (two operations each) of one update that the method asks for, histories read once or
    once per summary: sampling, the reference's pass, and the summarizer's forward and backward.

    A token costs two operations a weight and, for each token that it looks at, four per layer and
    unit of width; backward is twice forward (https://arxiv.org/abs/2001.08361, appendix B).
    """
    config, texts = setup.config, setup.users * setup.num_generations
    heads, width = config.num_attention_heads, config.hidden_size
    attention = width * (2 * width + 2 * width * config.num_key_value_heads // heads)
    weights = config.num_hidden_layers * (attention + 3 * width * config.intermediate_size)

    def read(tokens: int, seen: float) -> float:
        return tokens * (2 * weights + 4 * config.num_hidden_layers * width * seen)

    contexts = read(setup.context, setup.context / 2) * (setup.users if once else texts)
    written = texts * read(setup.summary, setup.context + setup.summary / 2)
    head = texts * setup.summary * 2 * width * config.vocab_size
    return 5 * (contexts + written + head)  # sampling, reference, forward, and backward, which counts twice
