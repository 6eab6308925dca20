"""Splits that respect time, on worked examples, and planted leaks that `check` finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.love_logs import START, log

from plus.errors import EvidenceError, SourceError
from plus.love.splits import check, split_by_time, split_by_user
from plus.types import Event, Reaction


def test_every_user_is_held_out_once_and_not_trained_on():
    events = log(users=31, each=10)
    splits = split_by_user(events, 3)
    assert sorted(one.user_id for split in splits for one in split.held_out) == sorted(events)
    for split in splits:
        check(split)
        assert len(split.train) + len(split.held_out) == 31
        for one in split.held_out:
            assert (len(one.context), len(one.targets)) == (6, 4)
            assert max(e.time for e in one.context) < min(e.time for e in one.targets)
    assert split_by_user(events, 3) == splits
    assert split_by_user(events, 3, seed=1) != splits


def test_a_split_by_time_cuts_the_whole_log_at_one_moment():
    events = log(users=20, each=10)
    events["late"] = [replace(event, time=START + 1e6 + place) for place, event in enumerate(events["u000"])]
    (split,) = split_by_time(events)
    check(split)
    assert max(e.time for past in split.train.values() for e in past) < split.cut
    assert all(e.time >= split.cut for one in split.held_out for e in one.targets)
    groups = {one.user_id: one.group for one in split.held_out}
    assert groups["late"] == "new users"
    assert "late" not in split.train
    assert set(groups.values()) == {"known users", "new users"}


def planted(split, change):
    one = split.held_out[0]
    return replace(split, held_out=(change(one), *split.held_out[1:]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, context=(*one.context, one.targets[-1])), "not older than one to be predicted"),
        (lambda one: replace(one, context=(*one.context, replace(one.targets[-1], id="copy"))), "not older"),
        (lambda one: replace(one, context=one.targets, targets=one.context), "not older"),
    ],
)
def test_a_planted_look_into_the_future_is_named_with_its_user(change, said):
    split = split_by_user(log(users=15, each=10), 3)[0]
    with pytest.raises(EvidenceError, match=said) as error:
        check(planted(split, change))
    assert f"user {split.held_out[0].user_id}" in str(error.value)


def test_a_test_user_in_training_and_training_after_the_cut_are_named():
    events = log(users=15, each=10)
    split = split_by_user(events, 3)[0]
    user = split.held_out[0].user_id
    with pytest.raises(EvidenceError, match=f"test user {user} is among the training users"):
        check(replace(split, train={**split.train, user: events[user]}))
    (split,) = split_by_time(events)
    with pytest.raises(EvidenceError, match="from after the cut"):
        check(replace(split, train=events))


def test_without_times_order_is_no_time_and_a_reaction_read_and_predicted_is_still_found():
    events = {user: [replace(event, time=None) for event in past] for user, past in log(users=15, each=10).items()}
    split = split_by_user(events, 3)[0]
    assert not split.timed
    check(split)
    with pytest.raises(EvidenceError, match="is read and predicted"):
        check(planted(split, lambda one: replace(one, context=(*one.context, one.targets[0]))))
    with pytest.raises(SourceError, match="without times have no later part"):
        split_by_time(events)


def of_label(labels):
    """Two reactions of each user, both with the user's label."""
    return {
        f"u{n}": [Event(text, "reaction", Reaction("", text, label), START + k) for k, text in enumerate("xy")]
        for n, label in enumerate(labels)
    }


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            [True] * 20,
            "all 40 reactions are positive, so there is nothing to tell apart; add the answers that got no love",
        ),
        ([False] * 20, "all 40 reactions are negative"),
        ([True, False] * 4, "8 users with reactions; at least 12 are needed"),
        ([True] * 3 + [False] * 20, "3 users gave a positive reaction; 6 are needed"),
        ([True] * 20 + [False], "1 users gave a negative reaction; 6 are needed"),
    ],
)
def test_too_few_users_or_one_outcome_is_one_line(labels, said):
    for split in (split_by_user, split_by_time):
        with pytest.raises(SourceError, match=said):
            split(of_label(labels))


def test_everything_at_one_moment_has_no_later_part():
    events = {user: [replace(event, time=START) for event in past] for user, past in log(users=15, each=10).items()}
    with pytest.raises(SourceError, match="no later part"):
        split_by_time(events)
