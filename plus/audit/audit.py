"""Every control on one scorer and the texts it reads, whoever made them.

A `Scorer` is enough: a run of ours, any reward model, a TRL reward function, a judge behind an
endpoint. What needs more (a summarizer, true personas, readers of other origin) runs where it is
given, and is named with the reason where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from plus.audit.faithfulness import KNOWN, faithfulness
from plus.audit.findings import PEOPLE, findings, headline
from plus.audit.leak_check import leak_check
from plus.audit.portability import FreshReader, Reading, read
from plus.errors import EvidenceError
from plus.evaluate.controls import PastedHistory, read_raw_history, readings
from plus.evaluate.counterfactuals import Stated, label_flip, turned
from plus.evaluate.intervals import Interval, interval, paired_difference, user_interval
from plus.evaluate.learning_curve import curve, learning_curve
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import groups, plain, scorecard
from plus.judge.judge import Judge
from plus.types import Example, Population, Scorer, Summarizer
from plus.worlds import styles

CURVE = "own, by past events"  # the method under which the learning curve's predictions are kept


def audit(
    population: Population,
    scorer: Scorer,
    summaries: Mapping[str, str],
    summarizer: Summarizer | None = None,
    readers: Mapping[str, Scorer] | None = None,
    null: Mapping[str, Sequence[Prediction]] | None = None,
    examples: Sequence[Example] | None = None,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Run every control that the arguments allow: the results as plain values with a verdict in
    words, and the predictions they rest on.

    `readers` were never fitted to these summaries (portability). `null` are the readings of a run
    trained on permuted targets. `examples` is a part of the test split, where all is too much.
    Raises EvidenceError where there are no two test users, or one of them has no summary.
    """
    examples = population.split("test") if examples is None else list(examples)
    _refuse(population, summaries, examples)
    found = readings(scorer, examples, summaries)
    pasted, raw = read_raw_history(scorer, examples)
    slices = groups(population, examples)
    own = [replace(p, group=group) for p, group in zip(found["own"], slices, strict=True)]
    skipped: dict[str, str] = {}
    result: dict[str, Any] = {
        "dataset": population.name,
        "synthetic": population.name in KNOWN,
        "best_possible": population.best_possible,
        "pasted": isinstance(summarizer, PastedHistory),  # then the texts are the past itself, and no summaries
        "users": len({p.user_id for p in own}),
        "targets": len(own),
        "readings": {name: user_interval(rows)._asdict() for name, rows in {**found, "raw_history": raw}.items()},
        "raw_history_events": pasted.events,
        "summary_gain": paired_difference(own, found["shuffled"])._asdict(),
        "gain_over_empty": paired_difference(own, found["empty"])._asdict(),
        "measures": scorecard(own),
        "leaks": asdict(leak_check(population)),
        "information": _information(population, summaries, examples, skipped),
        "portability": _portability(readers or {}, examples, summaries, skipped),
        "faithfulness": _faithfulness(population, summarizer, summaries, examples, skipped),
        "persona_swap": _persona_swap(found, skipped),
        "label_flip": _label_flip(population, summarizer, scorer, examples, own, skipped),
        "position_habit": _position_habit(own, {"scorer": scorer, **(readers or {})}, skipped),
        "null": _null(null),
    }
    if not raw:
        skipped["raw history"] = "not even the newest past event fits the scorer's window"
    if null is None:
        skipped["null run"] = "it trains anew on choices dealt to other users; plus audit RUN --null_steps N runs it"
    result["not_run"] = skipped
    past = learning_curve(summarizer, scorer, examples, CURVE) if summarizer else []
    result["learning_curve"] = {str(count): at._asdict() for count, at in curve(past).items()}
    if not summarizer:
        skipped["learning curve"] = "shorter pasts must be summarized anew, and only texts were given"
    result = plain(result)
    said = findings(result)
    result |= {"findings": [asdict(finding) for finding in said], "verdict": headline(said)}
    return result, [*own, *found["shuffled"], *found["empty"], *found["opposite"], *raw, *past]


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
    population: Population, summaries: Mapping[str, str], examples: Sequence[Example], skipped: dict[str, str]
) -> dict[str, Any] | None:
    training = [e for e in population.split("train") if e.history.user_id in summaries]
    if not training:
        skipped["information"] = "a reader fitted afresh needs summaries of training users, and none were given"
        return None
    reader = FreshReader([summaries[e.history.user_id] for e in training], [e.target for e in training])
    return _reading(read(reader, examples, summaries)) | {"fitted_to": len(training)}


def _portability(
    readers: Mapping[str, Scorer], examples: Sequence[Example], summaries: Mapping[str, str], skipped: dict[str, str]
) -> dict[str, Any]:
    if not readers:
        skipped["portability"] = (
            "it takes a reader never fitted to these summaries: --other_run (cross-play), --persona_steps (true personas) or --judge_model"
        )
    return {name: _reading(read(reader, examples, summaries)) for name, reader in readers.items()}


def _faithfulness(
    population: Population,
    summarizer: Summarizer | None,
    summaries: Mapping[str, str],
    examples: Sequence[Example],
    skipped: dict[str, str],
) -> dict[str, Any] | None:
    if isinstance(summarizer, PastedHistory):
        skipped["faithfulness"] = "the past itself was pasted in, which claims nothing"
        return None
    if population.name not in KNOWN:
        skipped["faithfulness"] = "what is true of real people is not known"
        return None
    histories = {example.history.user_id: example.history for example in examples}
    return asdict(faithfulness(summaries, histories.values(), *KNOWN[population.name]))


def _persona_swap(found: Mapping[str, Sequence[Prediction]], skipped: dict[str, str]) -> dict[str, Any] | None:
    """The history of a user who likes the rejected answer: the prediction must turn."""
    if not found["opposite"]:
        skipped["persona swap"] = "no two test users chose differently between the same two answers"
        return None
    own = {(p.user_id, p.example): p for p in found["own"]}
    return turned([own[p.user_id, p.example] for p in found["opposite"]], found["opposite"])._asdict()


def _label_flip(
    population: Population,
    summarizer: Summarizer | None,
    scorer: Scorer,
    examples: Sequence[Example],
    own: Sequence[Prediction],
    skipped: dict[str, str],
) -> dict[str, Any] | None:
    if summarizer is None:
        skipped["label flip"] = "flipped histories must be summarized anew, and only texts were given"
        return None
    rate = label_flip(summarizer, scorer, examples, own)
    if not rate.targets:
        skipped["label flip"] = "no choice was right from a history that holds labels"
        return None
    return {"rate": rate._asdict(), "oracle": _oracle_flip(population, scorer, examples)}


def _oracle_flip(population: Population, scorer: Scorer, examples: Sequence[Example]) -> dict[str, Any] | None:
    """The rate of summaries that state exactly what each history reveals, read by the same scorer."""
    if population.name != "styles":  # Only there does a flipped past reveal the opposite taste in words.
        return None
    stated = Stated(lambda history: styles.persona(value for _, value in sorted(styles.traits(history))))
    texts = dict(
        zip(
            (e.history.user_id for e in examples),
            stated.summarize([example.history for example in examples]),
            strict=True,
        )
    )
    before = readings(scorer, examples, texts)["own"]
    return label_flip(stated, scorer, examples, before)._asdict()


def _position_habit(
    own: Sequence[Prediction], scorers: Mapping[str, Scorer], skipped: dict[str, str]
) -> dict[str, Any]:
    """How often the answer shown first is taken, by the people who chose and by each judge asked."""
    found: dict[str, Interval] = {}
    if shown := [p for p in own if p.chosen_first is not None]:
        found[PEOPLE] = user_interval(shown, lambda p: float(p.chosen_first or 0))
    for name, scorer in scorers.items():
        if isinstance(scorer, Judge):
            found[name] = interval((0, str(number), share) for number, share in enumerate(scorer.first_shares))
    if not found:
        skipped["position habit"] = "the rows do not say which answer stood first, and no judge was asked"
    return {name: share._asdict() for name, share in found.items()}


def _null(null: Mapping[str, Sequence[Prediction]] | None) -> dict[str, Any] | None:
    if null is None:
        return None
    gain = paired_difference(null["own"], null["shuffled"])
    return {"own": user_interval(null["own"])._asdict(), "gain": gain._asdict()}


def _reading(reading: Reading) -> dict[str, Any]:
    return {name: found._asdict() for name, found in reading._asdict().items()}
