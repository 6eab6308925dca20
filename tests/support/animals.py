"""People who each like one animal and say so, in words that the tiny base knows; and budgets for seconds."""

from __future__ import annotations

from random import Random

from plus.train.select import SelectSettings
from plus.train.write import WriteSettings
from plus.types import Context, Event, Population, Reaction, Split, UserHistory
from plus.worlds import pets

SELECT = SelectSettings(
    events_per_summary=2, max_steps=60, eval_steps=30, users_per_step=16, pairs_per_user=4, uniform=1
)
WRITE = WriteSettings(
    max_steps=10, reading_steps=60, imitation_steps=60, users_per_step=16, learning_rate=3e-3, save_steps=4,
    eval_users=60,
)  # fmt: skip
TOKENS = 16  # of a summary: two sentences


def population(seed: int = 0, users: int = 240) -> Population:
    """Each user agrees that they like one animal best and disagrees of two others; choices are those of `pets`."""
    rng, rows = Random(f"animals-{seed}"), []
    for number in range(users):
        favourite, *others = rng.sample(pets.ANIMALS, 4)
        said = [(favourite, True), *((other, False) for other in others[:2])]
        events = tuple(
            Event(f"{place}", "reaction", Reaction("Tell me about home.", f"I like {animal} best.", label))
            for place, (animal, label) in enumerate(rng.sample(said, 3))
        )
        pairs = tuple(pets.comparison(rng, favourite, other) for other in others)
        split: Split = ("validation", "test", "train", "train")[number % 4]
        rows.append(Context(UserHistory(f"u{number}", events), pairs, split))
    return Population("animals", tuple(rows), {row.history.user_id: row.history for row in rows})
