"""How surely does `plus profile why` find the sentence that matters? python scripts/measure_why.py RUN [--users N]

Summaries of four, five and six sentences in the pets vocabulary: one names the favourite, the others are
true and say nothing of taste (what the user talked about). Order random; held-out choices drawn anew.
"""

import argparse
import random
from collections.abc import Iterator

from plus.models.run import load
from plus.profiles import attribution
from plus.profiles.sentences import carry
from plus.profiles.versions import Version, as_spans
from plus.types import Event, Scorer
from plus.worlds import pets


def cases(users: int, irrelevant: int, choices: int, seed: int) -> Iterator[tuple[Version, str, list[Event]]]:
    """(summary, the sentence that matters, held-out choices) of users made for this."""
    rng = random.Random(f"why {seed} {irrelevant} {choices}")
    for number in range(users):
        favourite = rng.choice(pets.ANIMALS)
        topics = rng.sample(pets.TOPICS, irrelevant)
        matters = pets.PERSONA.format(animal=favourite)
        sentences = [matters, *(pets.TOPIC_SUMMARY.format(topic=topic) for topic in topics)]
        rng.shuffle(sentences)
        text = " ".join(sentences)
        spans, _ = carry(text, (), 1, "model", 1)
        others = [rng.choice([a for a in pets.ANIMALS if a != favourite]) for _ in range(choices)]
        pairs = [pets.comparison(rng, favourite, other) for other in others]
        events = [Event(f"e{n}", "choice", pair) for n, pair in enumerate(pairs)]
        yield Version(f"u{number}", 1, text, as_spans(spans)), matters, events


def share_found(scorer: Scorer, users: int, irrelevant: int, choices: int, seed: int = 0) -> tuple[float, float, float]:
    """Shares of users: the sentence that matters comes first; it would by leaving out alone; the whole text is read."""
    first = by_leaving_out = read = 0
    for version, matters, events in cases(users, irrelevant, choices, seed):
        found = attribution.why(scorer, version, events)
        first += found.sentences[0].text == matters
        by_leaving_out += max(found.sentences, key=lambda one: one.worth).text == matters
        read += found.reads_whole
    return first / users, by_leaving_out / users, read / users


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--users", type=int, default=200)
    args = parser.parse_args()
    scorer = load(args.run).reward_model
    for irrelevant in (3, 4, 5):
        for choices in (1, 4, 10):
            first, by_leaving_out, read = share_found(scorer, args.users, irrelevant, choices)
            print(
                f"{irrelevant} irrelevant, {choices} choices: first {first:.3f}, by leaving out alone {by_leaving_out:.3f}, whole text read {read:.3f}"
            )


if __name__ == "__main__":
    main()
