"""Scores that are a user's thumb, what they say, and the last of those that stand apart from their messages.

A score is a user's thumb only where its name says so (`THUMB_NAMES`, or names that were given); those of evaluators and
of reviewers are not the user's. A number is a thumb only where its scale goes from -1 or 0 to 1.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from plus.feedback.talks import Traces
from plus.types import Dropped

COMPARED = "chatgpt compared"  # what the names of reactions begin with that are comparisons of two answers
NOT_HELD = "comparisons of answers that the log does not hold (model_comparisons.json)"
OVERRULED, UNKNOWN = "reactions that a later one overrules", "reactions to unknown messages"
NEITHER = "reactions that are neither yes nor no"
NOT_THE_USERS = "scores that are not the user's"
# Names of scores in lower case, with blanks for dashes.
THUMB_NAMES = frozenset((
    "thumb", "thumbs", "thumbs up", "thumb up", "thumbs up down", "thumbs up thumbs down", "user thumb", "user thumbs",
    "feedback", "user feedback", "end user feedback", "explicit feedback", "explicit user feedback",
    "user explicit feedback", "customer feedback", "rating", "user rating", "user score", "like", "liked", "user like",
    "vote", "upvote", "user vote", "reaction", "user reaction", "helpful", "was helpful", "user satisfaction",
))  # fmt: skip
_EVALUATORS = ("EVAL", "LLM", "LLM_JUDGE", "CODE", "MODEL", "AUTO", "ONLINE_SCORING", "SCORER")
_REVIEWERS = ("ANNOTATION", "UI")
# Thumbs in lower case, with blanks for dashes: so " 1" is -1.
_UP = ("up", "thumbs up", "thumb up", "thumbsup", "thumbup", "upvote", "upvoted", "like", "liked", "love", "positive",
       "good", "true", "yes", "1", "1.0", "+1", "agree", "\N{THUMBS UP SIGN}")  # fmt: skip
_DOWN = ("down", "thumbs down", "thumb down", "thumbsdown", "thumbdown", "downvote", "downvoted", "dislike", "disliked",
         "negative", "bad", "false", "no", "0", "0.0", " 1", " 1.0", "disagree", "\N{THUMBS DOWN SIGN}")  # fmt: skip
_THUMBS = {**dict.fromkeys(_UP, True), **dict.fromkeys(_DOWN, False)}


def parse_thumb(value: Any) -> bool | None:
    """Parse a thumb as programs write it: True for up, False for down, None for any other value."""
    if isinstance(value, str):
        return _THUMBS.get(value.strip().lower().replace("_", " ").replace("-", " "))
    if isinstance(value, bool | int | float) and value in (1, 0, -1):
        return value == 1
    return None


class Votes:
    """Scales of columns that hold thumbs or ratings, learned from a sample: 1 of 5 is no thumb up.

    With -1 on a scale 0 is a pass, neither up nor down.
    """

    def __init__(self) -> None:
        self._numbers: defaultdict[str, set[float]] = defaultdict(set)

    def see(self, column: str, value: Any) -> None:
        """Learn one value."""
        if (number := _number(value)) is not None and len(self._numbers[column]) < 10:
            self._numbers[column].add(number)

    def is_scale(self, column: str) -> bool:
        """Tell whether a column has numbers above 1 or below -1."""
        return any(abs(number) > 1 for number in self._numbers[column])

    def vote(self, column: str, value: Any) -> bool | None:
        """Read a value as a thumb; None where it is none on its column's scale."""
        self.see(column, value)
        number = _number(value)
        if number is not None and (self.is_scale(column) or (number == 0 and -1 in self._numbers[column])):
            return None
        return parse_thumb(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


class Score(NamedTuple):
    """Score of a log: its name as compared, its value, and the comment beside it."""

    name: str
    value: Any
    comment: str = ""


def read_score(row: Mapping[str, Any], thumbs: frozenset[str]) -> tuple[Score, str]:
    """Read (score, "") of a user's thumb, or (score, why it is none).

    Takes the scores of Langfuse, LangSmith, Opik, Phoenix and MLflow. `thumbs` are names of scores that are thumbs.
    """
    stated = next((row[c] for c in ("name", "key", "assessment_name", "score_name") if row.get(c) is not None), "")
    name = score_name(stated)
    columns = ("value", "string_value", "stringValue", "score", "label", "feedback")
    values = [row[column] for column in columns if row.get(column) is not None]
    # A boolean comes as a number and as text; the one that can be read counts.
    value = next((value for value in values if parse_thumb(value) is not None), values[0] if values else None)
    comment = next((row[c] for c in ("comment", "explanation", "reason") if isinstance(row.get(c), str)), "")
    source = row.get("source", row.get("annotator_kind"))
    if isinstance(source, dict):
        source = source.get("source_type", source.get("type"))
    source = str(source).upper()
    if source in _EVALUATORS:
        return Score(name, value, comment), "scores of an evaluator"
    if source in _REVIEWERS:
        return Score(name, value, comment), "scores of reviewers"
    return Score(name, value, comment), "" if name in thumbs else NOT_THE_USERS


def score_name(name: Any) -> str:
    """Write the name of a score as it is compared: in lower case, words with one blank between them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))
    return re.sub(r"[\W_]+", " ", spaced.lower()).strip()


class DetachedReaction(NamedTuple):
    """Reaction logged apart from its message: the message's id, up or down, time, and the comment beside it."""

    message: str
    label: bool
    time: float | None = None
    comment: str = ""


class _Stored(NamedTuple):
    label: bool
    time: float | None
    comment: str
    where: str
    used: bool


class LastReactions:
    """Last detached reaction to each message, with its location; earlier ones are counted as dropped.

    `traces` are collected with them, before the messages are read. They lie in temporary SQLite tables, so that memory
    stays bounded.
    """

    def __init__(self, dropped: Dropped) -> None:
        self.dropped = dropped
        self.table = sqlite3.connect("", isolation_level=None)  # "": a private file, deleted when it is closed.
        self.table.execute(
            "CREATE TABLE reactions"
            "(message TEXT PRIMARY KEY, label INTEGER, time REAL, comment TEXT, place TEXT, used INTEGER, scale TEXT)"
        )
        self.table.execute("BEGIN")
        self.traces = Traces()
        self.votes = Votes()  # scales of all names of scores
        self.left_out = 0  # reactions in rows of their own that were counted as dropped

    def add(self, reaction: DetachedReaction, where: str, scale: str = "") -> None:
        """Store a reaction unless a later one is known; without times the one that is read later is the last.

        `scale` is the name of a score, whose numbers are known only when all are read (`leave_scales`).
        """
        known = self._find(reaction.message)
        if known is not None:
            is_older = known.time is not None and reaction.time is not None and reaction.time < known.time
            self.dropped.add(OVERRULED, where if is_older else known.where)
            self.left_out += bool(scale)
            if is_older:
                return
        self.table.execute("REPLACE INTO reactions VALUES (?, ?, ?, ?, ?, 0, ?)", (*reaction, where, scale))

    def leave_scales(self) -> None:
        """Leave out, and count, the reactions of scores with numbers that turned out to be no thumbs."""
        for (scale,) in self.table.execute("SELECT DISTINCT scale FROM reactions WHERE scale <> ''").fetchall():
            if self.votes.is_scale(scale):
                for (where,) in self.table.execute("SELECT place FROM reactions WHERE scale = ?", (scale,)).fetchall():
                    self.dropped.add(NEITHER, where)
                    self.left_out += 1
                self.table.execute("DELETE FROM reactions WHERE scale = ?", (scale,))

    def is_last(self, message: str, where: str) -> bool:
        """Tell whether the reaction at `where` is the last one to its message; if so it is marked as used."""
        known = self._find(message)
        if known is None or known.where != where:
            return False
        self._use(message)
        return True

    def take(self, message: str) -> DetachedReaction | None:
        """Return the reaction to a message and mark it as used; None when there is none or it was used before."""
        found = self.peek(message)
        if found is not None:
            self._use(message)
        return found

    def peek(self, message: str) -> DetachedReaction | None:
        """Return the reaction to a message; None when there is none or it was used before."""
        known = self._find(message)
        if known is None or known.used:
            return None
        return DetachedReaction(message, bool(known.label), known.time, known.comment)

    def drop_unused(self) -> None:
        """Count each reaction for which no message was found as dropped."""
        query = "SELECT place, scale, message FROM reactions WHERE NOT used ORDER BY rowid"
        for where, scale, message in self.table.execute(query):
            self.dropped.add(NOT_HELD if message.startswith(COMPARED) else UNKNOWN, where)
            self.left_out += bool(scale)

    def used_alone(self) -> int:
        """Count the reactions in rows of their own for which a message was found."""
        (count,) = self.table.execute("SELECT count(*) FROM reactions WHERE used AND scale <> ''").fetchone()
        return int(count)

    def _use(self, message: str) -> None:
        self.table.execute("UPDATE reactions SET used = 1 WHERE message = ?", (message,))

    def _find(self, message: str) -> _Stored | None:
        query = "SELECT label, time, comment, place, used FROM reactions WHERE message = ?"
        row = self.table.execute(query, (message,)).fetchone()
        return None if row is None else _Stored(*row)
