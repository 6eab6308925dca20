"""Conversations that are trees: the branch that the user went on with, and the branches that they left.

Regenerating an answer or editing a question starts a branch; the answer of the branch that was kept against
the one that was left is a weak pair. Weak pairs are never held out: they train, they do not judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from plus.feedback.conversation import Place, Said, entries, reactions, weak_pair
from plus.types import Entry


class Node(NamedTuple):
    """One message of a tree; `said` is None where a reader sees nothing of it."""

    parent: str
    children: tuple[str, ...]
    said: Said | None


def read_tree(
    nodes: Mapping[str, Node], current: str, user_id: str, source: str, session: str, place: Place
) -> Iterator[Entry]:
    """The events of the path to `current`, the pairs that the other branches make, and the thumbs given there."""
    if current not in nodes:
        place.mend("conversations whose current message is unknown, read to their newest")
        current = _newest(nodes)
    path = path_to(nodes, current)
    talk = [said for name in path if (said := nodes[name].said) is not None]
    yield from entries(talk, user_id, source, session, place)
    seen = set(path)
    before: list[Said] = []
    for number, name in enumerate(path):
        parent = path[number - 1] if number else nodes[name].parent
        for other in nodes[parent].children if parent in nodes else ():
            if other in nodes and other not in seen:
                left = _branch(nodes, other, seen)
                kept = _next_exchange(nodes, path, number)
                yield from _pair(before, kept, left, other, user_id, source, session, place)
                yield from _thumbs(before, left, user_id, source, session, place)
        if (said := nodes[name].said) is not None:
            before.append(said)


def _pair(
    before: Sequence[Said], kept: Sequence[Said], left: Sequence[Said],
    name: str, user_id: str, source: str, session: str, place: Place,
) -> Iterator[Entry]:  # fmt: skip
    if not kept or not left or kept[0].role != left[0].role:
        place.drop("abandoned branches without another answer")
        return
    kind = "edited" if left[0].role == "user" else "regenerated"
    if (event := weak_pair(before, kept, left, source, kind, name, place)) is not None:
        yield Entry(user_id, event, session, held_out=False)


def _thumbs(
    before: Sequence[Said], left: Sequence[Said], user_id: str, source: str, session: str, place: Place
) -> Iterator[Entry]:
    """Thumbs on the answers of a branch that was left."""
    for number, said in enumerate(left):
        if said.role == "assistant" and (said.rating is not None or said.comment):
            yield from reactions(said, [*before, *left[:number]], user_id, source, session, said.id, place)


def _next_exchange(nodes: Mapping[str, Node], path: Sequence[str], start: int) -> list[Said]:
    """What is said on the path from `start` to the end of the first answer: many branches never walk a long path whole."""
    talk: list[Said] = []
    for number in range(start, len(path)):
        said = nodes[path[number]].said
        if said is not None and said.role == "user" and talk:
            break
        if said is not None:
            talk.append(said)
    return talk


def _newest(nodes: Mapping[str, Node]) -> str:
    """The last message that nothing follows."""
    leaves = [name for name, node in nodes.items() if not any(child in nodes for child in node.children)]
    return (leaves or list(nodes) or [""])[-1]


def path_to(nodes: Mapping[str, Node], current: str) -> list[str]:
    """From the root to `current`; a circle is cut where it closes."""
    path: dict[str, None] = {}
    while current in nodes and current not in path:
        path[current] = None
        current = nodes[current].parent
    return list(path)[::-1]


def _branch(nodes: Mapping[str, Node], name: str, seen: set[str]) -> list[Said]:
    """What is said from `name` on, always along the newest child; every message is walked once."""
    talk = []
    while name in nodes and name not in seen:
        seen.add(name)
        if (said := nodes[name].said) is not None:
            talk.append(said)
        name = nodes[name].children[-1] if nodes[name].children else ""
    return talk
