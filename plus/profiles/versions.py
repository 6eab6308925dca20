"""Versions of a user's summary: their rows, edits sentence by sentence, and the rules that people set.

Rules are of four kinds. `lock`: a model's update keeps this sentence word for word. `forbid`: no model writes this
statement, nor does a person before it is allowed again. `removed`: a person deleted or reworded this sentence, so no
model writes it again; a person who adds it again lifts that. `paused`: this sentence is kept as if it were locked, and
no program gets it. Beside them stand the bans of the store, words that no summary of anybody may hold.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from plus.errors import ProfileError
from plus.profiles.sentences import Origin, Sentence, carry, normalized, split
from plus.profiles.text_filters import holds
from plus.types import Summary

_MARK = re.compile(r"^<!-- version (\d{1,15}) -->[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
COLUMNS = "version, text, sentences, origin, model, run, created, evidence, score, note"

# (statement to judge, forbidden statement) -> do both say the same?
Similar = Callable[[str, str], bool]


@dataclass(frozen=True)
class Version:
    """Summary of a user at one time.

    evidence: ids of the events it was written from. run: hash of the run whose `model` wrote it.
    score: result of the last `plus profile score`.
    """

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
        """Sentences in order."""
        return tuple(
            Sentence(name, self.text[start:end], origin, since, start, end)
            for name, start, end, origin, since in self.spans
        )

    def summary(self) -> Summary:
        """Convert to the noun that other rooms use."""
        texts = tuple(sentence.text for sentence in self.sentences)
        return Summary(self.user_id, self.text, self.origin, self.model, self.created, texts, self.evidence)


# Rows


def as_spans(sentences: Sequence[Sentence]) -> tuple[tuple[str, int, int, Origin, int], ...]:
    """Reduce sentences to (id, start, end, origin, since): their words stand in the text."""
    return tuple((s.id, s.start, s.end, s.origin, s.since) for s in sentences)


def from_row(user_id: str, row: Sequence[Any]) -> Version:
    """Read a version from a row of `COLUMNS`."""
    version, text, spans, origin, model, run, created, evidence, score, note = row
    try:
        return Version(
            user_id, version, text, tuple((str(n), s + 0, e + 0, o, v) for n, s, e, o, v in json.loads(spans)), origin,
            model, run, created, tuple(json.loads(evidence)), json.loads(score) if score else None, note,
        )  # fmt: skip
    except (ValueError, TypeError):
        raise ProfileError(
            f"version {version} of {user_id!r} is damaged; plus doctor says what else is, put a copy back"
        ) from None


def to_row(version: Version) -> tuple[Any, ...]:
    """Write a version as a row of `COLUMNS`."""
    return (
        version.version, version.text, json.dumps(version.spans, separators=(",", ":")), version.origin, version.model,
        version.run, version.created, json.dumps(version.evidence, ensure_ascii=False, separators=(",", ":")),
        json.dumps(version.score) if version.score else "", version.note,
    )  # fmt: skip


def chained(before: str, row: Sequence[Any]) -> str:
    """Hash a row of `COLUMNS` and the hash of the version before it; a score may change later and is left out."""
    version, text, spans, origin, model, run, created, evidence, _, note = row
    what = [before, version, text, spans, origin, model, run, created, evidence, note]
    return hashlib.sha256(json.dumps(what, separators=(",", ":")).encode()).hexdigest()[:32]


def diff(old: Version | None, new_text: str, new_name: str) -> str:
    """Write a unified diff, one sentence a line; "" for equal texts."""
    before = [sentence.text for sentence in old.sentences] if old else []
    after = [new_text[start:end] for start, end in split(new_text)]
    if before == after and old and old.text != new_text:
        before, after = [repr(old.text)], [repr(new_text)]  # They differ in white space only.
    name = f"version {old.version}" if old else "nothing"
    return "\n".join(difflib.unified_diff(before, after, name, new_name, lineterm="", n=99))


def mark(version: Version) -> str:
    """Write the line that says which version a text was, for an edit in a file."""
    return f"<!-- version {version.version} -->"


def unmarked(text: str) -> tuple[str, int | None]:
    """Take the line of `mark` out of a text, wherever it stands; returns (text, the version's number or None)."""
    found = _MARK.search(text)
    if found is None:
        return text, None
    before, after = text[: found.start()], text[found.end() :]
    return (before + after if after.strip() else before).removesuffix("\n"), int(found.group(1))


# Edits


@dataclass(frozen=True)
class Edit:
    """Edited text, with new words -> the old id that they keep, and the ids that are gone: input of `save_user`."""

    text: str
    keep: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


def edit(version: Version | None, replaced: Mapping[str, str], added: Sequence[str], removed: Collection[str]) -> Edit:
    """Reword sentences by id, add new ones at the end, remove others; the rest keeps every character.

    Raises ProfileError for an unknown id.
    """
    text = version.text if version else ""
    for name in (*replaced, *removed):
        find(version, name)
    keep: dict[str, str] = {}
    # From the last sentence to the first: the offsets of those before stay valid.
    for sentence in reversed(version.sentences if version else ()):
        if sentence.id in removed:
            text = _cut(text, sentence.start, sentence.end)
        elif sentence.id in replaced:
            words = replaced[sentence.id].strip()
            keep.update({words[start:end]: sentence.id for start, end in split(words)[:1]})
            rest = text[sentence.end :]
            # Words without a mark at their end would swallow the next sentence.
            if rest.strip() and not rest.startswith("\n") and words and not _ends(words):
                rest = f"\n{rest.lstrip()}"
            text = text[: sentence.start] + words + rest
    for words in added:
        between = "" if not text or text.endswith("\n") else "\n" if "\n" in text.strip() or not _ends(text) else " "
        text = f"{text}{between}{words.strip()}"
    return Edit(text, keep, tuple(removed))


def without(version: Version, removed: Collection[str]) -> str:
    """Leave sentences out of a version's text, by their ids."""
    text = version.text
    for sentence in reversed(version.sentences):
        if sentence.id in removed:
            text = _cut(text, sentence.start, sentence.end)
    return text.strip()


def leave_out(version: Version, removed: Collection[str], next_id: int = 1) -> Version:
    """Return a version without some of its sentences; the others keep their ids. next_id: for one that is new."""
    if not removed:
        return version
    text = without(version, removed)
    rest = [sentence for sentence in version.sentences if sentence.id not in removed]
    spans = as_spans(carry(text, rest, next_id, version.origin, version.version, gone=removed)[0])
    return replace(version, text=text, spans=spans)


def find(version: Version | None, name: str) -> Sentence:
    """Find the sentence with an id. Raises ProfileError that names the ids there are."""
    sentences = version.sentences if version else ()
    found = next((sentence for sentence in sentences if sentence.id == name), None)
    if found is None:
        known = ", ".join(sentence.id for sentence in sentences) or "none"
        raise ProfileError(f"there is no sentence {name!r}; the summary has {known}")
    return found


def _cut(text: str, start: int, end: int) -> str:
    """Take a span out, with the white space after it, or before it where it was the last."""
    before, after = text[:start], text[end:]
    rest = after.lstrip()
    return before + rest if rest else before.rstrip() + ("\n" if after.endswith("\n") and before.strip() else "")


def _ends(text: str) -> bool:
    """Whether words added after a space would be a sentence of their own."""
    return len(split(f"{text} x")) > len(split(text))


# Rules


@dataclass(frozen=True)
class Rules:
    """Texts of each kind of rule, in alphabetical order.

    bans: words that the store allows in no summary.
    """

    lock: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()

    def blocks(self, sentence: str, similar: Similar | None = None) -> bool:
        """Tell whether a rule keeps a model from writing `sentence`."""
        words = normalized(sentence)
        if holds(self.bans, sentence) or any(normalized(text) == words for text in (*self.forbid, *self.removed)):
            return True
        return similar is not None and any(similar(sentence, text) for text in (*self.forbid, *self.paused))

    def pauses(self, sentence: str) -> bool:
        """Tell whether a sentence is paused, in any wording that `normalized` equals."""
        return bool(self.paused) and normalized(sentence) in set(map(normalized, self.paused))

    def in_use(self, version: Version) -> Version:
        """Return the part of a version that programs get: without the paused sentences."""
        return leave_out(version, {one.id for one in version.sentences if self.pauses(one.text)})


@dataclass(frozen=True)
class Composed:
    """Text that obeys the rules, and the model's sentences that were kept out."""

    text: str
    blocked: tuple[str, ...]


def compose(
    written: str,
    current: Sequence[Sentence],
    rules: Rules,
    similar: Similar | None = None,
    erased: Callable[[str], bool] = lambda sentence: False,
) -> Composed:
    """Join people's own, locked and paused sentences of `current`, word for word and first, with the model's new text.

    The model's older sentences are not kept beside its newer ones: later events win over earlier ones.
    Without rules and edits the model's text is kept to the last character.
    """
    # 1. Sentences that stay.
    locked = set(rules.lock)
    kept = [s.text for s in current if s.origin == "user" or s.text in locked or rules.pauses(s.text)]
    kept += [text for text in rules.lock if text not in kept]
    kept = [text for text in kept if not holds(rules.bans, text)]
    # 2. The model's sentences that are not there already, that no rule blocks and that nobody erased.
    spans = split(written)
    new: list[str] = []
    blocked: list[str] = []
    already = {normalized(text) for text in kept}
    for start, end in spans:
        sentence = written[start:end]
        if normalized(sentence) in already:
            continue
        (blocked if rules.blocks(sentence, similar) or erased(sentence) else new).append(sentence)
    # 3. One text of both.
    if not kept and not blocked and len(new) == len(spans):
        return Composed(written, ())
    return Composed(joined([*kept, *new]), tuple(blocked))


def joined(sentences: Sequence[str]) -> str:
    """Join sentences side by side where each still ends where it ended, else a line each."""
    beside = " ".join(sentences)
    return beside if [beside[start:end] for start, end in split(beside)] == list(sentences) else "\n".join(sentences)
