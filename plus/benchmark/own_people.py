"""Rows of one's own in the benchmark: which folds they allow, how many of them are read, and how many seeds fit.

What is tested is chosen from the data, and each kind of fold that is left out is named with the reason. Needs no torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from plus.errors import SettingError, SourceError
from plus.sources import generic
from plus.sources.columns import ColumnMap
from plus.sources.contexts import draw_targets, in_order
from plus.sources.folds import Events, Fold, agreement, answers, by_topics, by_users, by_users_and_answers, within_users
from plus.sources.folds import prompt_of as prompt
from plus.types import Dropped, Event, Preference, Reaction

FOLDS = 3
LEAST_PEOPLE = 2 * FOLDS  # so that every fold tests two, each with the other's text as a control
LEAST_CHOICES = 20  # of a user whose own choices are tested
LEAST_SHARED = 2 * FOLDS  # prompts that several people answered
LEAST_SEEN = 10  # training events that hold an answer whose popularity slices the test rows
# What is read in half an hour on two cores: texts are embedded once, and each fold's choices are predicted 30 times.
MOST_PEOPLE, MOST_EVENTS, MOST_CHARACTERS, READ = 4000, 100, 12_000_000, 1000
MOST_TARGETS, PAIRS = 6000, 40  # choices predicted in a fold, and of a user in a fold
SEEDS, MANY_PEOPLE = 3, 1000  # with more people than that: one seed, and one fold of the tests beside new users
KINDS = ("users", "topics", "same")


@dataclass(frozen=True)
class OwnPeople:
    """Folds of rows of one's own, with what to say of them and a fingerprint of the events that are read."""

    name: str
    folds: Sequence[Fold]
    seeds: int
    notes: Sequence[str]
    fingerprint: str


def load(
    source: str | Path,
    dropped: Dropped,
    user_id_column: str = "user_id",
    map: ColumnMap = None,
    allow_dropped: bool = False,
    split_by: str | None = None,
) -> OwnPeople:
    """Read rows and make the folds that they allow; `split_by` asks for one kind of `KINDS` alone.

    map: which columns of the rows are which of ours.
    Raises SourceError where there is nothing to test, SettingError for an unknown kind.
    """
    if split_by is not None and split_by not in KINDS:
        raise SettingError(f"--split_by is {split_by!r}; plus benchmark takes {', '.join(KINDS)} (default: all)")
    name = Path(source).stem
    everything = generic.read_events(source, dropped, user_id_column, allow_dropped, map)
    events = _sample(_able(source, everything, user_id_column, dropped), dropped)
    # Each kind of fold, or the reason why there is none.
    notes = [f"{len(events):,} people, {sum(len(past) for past in events.values()):,} events"]
    folds: list[Fold] = []
    for kind, (group, make, reason) in zip(KINDS, _kinds(name, events), strict=True):
        made = [_sliced(fold, events) for fold in make()] if make and split_by in (None, kind) else []
        if made and not all(_is_usable(fold) for fold in made):
            made, reason = [], "a fold has fewer than two people with a later choice to predict"
        if kind != "users" and len(events) > MANY_PEOPLE:
            made, reason = made[:1], f"{reason}; one fold of {FOLDS}, since there are many people"
        why = f"--split_by {split_by}" if split_by not in (None, kind) else reason
        notes.append(f"{group}: {why}" if made else f"{group}: left out, {why}")
        folds += made
    if not folds:
        raise SourceError(f"{source} has nothing to test: {'; '.join(notes[1:])}")
    targets = sum(len(fold.population.split("test")) for fold in folds)
    seeds = SEEDS if len(events) <= MANY_PEOPLE else 1
    notes.append(f"{targets:,} choices predicted in {len(folds)} folds, by default with {seeds} seeds")
    return OwnPeople(name, folds, seeds, notes, _fingerprint(events))


def _able(source: str | Path, events: Events, column: str, dropped: Dropped) -> Events:
    """Keep the users with a choice that could be predicted. Raises SourceError for one user, or nothing to predict."""
    needed = f"a benchmark tests on people it has never met, so give the rows of {LEAST_PEOPLE} or more"
    if len(events) < 2:
        raise SourceError(
            f"{source} holds the rows of one user ({column!r} has one value); {needed}, "
            "or name the users' column with --user_id_column"
        )
    able = {user: past for user, past in events.items() if draw_targets(past, (), Random(0), 1)}
    if not able:
        contents = [event.content for past in events.values() for event in past]
        labels = Counter(content.label for content in contents if isinstance(content, Reaction))
        found = f"{labels[True]:,} likes and {labels[False]:,} dislikes" if labels else "conversations alone"
        raise SourceError(
            f"{source} holds no choice to predict ({found}); give {{prompt, chosen, rejected}} rows, "
            "or likes and dislikes of one user to the same prompt"
        )
    if len(able) < 2:
        raise SourceError(f"{source} has choices of 1 of its {len(events):,} users; {needed}")
    if few := len(events) - len(able):
        dropped.add("users without a choice to predict", "", few)
    return able


def _sample(events: Events, dropped: Dropped) -> Events:
    """Keep what half an hour reads: people in the order of a hash of their id, the newest events of each."""
    found: dict[str, list[Event]] = {}
    characters, cut, texts = 0, 0, set[str]()
    for user in sorted(events, key=lambda user: (_hash(user), user)):
        past = in_order(events[user], 0)[-MOST_EVENTS:]
        new = {text for event in past for text in answers(event)} - texts
        characters += sum(min(len(text), READ) for text in new)
        if len(found) == MOST_PEOPLE or (characters > MOST_CHARACTERS and len(found) >= LEAST_PEOPLE):
            break
        cut += len(events[user]) - len(past)
        texts |= new
        found[user] = past
    # What a benchmark of this length does not read is counted.
    if left := len(events) - len(found):
        dropped.add(f"users beyond the first {len(found):,} by a hash of their id, which fit half an hour", "", left)
    if cut:
        dropped.add(f"events beyond the newest {MOST_EVENTS} of a user", "", cut)
    return dict(sorted(found.items()))


def _kinds(name: str, events: Events) -> Iterator[tuple[str, Callable[[], list[Fold]] | None, str]]:
    """Yield (group, what makes its folds or None, reason) for each of `KINDS`, in their order."""
    few = len(events) < LEAST_PEOPLE
    pairs = max(2, min(PAIRS, MOST_TARGETS * FOLDS // len(events)))
    people = f"{len(events):,} people, {LEAST_PEOPLE} needed" if few else f"each of {len(events):,} people in one fold"
    yield "new users", None if few else lambda: by_users(name, events, FOLDS, pairs=pairs), people
    yield _new_things(name, events, pairs)
    many = sum(len(past) >= LEAST_CHOICES for past in events.values())
    same = max(2, min(PAIRS, MOST_TARGETS // max(1, many)))
    reason = f"{many:,} users have {LEAST_CHOICES} or more choices" if many else f"no user has {LEAST_CHOICES} choices"
    if many < 2:
        yield "same users", None, reason if not many else f"one user alone has {LEAST_CHOICES} choices"
    else:
        yield "same users", lambda: within_users(name, events, FOLDS, least=LEAST_CHOICES, pairs=same), reason


def _new_things(name: str, events: Events, pairs: int) -> tuple[str, Callable[[], list[Fold]] | None, str]:
    """Choose between new prompts and new answers: prompts, where several people answered the same ones."""
    of_prompt, of_answer = Counter[str](), Counter[str]()
    for past in events.values():
        of_prompt.update({prompt(event) for event in past if answers(event)})
        of_answer.update(text for event in past for text in answers(event))
    shared = sum(people > 1 for people in of_prompt.values())
    again = sum(count > 1 for count in of_answer.values())
    if shared >= LEAST_SHARED and 2 * shared >= len(of_prompt):
        reason = f"{shared:,} of {len(of_prompt):,} prompts were answered by several people"
        return "new prompts", lambda: by_topics(name, events, FOLDS, pairs=pairs), reason
    if len(of_answer) >= LEAST_SHARED and 2 * again >= len(of_answer) and len(events) >= LEAST_PEOPLE:
        reason = f"{again:,} of {len(of_answer):,} answers are met again and again, {len(of_prompt):,} prompts"
        return "new answers", lambda: by_users_and_answers(name, events, FOLDS, pairs=pairs), reason
    found = f"{shared:,} of {len(of_prompt):,} prompts and {again:,} of {len(of_answer):,} answers are met twice"
    return "new answers or prompts", None, f"{found}, so that choices of others are on new ones already"


def _sliced(fold: Fold, events: Events) -> Fold:
    """Let a fold slice its test rows where its choices say how popular an answer is, as reactions do elsewhere.

    Of new answers too, which no training row holds; a user who is tested does not count.
    """
    log = events if fold.group in ("new users", "new answers") else fold.events
    return replace(fold, agreement=agreement(log, fold.events, choices_of=LEAST_SEEN)) if _chose(fold) else fold


def _chose(fold: Fold) -> bool:
    return any(isinstance(event.content, Preference) for past in fold.events.values() for event in past)


def _is_usable(fold: Fold) -> bool:
    return len(fold.population.users("test")) > 1 and bool(fold.population.users("train"))


def _hash(text: str) -> str:
    return hashlib.sha256(f"benchmark/{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _fingerprint(events: Events) -> str:
    """Hash all that is read, so that a stopped benchmark goes on with the same rows alone."""
    return _hash("\n".join(f"{user}\t{event.id}\t{event.time}" for user, past in events.items() for event in past))[:16]
