"""What a context gives away. A target that its own context holds measures memory, not preference."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from plus.types import Event, Preference, Reaction, Turn


class Revealed:
    """What a context gives away: its ids, its comparisons, and the answers that it shows to a prompt."""

    def __init__(self, context: Iterable[Event]) -> None:
        self.ids: set[str] = set()
        self.pairs: set[tuple[str, frozenset[str]]] = set()
        self.shown: set[tuple[str, str]] = set()
        for event in context:
            self.ids.add(event.id)
            self._add(event.content)

    def _add(self, content: Preference | Reaction | str | tuple[Turn, ...]) -> None:
        match content:
            case Preference():
                self.pairs.add(pair_key(content))
                self._add(content.earlier)
            case Reaction():
                self.shown.add((_plain(content.prompt), _plain(content.completion)))
                self._add(content.earlier)
            case tuple(turns):
                # The answer that a conversation went on from is the one that was chosen.
                for before, turn in pairwise(turns):
                    self.shown.add((_plain(before.content), _plain(turn.content)))

    def holds(self, event_id: str, target: Preference) -> bool:
        """Whether the context holds this target by id or by text."""
        prompt = _plain(target.prompt)
        answers = {(prompt, _plain(target.chosen)), (prompt, _plain(target.rejected))}
        return event_id in self.ids or pair_key(target) in self.pairs or not answers.isdisjoint(self.shown)


def pair_key(pair: Preference) -> tuple[str, frozenset[str]]:
    """What makes two comparisons the same text: prompt and both answers, in either order, spaces aside."""
    return _plain(pair.prompt), frozenset((_plain(pair.chosen), _plain(pair.rejected)))


def is_target_in(context: Iterable[Event], target: Preference) -> bool:
    """Whether the context already holds this very comparison, in either order."""
    return any(event.content in (target, target.swapped()) for event in context)


def _plain(text: str) -> str:
    return " ".join(text.split())
