"""No leaks, for arbitrary logs: the promises of the context builder, and faults planted against them."""

from __future__ import annotations

import random
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.errors import SettingError
from plus.sources import contexts
from plus.sources.contexts import build, context_and_later, draw_targets, resample
from plus.sources.splits import Plan, Revealed, pair_key, split_users, topic_of
from plus.types import Dropped, Event, Population, Preference, Reaction, Turn

words = st.sampled_from(["a", "b", "c", " b ", "d"])
pairs = st.builds(Preference, st.sampled_from(["p", "q", "r"]), words, words).filter(
    lambda p: p.chosen.strip() != p.rejected.strip()
)
contents = st.one_of(
    pairs,
    pairs,
    st.builds(Reaction, st.sampled_from(["p", "q"]), words, st.booleans()),
    st.tuples(
        st.builds(Turn, st.just("user"), st.sampled_from(["p", "q"])), st.builds(Turn, st.just("assistant"), words)
    ),
)
times = st.one_of(st.none(), st.integers(0, 6).map(float))
logs = st.dictionaries(
    st.sampled_from(["ann", "bob", "cem", "dee", "eve"]),
    st.lists(st.tuples(contents, times), min_size=1, max_size=9),
    min_size=1,
).map(lambda log: {user: [event(user, n, *item) for n, item in enumerate(items)] for user, items in log.items()})
plans = st.builds(
    Plan,
    split_by=st.sampled_from(["users", "topics", "later"]),
    past_events=st.sampled_from([None, 1, 3, (1, 3), (2, 2)]),
    test=st.sampled_from([0.3, 0.5]),
    seed=st.integers(0, 3),
)
texts = st.sampled_from(["a", "b", "c", "d", "e", " a "])
reactions = st.builds(Reaction, st.sampled_from(["p", "q"]), texts, st.booleans())
choices = st.builds(Preference, st.sampled_from(["p", "q"]), texts, texts)
EVENTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.one_of(st.none(), st.integers(0, 20))), max_size=30, unique_by=lambda e: e[0]
)


def event(user: str, number: int, content, time: float | None) -> Event:
    kind = {Preference: "choice", Reaction: "reaction", tuple: "message"}[type(content)]
    return Event(f"{user}-{number}", kind, content, time)


def id_of(example, log) -> set[str]:
    """Ids of the choice that the target is, or of the reactions that it was made of."""
    target, events = example.target, log[example.history.user_id]
    made_of = {True: target.chosen, False: target.rejected}
    compared = {
        e.id
        for e in events
        if isinstance(r := e.content, Reaction) and (r.prompt, r.completion) == (target.prompt, made_of[r.label])
    }
    return {e.id for e in events if e.content is target} or compared


@settings(deadline=None)
@given(logs, plans)
def test_no_target_stands_in_its_own_context(log, plan):
    for example in build("log", log, plan).examples:
        read = example.history.events
        assert read, "somebody without a past cannot be summarized"
        assert not id_of(example, log) <= {e.id for e in read}
        assert pair_key(example.target) not in {pair_key(e.content) for e in read if isinstance(e.content, Preference)}
        shown = {(e.content.prompt, e.content.completion.strip()) for e in read if isinstance(e.content, Reaction)}
        assert not shown & {
            (example.target.prompt, text.strip()) for text in (example.target.chosen, example.target.rejected)
        }


@settings(deadline=None)
@given(logs, plans)
def test_no_event_is_newer_than_its_target(log, plan):
    for example in build("log", log, plan).examples:
        newest = max((e.time for e in example.history.events if e.time is not None), default=None)
        at = [e.time for e in log[example.history.user_id] if e.content is example.target and e.time is not None]
        if at and newest is not None:
            assert max(at) > newest


@settings(deadline=None)
@given(logs, plans)
def test_splits_hold_what_they_promise(log, plan):
    population = build("log", log, plan)
    if plan.split_by == "users":
        users = [set(population.users(split)) for split in ("train", "validation", "test")]
        assert sum(map(len, users)) == len(set().union(*users)), "no user in two splits"
    if plan.split_by == "topics":
        topics = {split: {e.target.prompt for e in population.split(split)} for split in ("train", "test")}
        read = {topic_of(event) for history in population.histories.values() for event in history.events}
        assert not topics["test"] & (topics["train"] | read)
    if plan.split_by == "later":
        for user in population.histories:
            at = {split: [e.time for x in population.split(split) if x.history.user_id == user
                          for e in log[user] if e.content is x.target] for split in ("train", "test")}  # fmt: skip
            assert not at["train"] or not at["test"] or max(at["train"]) < min(at["test"])


@settings(deadline=None)
@given(logs, plans, st.integers(0, 9))
def test_the_order_of_rows_is_irrelevant_and_the_seed_fixes_them(log, plan, seed):
    shuffled = [(user, list(events)) for user, events in log.items()]
    random.Random(seed).shuffle(shuffled)
    for _, events in shuffled:
        random.Random(seed).shuffle(events)
    one, two = build("log", log, plan), build("log", dict(shuffled), plan)
    assert same(one, two) and same(one, build("log", log, plan))


def same(one: Population, two: Population) -> bool:
    return (one.examples, dict(one.histories), one.dropped) == (two.examples, dict(two.histories), two.dropped)


@settings(deadline=None)
@given(logs, plans)
def test_contexts_hold_as_many_events_as_asked(log, plan):
    low, high = plan.bounds or (1, 99)
    for example in build("log", log, plan).examples:
        assert (low if isinstance(plan.past_events, tuple) else 1) <= len(example.history.events) <= high


def test_later_reactions_are_predicted_in_pairs_of_a_liked_and_a_disliked_answer_to_one_prompt():
    """Of eight timed reactions four are context: of the others two liked and one disliked answer p, one liked q."""
    said = [("p", "a", True), ("p", "b", False), ("q", "a", True), ("q", "b", False)]
    said += [("p", "c", True), ("p", "d", True), ("p", "e", False), ("q", "c", True)]
    log = {"ann": [event("ann", n, Reaction(*one), float(n)) for n, one in enumerate(said)]}
    population = build("log", log, Plan())
    assert {e.target for e in population.examples} == {Preference("p", "c", "e"), Preference("p", "d", "e")}
    assert list(population.dropped.items()) == [
        ("later reactions without one of the other kind to the same prompt, so nothing to predict", 1)
    ]
    # What the context shows is not predicted, and many pairs are a sample.
    again = [
        *log["ann"],
        event("ann", 8, Reaction("p", "b", False), 8.0),
        event("ann", 9, Reaction("p", "f", False), 9.0),
    ]
    found = build("log", {"ann": again}, Plan(past_events=4))
    assert "b" not in {e.target.rejected for e in found.examples}
    assert found.dropped["later reactions to an answer that stands in their own context"] == 1
    many = [event("bob", n, Reaction("p", str(n), n % 2 == 0), float(n)) for n in range(40)]
    assert len(set(build("log", {"bob": many}, Plan()).examples)) == contexts.MADE


def test_a_planted_leak_is_found_by_the_first_property(monkeypatch):
    """Without `Revealed`, the same comparison asked twice is read before it is predicted."""
    pair = Preference("p", "a", "b")
    log = {"ann": [event("ann", n, pair, float(n)) for n in range(4)]}
    assert not build("log", log, Plan()).examples
    assert build("log", log, Plan()).dropped["targets that stand in their own context"] == 2
    monkeypatch.setattr(contexts, "Revealed", lambda events: type("Blind", (), {"holds": lambda *_: False})())
    assert build("log", log, Plan()).examples


def test_a_worked_cut():
    """Ten dated choices: half are read; with --past_events 3, three; equal times stay together."""
    log = {"ann": [event("ann", n, Preference(f"p{n}", "a", "b"), float(n)) for n in range(10)]}
    everyone = Plan(validation=0, test=0)
    assert [len(build("l", log, p).examples) for p in (everyone, Plan(past_events=3, validation=0, test=0))] == [5, 7]
    ranged = build("l", log, Plan(past_events=(2, 4), validation=0, test=0))
    assert 2 <= len(ranged.histories["ann"].events) <= 4
    tied = {"ann": [event("ann", n, Preference(f"p{n}", "a", "b"), float(n // 4)) for n in range(10)]}
    population = build("l", tied, Plan(past_events=3, validation=0, test=0))
    assert [e.id for e in population.histories["ann"].events] == ["ann-1", "ann-2", "ann-3"]
    assert population.dropped == {"events beyond the number that a context holds": 1}
    later = build("l", log, Plan("later", validation=0.1, test=0.3))
    assert [len(later.split(name)) for name in ("train", "validation", "test")] == [3, 1, 3]


def test_stated_splits_win_and_training_events_alone_are_read():
    log = {"ann": [event("ann", n, Preference(f"p{n}", "a", "b"), float(n)) for n in range(6)]}
    given_ = {("ann", f"ann-{n}"): "test" if n > 3 else "train" for n in range(6)}
    population = build("l", log, Plan(), given=given_)
    assert [e.id for e in population.histories["ann"].events] == ["ann-0", "ann-1"]
    assert [len(population.split(name)) for name in ("train", "test")] == [2, 2]
    backwards = {("ann", f"ann-{n}"): "test" if n < 2 else "train" for n in range(6)}
    assert not build("l", log, Plan(), given=backwards).split("test")


def test_users_who_leave_nothing_are_counted_and_kept():
    dropped = Dropped()
    population = build("l", {"ann": [event("ann", 0, Preference("p", "a", "b"), None)]}, Plan(), dropped)
    assert list(population.histories) == ["ann"]
    assert dropped == {"users with a single choice, which leaves nothing to predict": 1}
    later = build("l", {"ann": [event("ann", n, Preference(f"p{n}", "a", "b"), None) for n in range(3)]}, Plan("later"))
    assert later.dropped == {"events of users without timestamps, who have no later choices": 3}


@pytest.mark.parametrize(
    ("target", "held"),
    [
        (Preference("p", "a", "b"), True),
        (Preference("p", "b", " a"), True),  # the other way round, a space apart
        (Preference("p", "a", "c"), False),  # one answer again, against another
        (Preference("q", "a", "b"), False),
        (Preference("said", "so", "x"), True),  # the conversation went on from this answer
        (Preference("x", "so", "said"), False),
        (Preference("before", "then", "x"), True),  # the same inside another choice's conversation
    ],
)
def test_what_a_context_gives_away(target, held):
    read = [
        event("u", 0, Preference("p", "a", "b", (Turn("user", "before"), Turn("assistant", "then"))), None),
        event("u", 1, (Turn("user", "said"), Turn("assistant", "so")), None),
    ]
    assert Revealed(read).holds("other", target) is held
    assert Revealed(read).holds("u-0", Preference("new", "x", "y"))


def test_a_range_asks_for_its_lower_end():
    log = {"ann": [event("ann", n, Preference(f"p{n}", "a", "b"), None) for n in range(3)]}
    population = build("l", log, Plan(past_events=(3, 5)))
    assert not population.examples
    assert population.dropped["events of users with fewer past events than a context needs"] == 1
    assert build("l", log, Plan(past_events=(2, 5))).examples


def test_context_and_later_never_parts_equal_times():
    events = [event("u", n, Preference(f"p{n}", "a", "b"), 5.0) for n in range(4)]
    assert [len(side) for side in context_and_later(events, 0, 0.5)] == [4, 0]


def test_split_users_ignores_order_and_counts_right():
    users = [f"u{n}" for n in range(50)]
    splits = split_users(users, 1, 0.1, 0.3)
    assert splits == split_users(reversed(users), 1, 0.1, 0.3)
    assert [list(splits.values()).count(name) for name in ("train", "validation", "test")] == [30, 5, 15]


@pytest.mark.parametrize(
    "wrong", [{"split_by": "rows"}, {"past_events": 0}, {"past_events": (4, 2)}, {"test": 1.0}, {"context_share": 0}]
)
def test_a_plan_that_cannot_be_is_refused(wrong):
    with pytest.raises(SettingError):
        Plan(**wrong)


@given(st.lists(st.one_of(reactions, choices), min_size=1, max_size=12), st.integers(0, 5))
def test_the_context_is_a_share_of_the_events_in_their_order_and_holds_no_target(contents, seed):
    events = [Event(str(n), "choice" if isinstance(c, Preference) else "reaction", c) for n, c in enumerate(contents)]
    context, targets = resample(events, Random(seed), share=0.6, pairs=4)
    assert len(context) == max(1, int(len(events) * 0.6))
    assert [int(event.id) for event in context] == sorted(int(event.id) for event in context)
    assert len(targets) <= 4
    compared = [event.content for event in context if isinstance(event.content, Preference)]
    known = Revealed(event for event in context if isinstance(event.content, Preference))
    assert not any(known.holds("", target) for target in targets if compared)
    shown = {(e.content.prompt, e.content.completion) for e in context if isinstance(e.content, Reaction)}
    liked = {
        (e.content.prompt, e.content.completion) for e in events if isinstance(e.content, Reaction) and e.content.label
    }
    for target in targets:
        assert target.chosen != target.rejected or target in contents
        if target not in contents:  # made of two reactions
            assert (target.prompt, target.chosen) in liked - shown


def test_reactions_become_agreed_over_disagreed_of_the_same_prompt():
    events = [
        Event("1", "reaction", Reaction("p", "good", True)),
        Event("2", "reaction", Reaction("p", "bad", False)),
        Event("3", "reaction", Reaction("q", "worse", False)),
    ]
    assert draw_targets(events, (), Random(0), 9) == (Preference("p", "good", "bad"),)
    assert draw_targets(events, events[:1], Random(0), 9) == ()


def test_cuts_differ_from_draw_to_draw_and_not_from_run_to_run():
    events = [Event(str(n), "reaction", Reaction("p", f"t{n}", n % 2 == 0)) for n in range(20)]
    rng = Random(1)
    first, second = resample(events, rng), resample(events, rng)
    assert first != second
    assert resample(events, Random(1)) == first


@given(EVENTS, st.integers(0, 5), st.floats(0.1, 0.9), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_a_context_is_older_than_all_that_follows_and_the_order_of_rows_is_irrelevant(rows, seed, share, rng):
    events = [Event(str(name), "message", "", None if time is None else float(time)) for name, time in rows]
    context, later = context_and_later(events, seed, share)
    assert sorted(event.id for event in context + later) == sorted(event.id for event in events), "nothing is lost"
    if all(event.time is not None for event in events) and later:
        assert max(event.time for event in context) < min(event.time for event in later)
    rng.shuffle(events)
    assert context_and_later(events, seed, share) == (context, later)


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=60), st.integers(0, 9))
def test_users_are_dealt_whole_and_the_same_way_from_any_order(users, seed):
    one = split_users(users, seed)
    assert one == split_users(sorted(users, reverse=True), seed)
    assert set(one) == users
    counts = {name: list(one.values()).count(name) for name in ("train", "validation", "test")}
    assert counts["test"] == round(len(users) * 0.3)
    assert counts["validation"] == round(len(users) * 0.1)
