"""One version of one user's summary, as it is stored and shown."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from plus.profiles.sentences import Origin, Sentence
from plus.types import Summary

COLUMNS = "version, text, sentences, origin, model, run, created, evidence, score, note"


@dataclass(frozen=True)
class Version:
    """A summary at one time. `evidence` are the ids of the events it was written from; `run` is the
    hash of the run whose `model` wrote it; `score` is what `plus profile score` last found of it."""

    user_id: str
    version: int
    text: str
    spans: tuple[tuple[str, int, int, Origin, int], ...] = ()
    origin: Origin = "model"
    model: str = ""
    run: str = ""
    created: float = 0.0
    evidence: tuple[str, ...] = ()
    score: dict[str, Any] | None = field(default=None, hash=False)
    note: str = ""

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """Its sentences, in order."""
        return tuple(
            Sentence(name, self.text[start:end], origin, since, start, end)
            for name, start, end, origin, since in self.spans
        )

    def summary(self) -> Summary:
        """The same as everything outside the store knows it."""
        texts = tuple(sentence.text for sentence in self.sentences)
        return Summary(self.user_id, self.text, self.origin, self.model, self.created, texts, self.evidence)


def as_spans(sentences: Sequence[Sentence]) -> tuple[tuple[str, int, int, Origin, int], ...]:
    """Sentences without their words, which the text has."""
    return tuple((s.id, s.start, s.end, s.origin, s.since) for s in sentences)


def from_row(user_id: str, row: Sequence[Any]) -> Version:
    """A row of `COLUMNS`."""
    version, text, spans, origin, model, run, created, evidence, score, note = row
    return Version(
        user_id, version, text, tuple(tuple(span) for span in json.loads(spans)), origin, model, run, created,
        tuple(json.loads(evidence)), json.loads(score) if score else None, note,
    )  # fmt: skip


def to_row(version: Version) -> tuple[Any, ...]:
    """The row of `COLUMNS` that holds it."""
    return (
        version.version, version.text, json.dumps(version.spans, separators=(",", ":")), version.origin, version.model,
        version.run, version.created, json.dumps(version.evidence, ensure_ascii=False, separators=(",", ":")),
        json.dumps(version.score) if version.score else "", version.note,
    )  # fmt: skip


def diff(old: Version | None, new_text: str, new_name: str, spans: Sequence[tuple[int, int]] | None = None) -> str:
    """A unified diff, one sentence a line; "" for equal texts."""
    from plus.profiles.sentences import split

    before = [sentence.text for sentence in old.sentences] if old else []
    after = [new_text[start:end] for start, end in (split(new_text) if spans is None else spans)]
    if before == after and old and old.text != new_text:
        before, after = [repr(old.text)], [repr(new_text)]  # They differ in white space only.
    name = f"version {old.version}" if old else "nothing"
    return "\n".join(difflib.unified_diff(before, after, name, new_name, lineterm="", n=99))
