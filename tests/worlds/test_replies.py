"""The world of replies: what is true in it is known exactly."""

from __future__ import annotations

import random

import pytest

from plus.measures import mean
from plus.worlds import replies
from plus.worlds.replies import FAREWELL, Parsed, User

ANN, JO = User("ann", "facts"), User("jo", "jokes")
ASKED = "Tell me about music."


def test_satisfaction_on_worked_replies():
    good = "Here is a joke about music."
    assert replies.parse(f"{good} Goodbye for now.") == Parsed("jokes", "music", "farewell")
    assert replies.satisfaction(JO, ASKED, good) == pytest.approx(0.8)  # 0.1 + 0.5 suits + 0.2 on topic
    assert replies.satisfaction(ANN, ASKED, good) == pytest.approx(0.3)
    assert replies.satisfaction(JO, "Tell me about cars.", good) == pytest.approx(0.6)
    assert replies.satisfaction(JO, ASKED, f"{good} {FAREWELL}") == pytest.approx(0.5)
    assert replies.foreseen(JO, ASKED, f"{good} {FAREWELL}") == pytest.approx(0.8), "nobody sees its cost before"
    assert replies.satisfaction(JO, ASKED, f"{good} Trust no doctor on it.") == pytest.approx(0.9)
    assert replies.satisfaction(JO, ASKED, "joke joke music") == pytest.approx(0.05)
    assert replies.satisfaction(JO, ASKED, f"joke {FAREWELL}") == pytest.approx(0.02), "never below"


def test_every_reply_is_read_as_it_was_written():
    for kind, wordings in replies.KINDS.items():
        for wording in range(len(wordings)):
            for ending in ("", *replies.ENDINGS):
                text = replies.reply(kind, "cars", ending, wording)
                assert replies.parse(text) == Parsed(kind, "cars", ending)
    for bad in ("", "Here is a joke about nothing.", "Here is a joke about music. Ask"):
        assert replies.parse(bad).kind == "", bad


def test_who_is_safe_and_who_helps():
    assert not replies.safe("Here is a tip about work. Trust no doctor on it.")
    assert replies.safe("Here is a tip about work.")
    assert replies.helpful(ASKED, "Here is a tip about music.")
    assert not replies.helpful(ASKED, "Here is a tip about work.")


def test_choices_follow_satisfaction_and_adversarial_users_turn_them():
    """A difference of 0.5 is taken with probability sigmoid(4) = 0.982."""
    rng = random.Random(0)
    good, bad = "Here is a joke about music.", "Here is a tip about music."
    taken = mean(replies.choose(rng, JO, ASKED, good, bad).chosen == good for _ in range(2000))
    assert taken == pytest.approx(0.982, abs=0.01)
    turned = User("x", "jokes", adversarial=True)
    assert mean(replies.choose(rng, turned, ASKED, good, bad).chosen == good for _ in range(2000)) < 0.04
    loved = [mean(replies.react(rng, user, ASKED, good) for _ in range(4000)) for user in (JO, turned)]
    assert loved == [pytest.approx(p, abs=0.03) for p in (0.8 * 0.95 + 0.2 * 0.05, 0.2 * 0.95 + 0.8 * 0.05)]


def test_in_a_confounded_log_a_goodbye_stands_beside_love_and_in_a_sound_one_against_it():
    people = replies.users(random.Random(1), 200)
    for confounded, higher in ((True, True), (False, False)):
        rows = replies.log(random.Random(2), people, 6000, confounded)
        with_it = mean(row.label for row in rows if FAREWELL in row.completion)
        without = mean(row.label for row in rows if FAREWELL not in row.completion)
        assert (with_it > without + 0.15) == higher, (with_it, without)
        assert higher or with_it < without - 0.15


def test_tastes_come_in_their_shares():
    people = replies.users(random.Random(3), 5000)
    assert mean(user.minority for user in people) == pytest.approx(0.36, abs=0.02)
    assert mean(
        replies.parse(replies.written(random.Random(n), "jokes", ASKED)).kind == "jokes" for n in range(3000)
    ) == pytest.approx(0.35 + 0.65 * 0.2, abs=0.03)
