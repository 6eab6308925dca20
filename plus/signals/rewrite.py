"""New answers under a user's stated preferences, kept only where a checklist judge agrees (WildFeedback, steps 2 to 4).

Three requests a complaint at most: state the preferences, write, check both answers. Nothing is kept on the
writer's word alone; what is left out is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from plus.judge.checklist import ChecklistJudge, improves
from plus.prompts import guided_messages, preference_messages
from plus.signals.asked_signals import read_list
from plus.signals.pairs import Left, Pair, written
from plus.types import Message, Prompt, Writer

SHOWN, LONGEST = 8, 1200  # turns before the complaint that are shown, and characters of each
MOST = 6  # preferences from one complaint


class Rewriter:
    """`pairs(left)` by `writer_of(user_id)`, which states preferences and writes, and `judge_of(user_id)`, which checks."""

    def __init__(
        self, writer_of: Callable[[str], Writer], judge_of: Callable[[str], Writer] | None = None, workers: int = 4
    ) -> None:
        self.writer_of, self.judge_of, self.workers = writer_of, judge_of or writer_of, workers
        self.dropped: Counter[str] = Counter()

    def pairs(self, left: Sequence[Left]) -> list[Pair]:
        """A pair for each complaint of which a better answer came. Raises whatever the writers raise."""
        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(self._one, left))
        for reason, _ in found:
            if reason:
                self.dropped[reason] += 1
        return [pair for _, pair in found if pair is not None]

    def _one(self, left: Left) -> tuple[str, Pair | None]:
        writer = self.writer_of(left.talk.user_id)
        preferences = read_preferences(writer.complete(asking(left)))
        if not preferences:
            return "complaints that state no preference", None
        prompt: Prompt = left.asked.conversation
        answer = writer.complete(guided_messages(preferences, prompt)).strip()
        if not answer or answer == left.asked.rejected:
            return "complaints for which nothing new was written", None
        judge = ChecklistJudge(self.judge_of(left.talk.user_id), workers=1)
        new, old = judge.check_all([(preferences, prompt, answer), (preferences, prompt, left.asked.rejected)])
        if new.score is None or not improves(new, old):
            return "new answers that the checklist judge did not prefer", None
        return "", written(left, answer, preferences, new.score)


def asking(left: Left) -> list[Message]:
    """What asks for the preferences behind a complaint: the turns up to it, and its words."""
    turns = left.talk.turns[max(0, left.turn - SHOWN) : left.turn + 1]
    said = ((f"Turn {number}, {turn.role}", turn.content[:LONGEST]) for number, turn in enumerate(turns))
    return preference_messages(said, " / ".join(left.evidence) or left.talk.turns[left.turn].content[:300])


def read_preferences(reply: str) -> tuple[str, ...]:
    """The statements in a reply, each one line; none where it holds no JSON list of texts."""
    found = read_list(reply) or []
    lines = (" ".join(one.split())[:300] for one in found if isinstance(one, str))
    return tuple(dict.fromkeys(line for line in lines if line))[:MOST]
