"""What a person has fixed: sentences that stay (locks), statements that must not come back.

`lock`: the model's updates keep this sentence word for word. `forbid`: this statement is never
written by a model, nor by anybody before it is allowed again. `removed`: a person deleted or reworded
this sentence, so a model may not write it again; adding it again lifts that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plus.profiles.sentences import Sentence, normalized, split

# Whether two statements say the same; rules hand it the statement to judge and the forbidden one.
Similar = Callable[[str, str], bool]


@dataclass(frozen=True)
class Rules:
    """Texts by kind, in the order of their letters."""

    lock: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def blocks(self, sentence: str, similar: Similar | None = None) -> str:
        """The rule that keeps a model from writing `sentence`, or ""."""
        said = normalized(sentence)
        banned = (*self.forbid, *self.removed)
        exact = next((text for text in banned if normalized(text) == said), "")
        if exact or similar is None:
            return exact
        return next((text for text in self.forbid if similar(sentence, text)), "")


@dataclass(frozen=True)
class Composed:
    """A text that obeys the rules, and the model's sentences that had to go."""

    text: str
    blocked: tuple[str, ...]


def same_exactly(sentence: str, forbidden: str) -> bool:
    """The comparison without an embedding model: equal but for case, spacing and the closing mark."""
    return normalized(sentence) == normalized(forbidden)


def compose(written: str, current: Sequence[Sentence], rules: Rules, similar: Similar | None = None) -> Composed:
    """What a model wrote, under what people fixed: theirs first and word for word, then the rest of the model's.

    The model's older sentences are not kept beside its newer ones: later events win over earlier ones.
    Where nobody has fixed anything the model's text is kept to the last character.
    """
    locked = set(rules.lock)
    kept = [sentence.text for sentence in current if sentence.origin == "user" or sentence.text in locked]
    kept += [text for text in rules.lock if text not in kept]
    spans = split(written)
    new: list[str] = []
    blocked: list[str] = []
    already = {normalized(text) for text in kept}
    for start, end in spans:
        sentence = written[start:end]
        if normalized(sentence) in already:
            continue
        (blocked if rules.blocks(sentence, similar) else new).append(sentence)
    if not kept and not blocked and len(new) == len(spans):
        return Composed(written, ())
    return Composed(joined([*kept, *new]), tuple(blocked))


def joined(sentences: Sequence[str]) -> str:
    """One text of these sentences: side by side where they then still end where they end, else a line each."""
    beside = " ".join(sentences)
    return beside if [beside[start:end] for start, end in split(beside)] == list(sentences) else "\n".join(sentences)
