"""Users flood the log with one answer: with guards the ranking of answers stays, without them it does not."""

from __future__ import annotations

import dataclasses
import random

from scipy.stats import spearmanr
from support.love_logs import answers, log
from support.words import embeddings

from plus.love.guards import OFF, Guards, guard
from plus.love.model import LoveSettings, frozen_models
from plus.love.report import ranking
from plus.love.run import fit
from plus.types import Dropped, Event, Reaction

SETTINGS = LoveSettings(condition="none", max_steps=120, look_every=30, members=2)


def test_five_percent_of_users_flooding_one_answer():
    """The distance of two rankings is 1 - Spearman's rho over the 48 answers."""
    clean = log(users=100, each=40, strength=0.5)
    pushed = min(answers(), key=lambda one: one[2])[0]
    flooders = random.Random(0).sample(sorted(clean), 5)
    attacked = {user: list(past) for user, past in clean.items()}
    for user in flooders:
        end = clean[user][-1].time
        attacked[user] += [
            Event(f"f{n}", "reaction", Reaction(f"p{n}", pushed, True), end + 3600 * (n + 1)) for n in range(200)
        ]

    def ranks(events, seed):
        love = fit(events, dataclasses.replace(SETTINGS, seed=seed), frozen_models(False, embeddings()))
        return ranking(love, [""], [Reaction("", text, True) for text, _, _ in answers()])

    base, other = ranks(clean, 0), ranks(clean, 1)
    kept, suspects = guard(attacked, Guards(), Dropped())
    assert {suspect.user_id for suspect in suspects} == set(flooders)
    assert all(suspect.answer == pushed for suspect in suspects)
    unguarded, none = guard(attacked, OFF, Dropped())
    assert not none
    seeds = 1 - spearmanr(base, other).statistic
    on = 1 - spearmanr(base, ranks(kept, 0)).statistic
    off = 1 - spearmanr(base, ranks(unguarded, 0)).statistic
    assert on <= seeds, (on, seeds, off)
    assert off > 2 * seeds, (on, seeds, off)
