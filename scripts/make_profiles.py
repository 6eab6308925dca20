"""Make a store of synthetic users: python scripts/make_profiles.py STORE [--users 100000] [--events 20]"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

from plus.profiles.saving import save_model
from plus.profiles.store import Store
from plus.types import Entry, Event
from plus.worlds import pets


def entries(users: int, events: int) -> Iterator[Entry]:
    """Choices about pets, each user's favourite against others; every tenth conversation has five of them."""
    for number in range(users):
        rng = random.Random(number)
        favourite = rng.choice(pets.ANIMALS)
        for place in range(events):
            other = rng.choice([animal for animal in pets.ANIMALS if animal != favourite])
            event = Event(f"u{number}-{place}", "choice", pets.comparison(rng, favourite, other), float(place), "made")
            yield Entry(f"user-{number:07}", event, f"c{number}-{place // 5}")


def summarize(store: Store, users: int) -> None:
    """A summary of four sentences for each user, a thousand a transaction."""
    for start in range(0, users, 1000):
        with store.transaction():
            for number in range(start, min(users, start + 1000)):
                rng = random.Random(number)
                topics = (pets.TOPIC_SUMMARY.format(topic=topic) for topic in rng.sample(pets.TOPICS, 3))
                text = " ".join([pets.PERSONA.format(animal=rng.choice(pets.ANIMALS)), *topics])
                save_model(store, store.read(f"user-{number:07}"), text, "made", "0123456789abcdef")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=20)
    args = parser.parse_args()
    started = time.perf_counter()
    with Store(args.store) as store:
        added = store.add_events(entries(args.users, args.events))
        filled = time.perf_counter()
        summarize(store, args.users)
    print(f"{added.added:,} events in {filled - started:.0f} s, {args.users:,} summaries in {time.perf_counter() - filled:.0f} s, {args.store.stat().st_size:,} bytes")  # fmt: skip


if __name__ == "__main__":
    main()
