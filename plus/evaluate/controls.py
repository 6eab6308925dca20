"""Controls: the same choices predicted with other texts, to see whether the reward model reads the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plus.errors import WindowError
from plus.evaluate.predictions import Prediction, predict
from plus.prompts import render_event
from plus.types import Example, Preference, Scorer, UserHistory


def readings(
    scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str], seed: int = 0
) -> dict[str, list[Prediction]]:
    """Predict every choice with the user's own summary and with each control's text.

    Returns control -> predictions. own: the user's summary. shuffled: another user's. empty: no text.
    opposite: the summary of a user who chose the other answer of the same pair, over the choices
    that have one. Raises ValueError for fewer than two users.
    """
    twins = opposite_users(examples)
    with_twin = [number for number, twin in enumerate(twins) if twin is not None]
    # Own, shuffled and empty: one text for every example.
    own = [summaries[example.history.user_id] for example in examples]
    texts = {"own": own, "shuffled": [summaries[user] for user in other_users(examples)], "empty": [""] * len(own)}
    found = {name: predict(name, seed, scorer, of_name, examples) for name, of_name in texts.items()}
    # The opposite user's summary, where one chose the other answer.
    theirs = [summaries[twins[number] or ""] for number in with_twin]
    values = predict("opposite", seed, scorer, theirs, [examples[number] for number in with_twin])
    found["opposite"] = [found["own"][n].of("opposite", p.margin) for n, p in zip(with_twin, values, strict=True)]
    return found


class PastedHistory:
    """`Summarizer` that pastes the newest events as they are."""

    def __init__(self, events: int) -> None:
        self.events = events

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Render the newest `events` events of each history, as the summarizer reads them."""
        return ["\n".join(render_event(event) for event in history.events[-self.events :]) for history in histories]


def read_raw_history(
    scorer: Scorer, examples: Sequence[Example], seed: int = 0
) -> tuple[PastedHistory, list[Prediction]]:
    """Predict every choice from the user's pasted history.

    The number of newest events is halved until all histories fit the scorer's window. Returns the
    summarizer that pasted them and the predictions: none where not even the newest event fits.
    """
    # All events first, then half as many, until the longest history fits.
    events = max((len(example.history.events) for example in examples), default=1) or 1
    while True:
        pasted = PastedHistory(events)
        texts = pasted.summarize([example.history for example in examples])
        try:
            return pasted, predict("raw_history", seed, scorer, texts, examples)
        except WindowError:
            if events == 1:
                return PastedHistory(0), []
            events //= 2


def other_users(examples: Sequence[Example]) -> list[str]:
    """Select another user for each example.

    The one half the list away, or the next after that who is neither the user nor one that chose the
    opposite of the same pair (which would bias shuffled accuracy below chance). With fewer than three
    users the opposite is taken where there is no other. Raises ValueError for a single user.
    """
    users = list(dict.fromkeys(example.history.user_id for example in examples))
    place = {user: number for number, user in enumerate(users)}
    chose: dict[str, set[Preference]] = {}
    for example in examples:
        chose.setdefault(example.history.user_id, set()).add(example.target)
    found = []
    # Only the next eight are looked at, so that the cost stays linear in users.
    for example in examples:
        start = place[example.history.user_id]
        ahead = [users[(start + len(users) // 2 + step) % len(users)] for step in range(min(len(users), 8))]
        others = [user for user in ahead if user != example.history.user_id]
        if not others:
            raise ValueError("a shuffled control needs a second user; the examples hold one")
        found.append(next((user for user in others if example.target.swapped() not in chose[user]), others[0]))
    return found


def opposite_users(examples: Sequence[Example]) -> list[str | None]:
    """Find for each example a user who chose the other answer of the same pair, or None."""
    chose = {example.target: example.history.user_id for example in examples}
    return [chose.get(example.target.swapped()) for example in examples]
