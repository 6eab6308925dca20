"""Controls and measures on scorers whose right answers are known, planted faults among them."""

from __future__ import annotations

import math

import pytest

from plus.audit.faithfulness import faithfulness
from plus.audit.report import report
from plus.baselines.majority import Majority
from plus.benchmark.targets import missed, promised
from plus.errors import EvidenceError
from plus.evaluate.controls import read_controls, strangers
from plus.train.health import complaints
from plus.types import Event, Example, Population, Preference, Reaction, UserHistory
from plus.worlds import pets


class Reader:
    """A scorer that reads perfectly: prefers the answer with the animal that the text says is liked."""

    def log_likelihood(self, texts, pairs):
        return [self.one(text, pair) for text, pair in zip(texts, pairs, strict=True)]

    def one(self, text, pair):
        liked = {animal for _, animal in pets.claims(text)}
        right, wrong = pets.animal_of(pair.chosen) in liked, pets.animal_of(pair.rejected) in liked
        return math.log(0.9 if right and not wrong else 0.1 if wrong and not right else 0.5)


class Deaf(Reader):
    """The planted fault that independent re-runs of PLUS found: the summary is ignored."""

    def one(self, text, pair):
        return math.log(0.8 if pair.chosen > pair.rejected else 0.2)


@pytest.fixture
def users() -> Population:
    return pets.load(0, train_users=4, test_pairs=200)


def test_a_reader_passes_every_control(users):
    controls = read_controls(Reader(), users.split("test"), users.personas)
    assert (controls.own, controls.empty, controls.opposite) == (1.0, 0.5, 0.0)
    assert controls.opposites == controls.targets == controls.users == 400
    assert abs(controls.shuffled - 0.5) < 0.05


def test_a_reward_model_that_ignores_the_summary_is_caught(users):
    controls = read_controls(Deaf(), users.split("test"), users.personas)
    assert controls.own == controls.shuffled == controls.empty == controls.opposite == 0.5
    assert controls.summary_gain == 0.0


def test_a_stranger_is_never_the_user_nor_the_twin(users):
    examples = users.split("test")
    target = {example.history.user_id: example.target for example in examples}
    for example, stranger in zip(examples, strangers(examples), strict=True):
        assert stranger != example.history.user_id
        assert target[stranger] != example.target.swapped()
    with pytest.raises(ValueError, match="needs a second user"):
        strangers(examples[:1])


def test_faithfulness_on_worked_summaries():
    """Three users: a true claim, a false one beside a true one, and silence."""
    histories = [
        UserHistory(name, pets.load(0, 1, 1, 3).split("test")[n].history.events) for n, name in enumerate("abc")
    ]
    liked = [animal for history in histories for _, animal in pets.favourite_of(history)]
    wrong = next(
        animal
        for animal in pets.ANIMALS
        if ("passed over", animal) not in pets.traits(histories[1]) and animal != liked[1]
    )
    summaries = {
        "a": f"The user likes {liked[0]} best.",
        "b": f"The user likes {liked[1]} best. The user passed over {wrong}.",
        "c": "The user talked about work.",
    }
    found = faithfulness(summaries, histories, pets.claims, pets.traits, pets.favourite_of)
    assert (found.precision, found.recall, found.claimed, found.wanted) == (2 / 3, 2 / 3, 3, 3)
    silent = faithfulness(dict.fromkeys("abc", "Nothing."), histories, pets.claims, pets.traits, pets.favourite_of)
    assert (silent.precision, silent.recall) == (0.0, 0.0), "silence is not faithful"


def test_majority_on_worked_counts():
    """`a` chosen twice of two, `b` never of one, `c` liked once of two: shares 3/4, 1/3 and 1/2."""
    events = [
        Event("1", "reaction", Reaction("p", "c", True)),
        Event("2", "reaction", Reaction("p", "c", False)),
        Event("3", "choice", Preference("p", "a", "x")),
    ]
    scorer = Majority([Preference("p", "a", "b")], events)
    pairs = [Preference("p", "a", "b"), Preference("p", "c", "a"), Preference("p", "new", "newer")]
    expected = [math.log((3 / 4) / (3 / 4 + 1 / 3)), math.log((1 / 2) / (1 / 2 + 3 / 4)), math.log(0.5)]
    assert scorer.log_likelihood([""] * 3, pairs) == pytest.approx(expected)


def test_a_report_needs_two_test_users(users):
    lonely = Population("lonely", (Example(users.split("test")[0].history, users.split("test")[0].target, "test"),), {})
    with pytest.raises(EvidenceError, match="has 1 test users with a choice to predict; 2 are needed"):
        report(lonely, Reader(), users.personas)


def test_a_missed_promise_is_named_and_nan_is_a_miss():
    good = {
        "accuracy": {"plus": 0.99, "bradley_terry": 0.5, "untrained": 0.6, "oracle": 1.0},
        "controls": {"shuffled": 0.5, "empty": 0.5},
    }
    good |= {"faithfulness": {"precision": 1.0, "recall": 1.0}, "null": {"accuracy": 0.5}}
    assert missed(good) == []
    assert set(promised()) >= {"accuracy.plus", "null.accuracy"}
    assert missed(good | {"null": {"accuracy": math.nan}}) == ["null.accuracy is nan, promised 0.45 to 0.55"]


def test_a_run_that_goes_nowhere_says_so_and_names_the_knobs():
    def window(**metrics):
        return [{"reward_model_loss": 0.4, "summary_gain": 0.3, "distinct_summaries": 0.5} | metrics] * 10

    assert complaints(40, window(), 128) == {}
    assert complaints(39, window(reward_model_loss=0.69), 128) == {}, "too early to say"
    assert "--reward_learning_rate" in complaints(40, window(reward_model_loss=0.69), 128)["loss"]
    assert "ignores the text" in complaints(60, window(summary_gain=0.001), 128)["gain"]
    assert "--beta" in complaints(60, window(distinct_summaries=1 / 128), 128)["collapse"]


def test_a_window_too_small_for_the_past_is_halved_and_then_given_up(users):
    """The reader takes four lines (one event) and then none."""
    from plus.errors import WindowError
    from plus.evaluate.controls import read_raw_history

    class Narrow(Reader):
        def __init__(self, lines):
            self.lines = lines

        def one(self, text, pair):
            if text.count("\n") + 1 > self.lines:
                raise WindowError("too long")
            return super().one(text, pair)

    test = users.split("test")[:20]
    pasted, rows = read_raw_history(Narrow(4), test)
    assert (pasted.events, len(rows)) == (1, 20)
    assert pasted.summarize([test[0].history])[0].startswith("Asked: ")
    pasted, rows = read_raw_history(Narrow(1), test)
    assert (pasted.events, rows) == (0, [])
