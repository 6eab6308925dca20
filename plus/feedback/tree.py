"""Events of a conversation tree: the path that the user saw last, and what its abandoned branches say.

Regenerating an answer or editing a question starts a branch. The answer that was kept against the one of an abandoned
branch is a weak pair, unless nobody chose: another question, two models asked at once. Weak pairs are never held out:
they train, they do not judge. What was said on a branch and stands in no event is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from plus.feedback.conversation import Origin, entries, first_answer, last_question, message_name, reactions
from plus.feedback.log_row import LogMessage, ParseState
from plus.types import Entry, Event, Preference

NO_ANSWER = "abandoned branches without another answer"
AT_ONCE = "answers of models that were asked at once, so that nobody chose"
OTHER_QUESTION = "edits into another question"
LEFT = "messages on branches that were left"
_ALIKE = 0.8  # share of a word that a misspelt one has in common with it
_FUNCTION_WORDS = frozenset(re.findall(
    r"\w+",
    "a an the and or but if of in on at to for from by with as is are was were be been do does did can could will would"
    " shall should may might must have has had i me my you your we our it its this that these those he she they them"
    " what which who whom whose when where why how there here not no yes please just so than then too very"
    " tell give show make write name list say explain",
))  # fmt: skip


class Node(NamedTuple):
    """Node of a conversation tree; `message` is None where the user sees nothing of it.

    slot: which of several models that were asked at once answers; "" where one was asked.
    """

    parent: str
    children: tuple[str, ...]
    message: LogMessage | None
    slot: str = ""


def read_tree(nodes: Mapping[str, Node], current: str, origin: Origin, state: ParseState) -> Iterator[Entry]:
    """Convert a conversation tree to events: the path to `current`, then pairs and thumbs of the abandoned branches."""
    origin = origin._replace(is_whole=True)
    if current not in nodes:
        state.repair("conversations whose current message is unknown, read to their newest")
        current = _newest(nodes)
    path = path_to(nodes, current)
    yield from entries([message for name in path if (message := nodes[name].message) is not None], origin, state)
    # Walk the path again; each sibling that is not on it starts an abandoned branch, as each other root does.
    seen = set(path)
    before: list[LogMessage] = []
    for number, name in enumerate(path):
        parent = nodes[name].parent
        roots = (other for other, node in nodes.items() if node.parent not in nodes)
        for other in nodes[parent].children if number else roots:
            if other in nodes and other not in seen:
                kept = _next_exchange(nodes, path, number)
                yield from _read_branch(nodes, before, kept, name, other, seen, origin, state)
        if (message := nodes[name].message) is not None:
            before.append(message)
    for name, node in nodes.items():
        if name not in seen and node.message is not None and node.message.content:
            state.drop("messages outside of the conversation's tree")


def path_to(nodes: Mapping[str, Node], current: str) -> list[str]:
    """List the nodes from the root to `current`; a circle is cut where it closes."""
    path: dict[str, None] = {}
    while current in nodes and current not in path:
        path[current] = None
        current = nodes[current].parent
    return list(path)[::-1]


def _read_branch(
    nodes: Mapping[str, Node], before: Sequence[LogMessage], kept: Sequence[LogMessage], name: str, other: str,
    seen: set[str], origin: Origin, state: ParseState,
) -> Iterator[Entry]:  # fmt: skip
    """Read a branch that starts at `other` beside `name`, and count what stands in none of its events."""
    left, said = _branch(nodes, other, seen)
    if not said:
        return
    used = 0
    slots = {nodes[name].slot, nodes[other].slot}
    pair = _weak_pair(before, kept, left, other, origin, state, at_once="" not in slots and len(slots) == 2)
    if pair is not None:
        yield pair
        # The rejected answer, and the question where it is the one that was kept.
        used = sum(message.role == "assistant" for message in _first_exchange(left))
    thumbs = list(_branch_reactions(before, left, origin, state))
    yield from thumbs
    used = max(used, len(thumbs))
    for _ in range(said - used):
        state.drop(LEFT)


def _weak_pair(
    before: Sequence[LogMessage], kept: Sequence[LogMessage], left: Sequence[LogMessage],
    name: str, origin: Origin, state: ParseState, at_once: bool,
) -> Entry | None:  # fmt: skip
    """Pair the answer that was kept with the one of an abandoned branch; the event's source says how it arose."""
    if not kept or not left or kept[0].role != left[0].role:
        return None
    if at_once:
        state.drop(AT_ONCE)
        return None
    kind = "edited" if left[0].role == "user" else "regenerated"
    if kind == "edited" and not same_question(kept[0].content, left[0].content):
        state.drop(OTHER_QUESTION)
        return None
    # An edited question is compared under the question that was kept.
    asked, earlier = last_question([*before, *(message for message in kept[:1] if message.role == "user")])
    chosen, rejected = first_answer(kept), first_answer(left)
    if asked is None or not chosen or not rejected or chosen == rejected:
        state.drop(NO_ANSWER)
        return None
    time = next((message.time for message in kept if message.role == "assistant"), None)
    pair = Preference(asked.content, chosen, rejected, earlier)
    event = Event(f"{kind}-{message_name(left[0], origin, name)}", "choice", pair, time, f"{origin.source}:{kind}")
    return Entry(origin.user_id, event, origin.session, held_out=False, revises=True)


def same_question(one: str, other: str) -> bool:
    """Tell whether an edited question asks the same: all that the shorter one speaks of is in the longer one too.

    Function words do not count, a misspelt word is the same word, and a number is only itself.
    """
    first, second = (re.findall(r"\w+", text.casefold()) for text in (one, other))
    if first == second:
        return True
    few, many = sorted(({word for word in words if word not in _FUNCTION_WORDS} for words in (first, second)), key=len)
    return bool(few) and all(_stands_in(word, many) for word in few)


def _stands_in(word: str, words: set[str]) -> bool:
    if word in words:
        return True
    if len(word) < 4 or word.isdigit():
        return False
    return any(SequenceMatcher(None, word, other).ratio() >= _ALIKE for other in words if not other.isdigit())


def _branch_reactions(
    before: Sequence[LogMessage], left: Sequence[LogMessage], origin: Origin, state: ParseState
) -> Iterator[Entry]:
    """Convert the thumbs on the answers of an abandoned branch to events."""
    for number, message in enumerate(left):
        if message.role == "assistant" and (message.rating is not None or message.comment):
            yield from reactions(message, [*before, *left[:number]], origin, origin.session, state)


def _next_exchange(nodes: Mapping[str, Node], path: Sequence[str], start: int) -> list[LogMessage]:
    """List the messages of the path from `start` to the end of the first answer, so that no branch walks all of it."""
    talk: list[LogMessage] = []
    for number in range(start, len(path)):
        message = nodes[path[number]].message
        if message is not None and message.role == "user" and talk:
            break
        if message is not None:
            talk.append(message)
    return talk


def _first_exchange(talk: Sequence[LogMessage]) -> Sequence[LogMessage]:
    """List the messages up to the user's second."""
    end = next((n for n, message in enumerate(talk) if n and message.role == "user"), len(talk))
    return talk[:end]


def _branch(nodes: Mapping[str, Node], name: str, seen: set[str]) -> tuple[list[LogMessage], int]:
    """List the messages from `name` on, along the newest child, and count those of the whole branch that say anything.

    Nodes are added to `seen` and walked once.
    """
    talk: list[LogMessage] = []
    said = 0
    aside: list[str] = []
    is_main = True
    while True:
        while name in nodes and name not in seen:
            seen.add(name)
            if (message := nodes[name].message) is not None:
                said += bool(message.content)
                talk += [message] if is_main else []
            children = [child for child in nodes[name].children if child in nodes]
            newest = max(enumerate(children), key=lambda child: (_time(nodes[child[1]]), child[0]), default=(0, ""))[1]
            aside += [child for child in children if child != newest]
            name = newest
        is_main = False
        if not aside:
            return talk, said
        name = aside.pop()


def _newest(nodes: Mapping[str, Node]) -> str:
    """Find the newest node without a child; the last one where times do not tell."""
    leaves = [name for name, node in nodes.items() if not any(child in nodes for child in node.children)]
    numbered = enumerate(leaves or list(nodes))
    return max(numbered, key=lambda leaf: (_time(nodes[leaf[1]]), leaf[0]), default=(0, ""))[1]


def _time(node: Node) -> float:
    return node.message.time if node.message is not None and node.message.time is not None else float("-inf")
