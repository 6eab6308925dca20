"""Judging by a panel, the job of `plus judge`: held-out choices, and answers written with and without a summary.

found = plus.judge(store, "judged", judge_models=["gpt-5-mini"], base_url="https://api.openai.com/v1")
found.report.accuracy["gpt-5-mini, pick"]["summary"].mean
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from plus.errors import EvidenceError, SettingError
from plus.jsonl import write_json
from plus.judge.panel import WORKERS, Judgment, Question, Seat, Verdict, WriterOf, by_checklist, by_scorer, prompted
from plus.judge.reply_cache import TIMEOUT, Replies, endpoint_writers
from plus.profiles.store import Store
from plus.progress import SILENT, Screen
from plus.prompts import JUDGES, NEUTRAL
from plus.serve.personalize import personalize
from plus.types import Message, Preference, Scorer, Turn

if TYPE_CHECKING:
    from plus.judge.report import Report
    from plus.serve.capture import Outgoing

SIDES = (
    ("personalized", "default"), ("history", "default"), ("personalized", "history"), ("personalized", "another"),
)  # fmt: skip
HISTORY_TOKENS = 2048  # of a pasted past in a request
MAX_TOKENS = 1024  # of an answer, and of a verdict: a letter, or a line a point; models that think take more
NOTES = (
    "A judge that compares answers reads the user's history, a checklist and the reward model the summary: the first "
    "favours answers written from the history, the others those written from the summary.",
    "Every word sent and received is in judgments.jsonl.",
)


class Person(NamedTuple):
    """A user: the summary, the newest past events pasted as text, and choices that no summarizer has read."""

    user_id: str
    summary: str
    history: str
    choices: tuple[Preference, ...]

    def told(self, what: str) -> str:
        """Return the text about the user that `what` of TOLD names."""
        return {"summary": self.summary, "history": self.history, "nothing": ""}[what]


@dataclass(frozen=True)
class JudgeSettings:
    """Models, limits and address of a judging.

    judge_models, answer_model: names behind `base_url`; without an `answer_model` no answers are compared.
    checklist: each judge also checks the summary point by point. max_users: the first so many. max_choices: held-out
    choices of each user. past_events: the newest ones, pasted in as the history. workers: requests at once. timeout:
    seconds for one reply.
    """

    judge_models: Sequence[str] = ()
    answer_model: str | None = None
    base_url: str = ""
    checklist: bool = True
    max_users: int | None = 50
    max_choices: int = 4
    past_events: int = 8
    workers: int = WORKERS
    timeout: float = TIMEOUT

    def check(self, reward_model: bool) -> None:
        """Raise SettingError where there is no judge, or no address for the models."""
        if not self.judge_models and not reward_model:
            raise SettingError("nobody judges; give --judge_model NAME with --base_url, or --reward_model")
        if (self.judge_models or self.answer_model) and not self.base_url:
            raise SettingError("--judge_model and --answer_model stand behind --base_url, which is missing")

    def people(self, store: Store) -> list[Person]:
        """Select the users who are judged."""
        return people(store, self.past_events, self.max_users, self.max_choices)


@dataclass(frozen=True)
class JudgeResult:
    """Result of a judging.

    folder: holds report.md, which is `page`, report.json and judgments.jsonl. sent, known: numbers of requests that
    were sent now, and of replies that judgments.jsonl held already. slow: of replies that did not come in time.
    """

    folder: Path
    report: Report
    page: str
    sent: int
    known: int
    slow: int = 0


def judge(
    store: Store,
    output_dir: str | Path,
    reward_model: Scorer | None = None,
    screen: Screen = SILENT,
    **options: Any,
) -> JudgeResult:
    """Judge summaries and answers of a store's users, and write report.md, report.json and judgments.jsonl.

    `options` are those of JudgeSettings; `reward_model`, such as plus.load(run).reward_model, is a judge too. Replies
    are kept in judgments.jsonl: the same call again sends nothing. Sends users' summaries, past and held-out choices to
    `base_url`. Raises SettingError, EndpointError, and EvidenceError with fewer than two users to judge.
    """
    settings, folder = JudgeSettings(**options), Path(output_dir)
    settings.check(reward_model is not None)
    # Packages first, so that a missing one costs no request; the extra with openai brings numpy too.
    if settings.judge_models or settings.answer_model:
        import_module("openai")
    from plus.judge import report as reports

    persons = settings.people(store)
    # 1. The panel: every model in every wording, and the reward model.
    replies = Replies(folder / "judgments.jsonl")

    def writers_of(model: str) -> WriterOf:
        return endpoint_writers(settings.base_url, model, MAX_TOKENS, replies, timeout=settings.timeout)

    panel = seats(settings, writers_of)
    if reward_model is not None:
        panel["the run's reward model"] = Seat(by_scorer(reward_model), compares_by="summary")
    # 2. Held-out choices, then answers.
    with screen.status("predicting held-out choices"):
        choices = choices_judged(persons, panel)
    compared: list[Judgment] = []
    if settings.answer_model:
        with screen.status("writing answers"):
            written = answers(persons, writers_of(settings.answer_model), settings.workers)
        with screen.status("comparing answers"):
            compared = answers_judged(persons, panel, written)
    # 3. The report.
    found = reports.report(choices, compared)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", found.to_json())
    page = reports.page(found, "Judged", NOTES)
    (folder / "report.md").write_text(page, encoding="utf-8")
    return JudgeResult(folder, found, page, replies.sent, replies.known, replies.slow)


def outgoing(store: Store, reward_model: bool = False, **options: Any) -> tuple[list[Outgoing], int]:
    """Build the requests that `judge` would send, as far as they do not depend on replies; send nothing.

    Returns the requests, and for how many prompts answers would be compared afterwards.
    """
    from plus.serve.capture import Caught

    settings, caught = JudgeSettings(**options), Caught()
    settings.check(reward_model)
    persons = settings.people(store)
    panel = seats(settings, lambda model: endpoint_writers(settings.base_url, model, MAX_TOKENS, None, caught.client))
    choices_judged(persons, panel)
    if not settings.answer_model:
        return caught.outgoing, 0
    answers(persons, endpoint_writers(settings.base_url, settings.answer_model, MAX_TOKENS, None, caught.client))
    return caught.outgoing, sum(len(person.choices) for person in persons)


def seats(settings: JudgeSettings, writers_of: Callable[[str], WriterOf]) -> dict[str, Seat]:
    """Seat every judge by name: each model in each wording, and with the checklist."""
    panel: dict[str, Seat] = {}
    for model in settings.judge_models:
        writers = writers_of(model)
        for name, instruction in JUDGES.items():
            panel[f"{model}, {name}"] = Seat(prompted(writers, instruction, settings.workers))
        if settings.checklist:
            panel[f"{model}, checklist"] = Seat(by_checklist(writers, settings.workers), ("summary",), "summary")
    return panel


def people(store: Store, events: int = 8, max_users: int | None = None, max_choices: int = 4) -> list[Person]:
    """Select the store's users with a summary and held-out choices. Raises EvidenceError for fewer than two."""
    from plus.evaluate.controls import PastedHistory  # It brings numpy: openai is asked for first.

    # The past that is pasted in is what a summarizer reads; the held-out choices are not in it.
    found: list[Person] = []
    pasted = PastedHistory(events)
    for user_id in store.users():
        if max_users is not None and len(found) == max_users:
            break
        summary = store.summary(user_id)
        choices = [e.content for e in store.events(user_id, held_out=True) if isinstance(e.content, Preference)]
        if summary is not None and summary.text.strip() and choices:
            past = pasted.summarize([store.read(user_id).history])[0]
            found.append(Person(user_id, summary.text, past, tuple(choices[:max_choices])))
    if len(found) < 2:
        raise EvidenceError(
            f"{len(found)} users of {store.place} have a summary and a held-out choice, and an interval takes two; "
            "plus summarize --update writes summaries and holds choices out"
        )
    return found


def choices_judged(persons: Sequence[Person], panel: Mapping[str, Seat]) -> list[Judgment]:
    """Judge every held-out choice by every judge, told each text about the user; `one` is the chosen answer."""
    found: list[Judgment] = []
    for name, seat in panel.items():
        for told in seat.told:
            questions = [
                Question(person.user_id, person.told(told), choice.conversation, choice.chosen, choice.rejected)
                for person, choice in _choices(persons)
            ]
            found += _judgments(name, told, ("chosen", "rejected"), seat, questions)
    return found


def answers(persons: Sequence[Person], writer_of: WriterOf, workers: int = WORKERS) -> list[dict[str, str]]:
    """Write the answers to each held-out choice's prompt, in order of the choices: arm -> text.

    Arms: "personalized"; "history", with the past in the place of the summary; "another", with the next user's summary;
    "default". All have the same neutral system text.
    """
    others = dict(zip(persons, [*persons[1:], *persons[:1]], strict=True))
    wanted = [(person, answer_requests(person, choice, others[person].summary)) for person, choice in _choices(persons)]
    # Four requests a prompt, all of them queued at once.
    with ThreadPoolExecutor(workers) as pool:
        asked = [
            {name: pool.submit(writer_of(person.user_id).complete, messages) for name, messages in requests.items()}
            for person, requests in wanted
        ]
        return [{name: reply.result() for name, reply in replies.items()} for replies in asked]


def answer_requests(person: Person, choice: Preference, other: str = "") -> dict[str, list[Message]]:
    """Build the messages for the four answers to one prompt; `other` is another user's summary."""
    turns = (*choice.earlier, Turn("user", choice.prompt))
    # A model's own default system prompt is in no arm: what differs is the text about the user alone.
    if not any(turn.role == "system" for turn in turns):
        turns = (Turn("system", NEUTRAL), *turns)
    plain: list[Message] = [{"role": turn.role, "content": turn.content} for turn in turns]
    return {
        "personalized": personalize(plain, person.summary),
        "history": personalize(plain, person.history, max_tokens=HISTORY_TOKENS),
        "another": personalize(plain, other),
        "default": plain,
    }


def answers_judged(
    persons: Sequence[Person], panel: Mapping[str, Seat], written: Sequence[Mapping[str, str]]
) -> list[Judgment]:
    """Judge every two of the answers by every judge. Equal ones are a tie without a request, missing ones left out."""
    found: list[Judgment] = []
    for name, seat in panel.items():
        for one, two in SIDES:
            questions = [
                Question(person.user_id, person.told(seat.compares_by), choice.conversation, made[one], made[two])
                for (person, choice), made in zip(_choices(persons), written, strict=True)
                if made[one] and made[two]
            ]
            found += _judgments(name, seat.compares_by, (one, two), seat, questions)
    return found


def _choices(persons: Sequence[Person]) -> Iterator[tuple[Person, Preference]]:
    return ((person, choice) for person in persons for choice in person.choices)


def _judgments(
    name: str, told: str, sides: tuple[str, str], seat: Seat, questions: Sequence[Question]
) -> list[Judgment]:
    # Equal texts are not asked about.
    open_ones = [number for number, question in enumerate(questions) if question.one != question.two]
    said = dict(zip(open_ones, seat.judge([questions[number] for number in open_ones]), strict=True))
    tie = Verdict("tie", "tie")
    return [
        Judgment(name, told, q.user_id, str(number), *sides, said.get(number, tie), _longer(q))
        for number, q in enumerate(questions)
    ]


def _longer(question: Question) -> int | None:
    one, two = len(question.one), len(question.two)
    return None if one == two else int(one > two)
