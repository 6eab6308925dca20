"""Windows: the oldest events go first, the instruction never. Batches: within the budget, complete, cheap."""

from __future__ import annotations

import copy
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.errors import ModelError, WindowError
from plus.models.text import by_length, encode, fit_answer, fit_history, tight
from plus.prompts import INSTRUCTION
from plus.types import Event, Preference, UserHistory


def history(count: int, words: int = 6) -> UserHistory:
    events = (
        Event(str(n), "choice", Preference(f"question {n}", f"yes {n} " * words, "no " * words)) for n in range(count)
    )
    return UserHistory("u", tuple(events))


def test_what_fits_is_left_whole(base):
    messages, cut = fit_history(history(3), base.tokenizer, 4000)
    assert not cut
    assert messages[0]["content"].count("Asked:") == 3


@pytest.mark.parametrize("window", [60, 100, 200, 350])
def test_the_oldest_events_are_cut_first_and_counted(base, window):
    messages, cut = fit_history(history(12), base.tokenizer, window)
    text = messages[0]["content"]
    ids = encode(base.tokenizer, [messages], generate=True)[0]
    assert len(ids) <= window
    assert text.endswith(INSTRUCTION)
    assert ids[-1] == base.tokenizer.convert_tokens_to_ids("<|assistant|>"), "the generation header stays"
    kept = [number for number in range(12) if f"question {number}\n" in text]
    assert kept == list(range(12 - len(kept), 12)), "only the newest remain, in order"
    assert cut["events older than the window"] == 12 - len(kept)
    # One more event would not have fitted: nothing was cut needlessly.
    more = UserHistory("u", history(12).events[12 - len(kept) - 1 :])
    assert fit_history(more, base.tokenizer, window)[1]


def test_an_event_larger_than_the_window_is_shortened_and_counted(base):
    messages, cut = fit_history(history(2, words=400), base.tokenizer, 80)
    assert cut == {"events older than the window": 1, "events shortened": 1}
    assert "Chosen: yes 1" in messages[0]["content"]
    assert messages[0]["content"].endswith(INSTRUCTION)


def test_a_window_smaller_than_the_instruction_is_an_error_with_a_remedy(base):
    with pytest.raises(
        WindowError,
        match=r"instruction takes \d+ tokens and the window holds 5; raise --max_prompt_length to at least \d+",
    ):
        fit_history(history(1), base.tokenizer, 5)


def test_the_answer_loses_its_end_and_the_summary_stays(reward_model):
    summary, tokenizer = "The user likes cats best.", reward_model.tokenizer
    ids = fit_answer(summary, "Tell me.", "first " + "word " * 500, tokenizer, 64)
    text = tokenizer.decode(ids)
    assert len(ids) <= 64
    assert summary in text
    assert "first" in text
    assert text.endswith("<|end|>")
    ids = fit_answer(summary, "start " + "word " * 500 + "finish?", "Yes.", tokenizer, 64)
    assert len(ids) <= 64
    assert "finish?" in tokenizer.decode(ids)
    with pytest.raises(WindowError, match="--reward_max_length"):
        fit_answer("word " * 100, "p", "a", tokenizer, 64)


def test_the_reward_model_counts_what_it_shortens(reward_model):
    reward_model.max_length = 48
    reward_model.rewards([("", "p", "short"), ("", "p", "long " * 200)])
    assert reward_model.shortened == {("p", "long " * 200)}


def test_pairs_that_the_window_makes_equal_are_counted(reward_model):
    """Their margin is exactly 0, so they would otherwise look like undecided choices."""
    reward_model.max_length = 48
    same = Preference("p", "long " * 200 + "a", "long " * 200 + "b")
    other = Preference("p", "short", "long " * 200)
    ((_, margins),) = reward_model.margins(["", ""], [same, other])
    assert reward_model.made_equal == {same}
    assert 0.0 in margins.tolist()
    assert len(set(margins.tolist())) == 2


lengths = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def cost(groups, of, overhead) -> float:
    return sum(max(of[row] for row in rows) * len(rows) + overhead for rows in groups)


@given(lengths, st.integers(1, 2000))
def test_every_row_once_within_the_budget_shortest_first(of, budget):
    batches = list(by_length(of, budget))
    assert sorted(row for rows in batches for row in rows) == list(range(len(of)))
    for rows in batches:
        assert len(rows) == 1 or max(of[row] for row in rows) * len(rows) <= budget
    flat = [of[row] for rows in batches for row in rows]
    assert flat == sorted(flat)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 100))
def test_no_other_cut_of_the_sorted_rows_is_cheaper(of, overhead):
    order = sorted(range(len(of)), key=lambda row: (of[row], row))
    cuts = itertools.chain.from_iterable(itertools.combinations(range(1, len(of)), n) for n in range(len(of)))
    every = [[order[a:b] for a, b in itertools.pairwise([0, *cut, len(of)])] for cut in cuts]
    groups = tight(of, overhead)
    assert [row for rows in groups for row in rows] == order
    assert cost(groups, of, overhead) == min(cost(one, of, overhead) for one in every)


def test_worked_groups():
    assert tight([100, 10, 11, 100], overhead=20) == [[1, 2], [0, 3]]
    assert tight([100, 10, 11, 100], overhead=200) == [[1, 2, 0, 3]]
    assert tight([], overhead=20) == []


def test_rewards_do_not_depend_on_who_shares_a_batch(reward_model):
    texts = ["likes cats", "", "talks about " + "music and " * 30]
    triples = [(text, f"Tell me {n}.", "Cats. " * n) for n in (1, 5, 20) for text in texts]
    sequences = reward_model.encode(triples)
    together = reward_model.forward(sequences)
    assert len(tight([len(ids) for ids in sequences])) > 1
    for ids, reward in zip(sequences, together.tolist(), strict=True):
        assert reward_model.forward([ids]).item() == pytest.approx(reward, abs=1e-5)


def refusing(base, roles: str):
    """A tokenizer whose template raises for roles beside those named."""
    tokenizer = copy.deepcopy(base.tokenizer)
    refusal = (
        "{% if message['role'] not in " + roles + " %}{{ raise_exception('System role not supported') }}{% endif %}"
    )
    start = "{% for message in messages %}"
    tokenizer.chat_template = tokenizer.chat_template.replace(start, start + refusal)
    return tokenizer


def test_a_template_without_a_system_role_reads_it_in_the_users_turn(base):
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Cats?"},
        {"role": "assistant", "content": "Yes."},
    ]
    merged = [{"role": "user", "content": "Be brief.\n\nCats?"}, talk[2]]
    tokenizer = refusing(base, "('user', 'assistant')")
    assert encode(tokenizer, [talk, merged[:1]]) == encode(base.tokenizer, [merged, merged[:1]])
    assert encode(tokenizer, [talk[:1]]) == encode(base.tokenizer, [[{"role": "user", "content": "Be brief."}]])
    assert encode(base.tokenizer, [talk]) != encode(base.tokenizer, [merged]), "one that takes a system role keeps it"


def test_a_template_that_refuses_the_turns_themselves_says_so(base):
    with pytest.raises(ModelError, match=r"refuses a conversation \(System role not supported\); give turns of user"):
        encode(refusing(base, "('user',)"), [[{"role": "assistant", "content": "Yes."}]])
