"""Users of the stand-in's taste, and a store of them with choices held out."""

from __future__ import annotations

import random

from plus.judge.run import Person
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference

ANIMALS = ("cats", "dogs", "fish", "birds")


def persons(count=30, choices=4):
    """Users of the stand-in's taste: the chosen answer names their animal, and is the longer one half of the time."""
    rng, found = random.Random(0), []
    for number in range(count):
        mine, other = rng.sample(ANIMALS, 2)
        pairs = []
        for turn in range(choices):
            more = " That was a long afternoon."
            one, two = (more, "") if (turn + number) % 2 else ("", more)
            pairs.append(Preference(f"Tell me {turn}.", f"I saw {mine}.{one}", f"I saw {other}.{two}"))
        text = f"The user likes {mine} best."
        found.append(Person(f"u{number}", text, f"Chosen: I saw {mine}.", tuple(pairs)))
    return found


def judged_store(folder):
    with Store(folder / "p.db") as opened:
        for person in persons(4, 3):
            save_user(opened, person.user_id, person.summary, 0)
            past = Event("past", "choice", person.choices[0])
            held = [Event(f"held{n}", "choice", pair) for n, pair in enumerate(person.choices[1:])]
            entries = [Entry(person.user_id, past, held_out=False)]
            opened.add_events([*entries, *(Entry(person.user_id, event, held_out=True) for event in held)])
    return folder / "p.db"
