"""The audit on scorers whose faults are known: each planted fault must be named in the verdict."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest
from support.populations import rows as rows_of

import plus
from plus.audit.examine import examine
from plus.errors import EvidenceError
from plus.evaluate.controls import Stated, readings
from plus.evaluate.predictions import Prediction
from plus.judge.panel import Judge
from plus.serve.endpoint import Endpoint
from plus.types import Context, Event, Example, Population, Preference, Reaction, UserHistory
from plus.worlds import pets, styles

CODES = dict(zip(pets.ANIMALS, ("zorb", "quix", "flen", "mims", "vorp", "snar", "brill", "tove"), strict=True))


class Reader:
    """Reads perfectly: prefers the answer that shows what the text says is liked. `words` are what it knows."""

    def __init__(self, words: dict[str, str] | None = None) -> None:
        self.words = words or {animal: f"likes {animal}" for animal in pets.ANIMALS}

    def log_likelihood(self, texts, pairs):
        return [self.one(text, pair) for text, pair in zip(texts, pairs, strict=True)]

    def one(self, text: str, pair: Preference) -> float:
        liked = {animal for animal, word in self.words.items() if word in text}
        side = (pets.animal_of(pair.chosen) in liked) - (pets.animal_of(pair.rejected) in liked)
        return math.log((0.1, 0.5, 0.9)[side + 1])


class Deaf(Reader):
    """Ignores the summary: what independent re-runs of PLUS found."""

    def one(self, text, pair):
        return math.log(0.8 if pair.chosen > pair.rejected else 0.2)


class Contrary(Reader):
    """Rewards the summary of whoever chose otherwise as well."""

    def one(self, text, pair):
        said = super().one(text, pair)
        return math.log(0.9) if said != math.log(0.5) else math.log(0.5)


@pytest.fixture(scope="module")
def users() -> Population:
    return pets.load(0, train_users=300, test_pairs=150)


def audit(*given, **more) -> tuple[dict, list[Prediction]]:
    """The audit as report.json holds it, and its predictions."""
    found = examine(*given, **more)
    return found.to_json(), list(found.predictions)


def ok(result: dict) -> dict[str, bool | None]:
    return {finding["control"]: finding["ok"] for finding in result["findings"]}


def says_the_favourite(history: UserHistory) -> str:
    return " ".join(f"The user likes {animal} best." for _, animal in sorted(pets.favourite_of(history)))


def test_a_good_pair_passes_every_control(users):
    found, predictions = audit(users, Reader(), users.personas, Stated(says_the_favourite), {"true personas": Reader()})
    assert False not in ok(found).values()
    assert found["verdict"].startswith("the summary matters: the right user's is worth +0.")
    assert found["persona_swap"]["mean"] == 1.0
    assert found["information"]["own"]["mean"] > 0.95
    assert found["learning_curve"]["0"]["mean"] == 0.5
    assert found["learning_curve"]["3"]["mean"] == 1.0
    assert found["not_run"].keys() == {"null run", "position habit"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {p.method for p in predictions} >= {"own", "shuffled", "empty", "opposite", "raw_history"}


def test_a_reward_model_that_ignores_the_summary_is_caught(users):
    found, _ = audit(users, Deaf(), users.personas)
    assert found["verdict"].startswith("no sign of personalization: another user's summary predicts as well")
    assert found["summary_gain"]["mean"] == 0


def test_a_leaky_split_is_caught_before_anything_else_is_believed(users):
    """Ten test targets stand in their own context, and twenty test users were trained on under another name."""
    test, training = users.split("test"), users.split("train")
    own = [
        replace(e, history=UserHistory(e.history.user_id, (*e.history.events[:-1], turned(e))))
        for e in test[:10]
        for turned in [lambda e: replace(e.history.events[-1], content=e.target.swapped())]
    ]
    renamed = [
        Example(UserHistory(f"again-{n}", e.history.events), e.target, "test") for n, e in enumerate(training[:20])
    ]
    rows = (*training, *own, *test[10:], *renamed)
    personas = {**users.personas, **{e.history.user_id: says_the_favourite(e.history) for e in renamed}}
    leaky = Population("pets", rows_of(rows), {e.history.user_id: e.history for e in rows}, personas)
    found, _ = audit(leaky, Reader(), leaky.personas)
    assert found["verdict"].startswith("leaky split: of 320 test choices 10 stand in their own context")
    assert (found["leaks"]["in_context"], found["leaks"]["same_past"]) == (10, 20)
    assert "no other number here can be trusted" in found["verdict"]


def test_a_private_code_is_called_one(users, demo):
    """One nonsense token per favourite: its own reader and a fresh one read it, nobody else does."""
    code = {user: CODES[text.split("likes ")[1].split()[0]] for user, text in users.personas.items()}
    strangers = {
        "the demo's reward model (cross-play)": plus.load(demo["run"]).reward_model,
        "one who reads words": Reader(),
    }
    found, _ = audit(users, Reader(CODES), code, readers=strangers)
    assert found["readings"]["own"]["mean"] == 1.0
    assert found["information"]["own"]["mean"] > 0.95
    for reading in found["portability"].values():
        assert reading["own"]["low"] <= 0.5 <= reading["own"]["high"]
    assert found["faithfulness"]["precision"] == 0
    assert found["verdict"].startswith("private code: the reward model reads these summaries and nobody else can")
    alone, _ = audit(users, Reader(CODES), code)
    assert alone["verdict"].startswith("private code suspected"), "without other readers, truth alone"


def test_a_judge_with_a_habit_is_exposed(users, chat_server):
    address, _ = chat_server(lambda question: "A")
    found, _ = audit(
        users, Judge(Endpoint(address, "m", api_key="k")), users.personas, examples=users.split("test")[:20]
    )
    assert any(
        f["sentence"].startswith("position bias: scorer takes the answer shown first in 1.000") and f["ok"] is False
        for f in found["findings"]
    )
    assert found["readings"]["own"]["mean"] == 0.5, "undecided, instead of right by half"
    steady, _ = chat_server(lambda q: "A" if re.search(r"likes (\w+)[^§]*Answer A:\n[^\n]*\1", q) else "B")
    fair, _ = audit(users, Judge(Endpoint(steady, "m", api_key="k")), users.personas, examples=users.split("test")[:10])
    assert ok(fair)["position habit"] is True


def test_a_reader_that_likes_the_opposite_too_is_suspicious(users):
    found, _ = audit(users, Contrary(), users.personas)
    assert ok(found)["opposite user"] is False
    assert ok(found)["persona swap"] is False, "no prediction turned"


def test_a_null_run_that_learned_something_is_named(users):
    sound = readings(Deaf(), users.split("test"), users.personas)
    fine, _ = audit(users, Reader(), users.personas, null=sound)
    assert ok(fine)["null run"] is True
    leaky, _ = audit(users, Reader(), users.personas, null=readings(Reader(), users.split("test"), users.personas))
    assert leaky["verdict"].startswith("null run not at chance")


def test_labels_flip_on_styles_beside_the_oracles_rate():
    """A summarizer that reads the labels turns as often as the oracle; one that looks at topics never does."""

    class StyleReader:
        def log_likelihood(self, texts, pairs):
            asked = [
                (text, *styles.asked(pair), styles.asked(pair.swapped())[1])
                for text, pair in zip(texts, pairs, strict=True)
            ]
            said = [(("unknown", "?"), *styles.claims(text)) for text, *_ in asked]
            sides = [((t, v) in s) - ((t, w) in s) for s, (_, t, v, w) in zip(said, asked, strict=True)]
            return [math.log((0.1, 0.5, 0.9)[side + 1]) for side in sides]

    people = styles.load(0, train_users=60, test_pairs=100)
    read = Stated(lambda history: styles.persona(value for _, value in sorted(styles.traits(history))))
    texts = {user: read.summarize([history])[0] for user, history in people.histories.items()}
    good, _ = audit(people, StyleReader(), texts, read)
    assert good["label_flip"]["rate"]["mean"] == good["label_flip"]["oracle"]["mean"] == 1.0
    assert ok(good)["label flip"] is True
    (swap,) = (finding for finding in good["findings"] if finding["control"] == "persona swap")
    assert swap["ok"] is None, "a past that reveals a part of the taste cannot turn every prediction"
    assert swap["sentence"].endswith(f"whoever draws all from a past is right in {people.best_possible:.3f}")
    stubborn, _ = audit(people, StyleReader(), texts, Stated(lambda history: texts[history.user_id]))
    assert stubborn["label_flip"]["rate"]["mean"] == 0.0
    assert ok(stubborn)["label flip"] is False


def test_what_cannot_be_audited_is_one_line(users):
    lonely = Population("lonely", rows_of(users.split("test")[:1]), {})
    with pytest.raises(EvidenceError, match="has 1 test users with a choice to predict; 2 are needed"):
        audit(lonely, Reader(), users.personas)
    with pytest.raises(EvidenceError, match=r"299 of 300 test users have no summary \(first: test-0-b\)"):
        audit(users, Reader(), {"test-0-a": "x"})


def test_all_ties_are_said_and_the_rest_is_computed(users):
    class Undecided(Reader):
        def one(self, text, pair):
            return math.log(0.5)

    found, _ = audit(users, Undecided(), users.personas)
    assert found["verdict"].startswith("no sign of personalization")
    assert any("every choice is undecided" in note for note in found["measures"]["notes"])
    assert found["persona_swap"]["targets"] == 0


def test_a_reward_model_over_embeddings_reads_what_a_pasted_dislike_speaks_against():
    """Pasted as a transcript ("Disliked: ..."), a dislike was read as one more statement that its user is for."""
    from support.words import embeddings

    from plus.models.embedding_reward_model import EmbeddingRewardModel

    class Listening(EmbeddingRewardModel):
        def log_likelihood(self, texts, pairs):
            heard.update(texts)
            return super().log_likelihood(texts, pairs)

    heard: set[str] = set()
    pair = Preference("q", "more parks", "more roads")
    rows = tuple(
        Context(UserHistory(name, (Event("1", "reaction", Reaction("q", f"{name} pays", False)),)), (target,), "test")
        for name, target in (("ann", pair), ("ben", pair.swapped()))
    )
    population = Population("town", rows, {row.history.user_id: row.history for row in rows})
    examine(population, Listening(embeddings(), [pair.chosen, pair.rejected]), dict.fromkeys(("ann", "ben"), ""))
    assert heard == {"", "Disagreed: ann pays", "Disagreed: ben pays"}
