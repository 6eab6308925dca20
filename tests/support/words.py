"""A sentence model that a test can foresee: every word has a direction of its own, a text is their sum."""

from __future__ import annotations

import hashlib

import torch

from plus.models.embeddings import Embeddings

SIZE = 32


def direction(word: str) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


def encode(lines: list[str]) -> torch.Tensor:
    return torch.stack([sum(map(direction, line.lower().strip(".").split()), torch.zeros(SIZE)) for line in lines])


def embeddings(cache=None) -> Embeddings:
    return Embeddings(encode, cache)
