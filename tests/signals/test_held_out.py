"""Held-out prompts: some of every subject, none twice, always the same ones."""

from __future__ import annotations

import torch

from plus.signals.held_out import sample

CENTRES = {"bees": (1.0, 0, 0), "tax": (0, 1.0, 0), "code": (0, 0, 1.0)}


def encode(lines: list[str]) -> torch.Tensor:
    """Near the subject's axis; the further the higher the number, so that distances are known."""
    found = []
    for line in lines:
        subject, number = line.split()
        axis = torch.tensor(CENTRES[subject])
        found.append(axis + 0.25 * int(number) * torch.roll(axis, 1))
    return torch.stack(found)


PROMPTS = [f"{subject} {number}" for subject in CENTRES for number in range(5)]


def test_every_subject_is_held_out_before_any_twice():
    chosen = [PROMPTS[place] for place in sample(PROMPTS, 3, encode, clusters=3)]
    assert sorted(one.split()[0] for one in chosen) == ["bees", "code", "tax"]
    assert sample(PROMPTS, 3, encode, clusters=3) == sample(PROMPTS, 3, encode, clusters=3)


def test_near_duplicates_are_taken_once_and_no_more_than_there_are():
    twice = [*PROMPTS, *PROMPTS]
    chosen = sample(twice, 30, encode, clusters=3)
    assert len({twice[place] for place in chosen}) == len(chosen) and len(chosen) <= len(PROMPTS)
    assert sample([], 3, encode) == [] == sample(PROMPTS, 0, encode)
