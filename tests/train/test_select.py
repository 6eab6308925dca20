"""The select engine learns planted tastes, keeps them in files, and is trusted only where validation users say so."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from support.words import embeddings

from plus.errors import ModelError, SettingError, SourceError
from plus.measures import accuracy
from plus.models import run as run_files
from plus.models.embeddings import Embeddings
from plus.recipes import selecting
from plus.sources.contexts import build
from plus.sources.polis import target_pairs
from plus.sources.splits import Plan
from plus.train import select_run
from plus.train.select import SelectData, SelectSettings, embed, train_on_texts, train_select
from plus.types import Context, Event, Population, Preference, Reaction, Turn, UserHistory

SIDES = (("build the bridge", "keep the ferry"), ("raise the tax", "cut the tax"), ("open the park", "sell the park"))
NOISE = ("rain is wet", "snow is cold", "dogs bark", "cats purr")
QUICK = SelectSettings(
    events_per_summary=2, max_steps=60, eval_steps=20, users_per_step=16, pairs_per_user=4, uniform=1
)


def people(count: int = 60, seed: int = 0) -> Population:
    """Users of two camps who react to statements of three questions, and to some that say nothing of a camp."""
    rng, events = random.Random(seed), {}
    for number in range(count):
        left = number % 2 == 0
        said = [Reaction("q", side, (place == 0) == left) for pair in SIDES for place, side in enumerate(pair)]
        said += [Reaction("q", text, rng.random() < 0.5) for text in NOISE]
        rng.shuffle(said)
        events[f"user-{number}"] = [Event(f"e{n}", "reaction", one, time=float(n)) for n, one in enumerate(said)]
    population = build("camps", events, Plan())
    rows = []
    for user, history in population.histories.items():
        later = [event.content for event in events[user] if event not in history.events]
        pairs = tuple(target_pairs("q", later))
        split = (
            "test"
            if int(user.split("-")[1]) % 5 == 0
            else "validation"
            if int(user.split("-")[1]) % 5 == 1
            else "train"
        )
        rows += [Context(history, pairs, split)] if pairs else []
    return Population("camps", tuple(rows), population.histories, events={u: tuple(e) for u, e in events.items()})


@pytest.fixture(scope="module")
def trained():
    population, table = people(), embeddings()
    data = SelectData.of(population)
    embed(data, population, table, QUICK)
    return population, data, table, train_select(data, table, QUICK, seed=0)


def test_it_beats_a_reward_model_without_summaries_on_new_users(trained):
    population, data, table, found = trained
    test = population.split("test")
    texts = found.summarizer.summarize([example.history for example in test])
    assert all(len(text.split("\n")) <= QUICK.events_per_summary for text in texts)
    pairs = [example.target for example in test]
    plain = train_on_texts(data, table, QUICK, lambda histories: [""] * len(histories), seed=0)
    own = accuracy(found.reward_model.log_likelihood(texts, pairs))
    none = accuracy(plain.log_likelihood([""] * len(pairs), pairs))
    other = accuracy(found.reward_model.log_likelihood(texts[1:] + texts[:1], pairs))
    assert own > none + 0.1 and own > other, (own, none, other)


def test_training_cuts_only_users_whose_every_choice_may_be_trained_on(trained):
    population, data, _, _ = trained
    tested = {row.history.user_id for row in population.rows if row.split != "train"}
    assert data.events and not set(data.events) & tested


def test_rewards_are_the_margins_and_files_bring_back_the_same_numbers(trained, tmp_path):
    population, _, table, found = trained
    pairs = [example.target for example in population.split("test")][:5]
    texts = ["Agreed: raise the tax", "", "I like parks", "Disagreed: cut the tax\nAgreed: open the park", "Agreed: x"]
    chosen = found.reward_model.rewards([(text, p.prompt, p.chosen) for text, p in zip(texts, pairs, strict=True)])
    rejected = found.reward_model.rewards([(text, p.prompt, p.rejected) for text, p in zip(texts, pairs, strict=True)])
    margins = torch.tensor(chosen) - torch.tensor(rejected)
    want = torch.tensor(found.reward_model.log_likelihood(texts, pairs)).float()
    torch.testing.assert_close(torch.nn.functional.logsigmoid(margins), want, atol=1e-5, rtol=1e-5)
    # In files: no text, and in a fresh table of embeddings the same summaries and numbers.
    run_files.save_extractive_summarizer(tmp_path / "s", found.summarizer, "words")
    run_files.save_embedding_reward_model(tmp_path / "r", found.reward_model, "words")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"bridge" in path.read_bytes()]
    fresh = Embeddings(table.encode)
    summarizer = run_files.load_extractive_summarizer(tmp_path / "s", fresh)
    reward_model = run_files.load_embedding_reward_model(tmp_path / "r", fresh)
    histories = list(population.histories.values())
    assert summarizer.summarize(histories) == found.summarizer.summarize(histories)
    assert reward_model.log_likelihood(texts, pairs) == pytest.approx(found.reward_model.log_likelihood(texts, pairs))
    assert len(reward_model.known) == len(found.reward_model.known)


def test_answers_that_borrow_are_read_the_same_after_a_round_trip(trained, tmp_path):
    """The training answers' vectors are kept by their hashes: a known answer is known again, a new one borrows."""
    _, data, table, _ = trained
    borrowing = train_on_texts(
        data, table, SelectSettings(max_steps=10, borrow=0.5, eval_steps=5), lambda histories: [""] * len(histories)
    )
    run_files.save_embedding_reward_model(tmp_path / "r", borrowing, "words")
    again = run_files.load_embedding_reward_model(tmp_path / "r", Embeddings(table.encode))
    asked = [("", "q", "build the bridge"), ("", "q", "build a bridge"), ("Agreed: dogs bark", "q", "sell the ferry")]
    assert again.rewards(asked) == pytest.approx(borrowing.rewards(asked), abs=1e-5)


def test_a_selection_that_validation_users_do_not_trust_is_drawn_at_random_and_stays_so(trained, tmp_path):
    population, _, table, found = trained
    histories = list(population.histories.values())
    found.summarizer.trusted = False
    try:
        drawn = found.summarizer.summarize(histories)
        assert drawn == found.summarizer.summarize(histories), "the same draw for a user each time"
        run_files.save_extractive_summarizer(tmp_path / "s", found.summarizer, "words")
    finally:
        found.summarizer.trusted = True
    assert drawn != found.summarizer.summarize(histories)
    assert run_files.load_extractive_summarizer(tmp_path / "s", Embeddings(table.encode)).summarize(histories) == drawn


def test_another_kind_of_model_or_of_embeddings_is_one_line(trained, tmp_path):
    _, _, table, found = trained
    run_files.save_extractive_summarizer(tmp_path / "s", found.summarizer, "words")
    with pytest.raises(ModelError, match="holds a plus_select and no plus_embedding_reward_model"):
        run_files.load_embedding_reward_model(tmp_path / "s", table)
    with pytest.raises(ModelError, match="and these have 3; use words"):
        run_files.load_extractive_summarizer(tmp_path / "s", Embeddings(lambda lines: torch.ones(len(lines), 3)))


def test_options_are_checked_and_say_which_engine_they_belong_to():
    good = {"dataset_name": "c.jsonl", "output_dir": "r"}
    assert select_run.resolve(good)["events_per_summary"] == 8 and select_run.is_meant(good)
    assert not select_run.is_meant({**good, "preset": "tiny"})
    with pytest.raises(SettingError, match=r"--beta is no option of the select engine.*--preset tiny or --model_name"):
        select_run.resolve({**good, "beta": 0.1})
    with pytest.raises(SettingError, match="did you mean --events_per_summary"):
        select_run.resolve({**good, "event_per_summary": 4})
    with pytest.raises(SettingError, match="--output_dir is missing"):
        select_run.resolve({"dataset_name": "c.jsonl"})


def test_conversations_and_nobody_to_train_on_are_refused_in_one_line():
    talk = (Turn("user", "Hi"), Turn("assistant", "Hello"))
    told = {f"u{n}": [Event("1", "message", talk, 1.0), Event("2", "message", talk, 2.0)] for n in range(4)}
    population = build("talks", told, Plan())
    with pytest.raises(SourceError, match="the past of talks is unlabelled conversations, which the select"):
        select_run.refuse(population, SelectData.of(population))
    pair = (Preference("q", "a", "b"),)
    rows = tuple(Context(history, pair) for history in population.histories.values())
    past = {row.history.user_id: UserHistory(row.history.user_id, (Event("1", "choice", pair[0]),)) for row in rows}
    with pytest.raises(SourceError, match="0 test users with a choice to predict, of 4 users; 2 are needed"):
        select_run.refuse(Population("c", rows, past), SelectData.of(Population("c", rows, {})))
    with pytest.raises(SourceError, match="no user with a choice to train on, of 4 users"):
        select_run.refuse(Population("c", (), past), SelectData.of(Population("c", (), {})))
    rows += tuple(replace(row, split="test") for row in rows[:2])
    chosen = Population("talks", rows, population.histories)
    with pytest.raises(SourceError, match="unlabelled conversations, which the select engine does not read"):
        select_run.refuse(chosen, SelectData.of(chosen))


@pytest.mark.parametrize("seed", [0, 1])
def test_with_thirty_users_the_validation_users_decide_and_the_report_says_so(seed):
    population, table = people(30), embeddings()
    data = SelectData.of(population)
    embed(data, population, table, QUICK)
    found = train_select(data, table, QUICK, seed)
    assert found.trusted == found.summarizer.trusted == (found.learned >= found.random)
    reported = selecting.selection(found, QUICK)
    assert reported["trusted"] == found.trusted
    assert reported["validation_log_likelihood"] == {"learned": found.learned, "random": found.random}
    found.trusted = False
    assert "not trusted: summaries hold 2 events drawn at random instead" in selecting.trust_line(found, 2)
    found.trusted = True
    assert selecting.trust_line(found, 2).endswith("the selection is used")


def test_training_takes_one_thread_and_gives_the_others_back(trained):
    """Two threads add up in another order each time: the same seed gave .696 and .754 on one fold."""
    _, data, table, _ = trained
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    few = replace(QUICK, max_steps=3)
    try:
        runs = [
            train_select(data, table, few, seed=0, on_step=lambda step, metrics: seen.append(torch.get_num_threads()))
            for _ in range(2)
        ]
        assert torch.get_num_threads() == 2 and set(seen) == {1}
    finally:
        torch.set_num_threads(before)
    first, second = (found.reward_model.model.state_dict() for found in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
