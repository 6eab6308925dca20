"""Controls on one scorer and the texts it reads, of any origin.

A `Scorer` is enough: a run of ours, any reward model, a TRL reward function, a judge behind an
endpoint. What needs more (a summarizer, true personas, readers of other origin) runs where it is
given, and is named with the reason where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from plus.audit.findings import PEOPLE, Audit, LabelFlip, NullRun
from plus.audit.leak_check import leak_check
from plus.audit.text_checks import KNOWN, Faithfulness, FreshReader, Information, Reading, faithfulness, read
from plus.errors import EvidenceError
from plus.evaluate.controls import (
    PastedHistory,
    Stated,
    curve,
    label_flip,
    learning_curve,
    read_raw_history,
    readings,
    turned,
)
from plus.evaluate.intervals import Interval, interval, paired_difference, user_interval
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import groups, scorecard
from plus.judge.panel import Judge
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.extractive import ExtractiveSummarizer
from plus.prompts import event_lines, render_event
from plus.types import Event, Example, Population, Scorer, Summarizer
from plus.worlds import styles

CURVE = "own, by past events"  # the method under which the learning curve's predictions are kept


def examine(
    population: Population,
    scorer: Scorer,
    summaries: Mapping[str, str],
    summarizer: Summarizer | None = None,
    readers: Mapping[str, Scorer] | None = None,
    null: Mapping[str, Sequence[Prediction]] | None = None,
    examples: Sequence[Example] | None = None,
    trained: Collection[str] = (),
) -> Audit:
    """Run every control that the arguments allow.

    `readers` were never fitted to these summaries (portability). `null` are the readings of a run
    trained on permuted targets. `examples` is a part of the test split, where all is too much. `trained` are the
    users that the run's record of its data says it was trained on.
    Raises EvidenceError where there are no two test users, or one of them has no summary.
    """
    examples = population.split("test") if examples is None else list(examples)
    readers = readers or {}
    _refuse(population, summaries, examples)
    # Predictions with the user's own text and with each control's.
    found = readings(scorer, examples, summaries)
    pasted, raw = read_raw_history(scorer, examples, line=_line_for(scorer))
    own = [replace(p, group=group) for p, group in zip(found["own"], groups(population, examples), strict=True)]
    # Checks that need more than the texts; each that cannot run leaves its reason in `not_run`.
    not_run: dict[str, str] = {}
    information = _information(population, summaries, examples, not_run)
    portability = _portability(readers, examples, summaries, not_run)
    claims = _faithfulness(population, summarizer, summaries, examples, not_run)
    swap = _persona_swap(found, not_run)
    flip = _label_flip(population, summarizer, scorer, examples, own, not_run)
    habit = _position_habit(own, {"scorer": scorer, **readers}, not_run)
    # Last, since a judge's habit is that of the questions above.
    past = learning_curve(summarizer, scorer, examples, CURVE) if summarizer else []
    _name_missing(not_run, raw, null, summarizer)
    return Audit(
        dataset=population.name,
        synthetic=population.name in KNOWN,
        best_possible=population.best_possible,
        pasted=isinstance(summarizer, PastedHistory),
        users=len({p.user_id for p in own}),
        targets=len(own),
        readings={name: user_interval(rows) for name, rows in {**found, "raw_history": raw}.items()},
        raw_history_events=pasted.events,
        summary_gain=paired_difference(own, found["shuffled"]),
        gain_over_empty=paired_difference(own, found["empty"]),
        measures=scorecard(own),
        leaks=leak_check(population, trained=trained),
        information=information,
        portability=portability,
        faithfulness=claims,
        persona_swap=swap,
        label_flip=flip,
        position_habit=habit,
        null=_null(null),
        not_run=not_run,
        learning_curve=curve(past),
        predictions=[*own, *found["shuffled"], *found["empty"], *found["opposite"], *raw, *past],
    )


def _name_missing(
    not_run: dict[str, str], raw: Sequence[Prediction], null: object | None, summarizer: Summarizer | None
) -> None:
    """Give the reason for each control that was left out for want of room, of a run, or of a summarizer."""
    if not raw:
        not_run["raw history"] = "not even the newest past event fits the scorer's window"
    if null is None:
        not_run["null run"] = "it trains anew on choices dealt to other users; plus audit RUN --null_steps N runs it"
    if not summarizer:
        not_run["learning curve"] = "shorter pasts must be summarized anew, and only texts were given"


def _line_for(scorer: Scorer) -> Callable[[Event], str]:
    """Choose the words of pasted events: a reward model over embeddings reads what lines speak for and against."""
    return event_lines if isinstance(scorer, EmbeddingRewardModel) else render_event


def _refuse(population: Population, summaries: Mapping[str, str], examples: Sequence[Example]) -> None:
    users = list(dict.fromkeys(example.history.user_id for example in examples))
    if len(users) < 2:
        raise EvidenceError(
            f"{population.name} has {len(users)} test users with a choice to predict; 2 are needed, so give more data"
        )
    if missing := [user for user in users if user not in summaries]:
        raise EvidenceError(
            f"{len(missing):,} of {len(users):,} test users have no summary (first: {missing[0]}); give one for each"
        )


def _information(
    population: Population, summaries: Mapping[str, str], examples: Sequence[Example], not_run: dict[str, str]
) -> Information | None:
    training = [e for e in population.split("train") if e.history.user_id in summaries]
    if not training:
        not_run["information"] = "a reader fitted afresh needs summaries of training users, and none were given"
        return None
    reader = FreshReader([summaries[e.history.user_id] for e in training], [e.target for e in training])
    return Information(*read(reader, examples, summaries), fitted_to=len(training))


def _portability(
    readers: Mapping[str, Scorer], examples: Sequence[Example], summaries: Mapping[str, str], not_run: dict[str, str]
) -> dict[str, Reading]:
    if not readers:
        not_run["portability"] = (
            "it takes a reader never fitted to these summaries: --other_run (cross-play), "
            "--persona_steps (true personas) or --judge_model"
        )
    return {name: read(reader, examples, summaries) for name, reader in readers.items()}


def _faithfulness(
    population: Population,
    summarizer: Summarizer | None,
    summaries: Mapping[str, str],
    examples: Sequence[Example],
    not_run: dict[str, str],
) -> Faithfulness | None:
    if isinstance(summarizer, PastedHistory):
        not_run["faithfulness"] = "the past itself was pasted in, which claims nothing"
        return None
    if isinstance(summarizer, ExtractiveSummarizer):
        not_run["faithfulness"] = "the summaries quote the past, which is true and claims nothing beyond it"
        return None
    if population.name not in KNOWN:
        not_run["faithfulness"] = "what is true of real people is not known"
        return None
    histories = {example.history.user_id: example.history for example in examples}
    return faithfulness(summaries, histories.values(), *KNOWN[population.name])


def _persona_swap(found: Mapping[str, Sequence[Prediction]], not_run: dict[str, str]) -> Interval | None:
    """Measure how many predictions turn with the history of a user who likes the rejected answer."""
    if not found["opposite"]:
        not_run["persona swap"] = "no two test users chose differently between the same two answers"
        return None
    own = {(p.user_id, p.example): p for p in found["own"]}
    return turned([own[p.user_id, p.example] for p in found["opposite"]], found["opposite"])


def _label_flip(
    population: Population,
    summarizer: Summarizer | None,
    scorer: Scorer,
    examples: Sequence[Example],
    own: Sequence[Prediction],
    not_run: dict[str, str],
) -> LabelFlip | None:
    if summarizer is None:
        not_run["label flip"] = "flipped histories must be summarized anew, and only texts were given"
        return None
    rate = label_flip(summarizer, scorer, examples, own)
    if not rate.targets:
        not_run["label flip"] = "no choice was right from a history that holds labels"
        return None
    return LabelFlip(rate, _oracle_flip(population, scorer, examples))


def _oracle_flip(population: Population, scorer: Scorer, examples: Sequence[Example]) -> Interval | None:
    """Measure the rate of summaries that state exactly what each history reveals, read by the same scorer."""
    if population.name != "styles":  # Only there does a flipped past reveal the opposite taste in words.
        return None
    stated = Stated(lambda history: styles.persona(value for _, value in sorted(styles.traits(history))))
    users = [example.history.user_id for example in examples]
    texts = dict(zip(users, stated.summarize([example.history for example in examples]), strict=True))
    before = readings(scorer, examples, texts)["own"]
    return label_flip(stated, scorer, examples, before)


def _position_habit(
    own: Sequence[Prediction], scorers: Mapping[str, Scorer], not_run: dict[str, str]
) -> dict[str, Interval]:
    """Measure how often the answer shown first is taken, by the people who chose and by each judge asked."""
    found: dict[str, Interval] = {}
    if shown := [p for p in own if p.chosen_first is not None]:
        found[PEOPLE] = user_interval(shown, lambda p: float(p.chosen_first or 0))
    for name, scorer in scorers.items():
        if isinstance(scorer, Judge):
            found[name] = interval((0, str(number), share) for number, share in enumerate(scorer.first_shares))
    if not found:
        not_run["position habit"] = "the rows do not say which answer stood first, and no judge was asked"
    return found


def _null(null: Mapping[str, Sequence[Prediction]] | None) -> NullRun | None:
    if null is None:
        return None
    return NullRun(user_interval(null["own"]), paired_difference(null["own"], null["shuffled"]))
