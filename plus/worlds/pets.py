"""Synthetic users who each like one of eight animals best.

A user's context is three past comparisons: the favourite was chosen over three other animals,
while the talk was about something else (a topic such as music). A target is a new pair, favourite
against another animal, in new sentences. What is asked about carries no information about taste,
so a summary of *topics* predicts nothing and a summary of *preference* predicts everything.

Every test pair appears twice, for two users whose tastes are swapped. A method that ignores the user
gives both copies the same margin with opposite signs: with ties counted one half its accuracy is
exactly 0.500 (`mirrored` asserts the layout), and any other value is a leak.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from plus.errors import SourceError
from plus.prompts import INSTRUCTION, scorer_messages, summarizer_messages
from plus.sources.splits import is_target_in
from plus.types import Context, Event, Example, Message, Population, Preference, Split, UserHistory

ANIMALS = ("cats", "dogs", "birds", "rabbits", "fish", "horses", "turtles", "hamsters")
TOPICS = (
    "sports", "food", "music", "travel", "work", "school",
    "weather", "books", "films", "gardens", "cars", "home",
)  # fmt: skip
PROMPTS = ("Tell me about {topic}.", "Say something about {topic}.", "What is new in {topic}?")
ANSWERS = (
    "My neighbour keeps {animal}.",
    "That reminds me of {animal}.",
    "I saw some {animal} on the way here.",
    "Let me start with {animal}.",
    "Here is a story with {animal}.",
    "Nothing goes better with it than {animal}.",
    "We could also talk about {animal}.",
    "My friends all have {animal}.",
    "First, a word on {animal}.",
    "It is a good day for {animal}.",
)
PERSONA = "The user likes {animal} best."
TOPIC_SUMMARY = "The user talked about {topic}."
PASSED_OVER = "The user passed over {animal}."
FAVOURITE_QUESTION = "Which animal does this user like best?"
TOPIC_QUESTION = "What did this user talk about last?"
REJECTED_QUESTION = "Which animal did this user pass over last?"
# The reply to an answer that does not suit; after one that does, the next text begins.
COMPLAINT = "No, not that."
# Shares of a base's untrained summaries: about a topic, the favourite, an animal passed over.
SUMMARY_MIX = (0.58, 0.30, 0.12)

_CLAIMS = (
    ("likes", re.compile(r"\blikes (\w+)")),
    ("passed over", re.compile(r"\bpassed over (\w+)")),
)


def claims(text: str) -> set[tuple[str, str]]:
    """Parse the traits that a summary claims: {("likes", "cats"), ...}. Topics are not traits.

    A word in an animal's place counts even when it is no animal: it is a false claim.
    """
    return {(name, word) for name, pattern in _CLAIMS for word in pattern.findall(text)}


def traits(history: UserHistory, animals: Sequence[str] = ANIMALS) -> set[tuple[str, str]]:
    """Return the traits that a history reveals: the animal chosen every time, and each one passed over."""
    choices = [e.content for e in history.events if isinstance(e.content, Preference)]
    liked = [animal_of(choice.chosen, animals) for choice in choices]
    passed = {animal_of(choice.rejected, animals) for choice in choices}
    always = {animal for animal in liked if liked.count(animal) == len(liked)}
    return {("likes", animal) for animal in always} | {("passed over", animal) for animal in passed - set(liked)}


def favourite_of(history: UserHistory, animals: Sequence[str] = ANIMALS) -> set[tuple[str, str]]:
    """Return the one trait that a summary of this history should name."""
    return {trait for trait in traits(history, animals) if trait[0] == "likes"}


def comparison(rng: random.Random, chosen: str, rejected: str) -> Preference:
    """Draw a pair about a random topic: one sentence for each animal, from the same templates."""
    first, second = rng.sample(ANSWERS, 2)
    prompt = rng.choice(PROMPTS).format(topic=rng.choice(TOPICS))
    return Preference(prompt, first.format(animal=chosen), second.format(animal=rejected))


def user(rng: random.Random, user_id: str, favourite: str, animals: Sequence[str] = ANIMALS) -> UserHistory:
    """Draw a user with three past comparisons that reveal the favourite.

    Where there are fewer than three other animals, these come again.
    """
    left = [animal for animal in animals if animal != favourite]
    others = rng.sample(left, 3) if len(left) >= 3 else rng.choices(left, k=3)
    events = (
        Event(f"{user_id}-{number}", "choice", comparison(rng, favourite, other), float(number), "pets")
        for number, other in enumerate(others)
    )
    return UserHistory(user_id, tuple(events))


def load(seed: int = 0, train_users: int = 2048, pairs_per_user: int = 4, test_pairs: int = 1000) -> Population:
    """Draw a population: training users with `pairs_per_user` targets, then mirrored test users.

    `test_pairs` distinct pairs make `2 * test_pairs` test users. The same seed gives the same rows.
    """
    rng = random.Random(f"pets-{seed}")
    rows: list[Context] = []
    personas: dict[str, str] = {}

    def add(user_id: str, favourite: str, targets: list[Preference], split: Split) -> None:
        rows.append(context(rng, user_id, favourite, targets, split))
        personas[user_id] = PERSONA.format(animal=favourite)

    # Training users: one favourite each, against random others.
    for number in range(train_users):
        favourite = rng.choice(ANIMALS)
        others = [rng.choice([a for a in ANIMALS if a != favourite]) for _ in range(pairs_per_user)]
        add(f"train-{number}", favourite, [comparison(rng, favourite, other) for other in others], "train")
    # Test users in pairs of swapped taste.
    for number in range(test_pairs):
        favourite, other = rng.sample(ANIMALS, 2)
        target = comparison(rng, favourite, other)
        add(f"test-{number}-a", favourite, [target], "test")
        add(f"test-{number}-b", other, [target.swapped()], "test")

    population = Population("pets", tuple(rows), {row.history.user_id: row.history for row in rows}, personas)
    mirrored(population.split("test"))
    return population


def context(
    rng: random.Random,
    user_id: str,
    favourite: str,
    targets: Sequence[Preference],
    split: Split,
    animals: Sequence[str] = ANIMALS,
) -> Context:
    """Draw one user's history, which holds none of the targets, and pair it with them."""
    # Drawn again until it holds no target.
    history = user(rng, user_id, favourite, animals)
    while any(is_target_in(history.events, target) for target in targets):
        history = user(rng, user_id, favourite, animals)
    return Context(history, tuple(targets), split)


def mirrored(examples: Iterable[Example]) -> None:
    """Check that each target appears as often as its swap. Raises SourceError naming the first odd one."""
    balance: dict[Preference, int] = {}
    for example in examples:
        pair = example.target
        # A pair and its swap share a key, with opposite signs.
        key, sign = (pair, 1) if pair.chosen <= pair.rejected else (pair.swapped(), -1)
        balance[key] = balance.get(key, 0) + sign
    for pair, count in balance.items():
        if count:
            raise SourceError(
                f"test pair {pair.prompt!r} appears {count:+d} times more in one order than in the other; mirror it"
            )


def permuted(population: Population, seed: int = 0) -> Population:
    """Permute the targets of each split across users: the null population.

    No history predicts its targets any more, so a sound run ends at chance.
    """
    rng = random.Random(f"null-{seed}")
    rows: list[Context] = []
    for split in ("train", "validation", "test"):
        # Shuffle all targets of a split, then give each context as many as it had.
        own = [row for row in population.rows if row.split == split]
        targets = [pair for row in own for pair in row.pairs]
        rng.shuffle(targets)
        rest = iter(targets)
        rows += [replace(row, pairs=tuple(islice(rest, len(row.pairs)))) for row in own]
    return Population(f"{population.name}, permuted", tuple(rows), population.histories, population.personas)


def animal_of(sentence: str, animals: Sequence[str] = ANIMALS) -> str:
    """Find the animal that a sentence names; "" for none."""
    return next((animal for animal in animals if re.search(rf"\b{animal}\b", sentence)), "")


def topic_of(prompt: str) -> str:
    """Find the topic that a prompt asks about; "" for none."""
    return next((topic for topic in TOPICS if re.search(rf"\b{topic}\b", prompt)), "")


def conversation(rng: random.Random, animals: Sequence[str] = ANIMALS) -> list[Message]:
    """Draw one conversation to train a tiny base on, over `animals`; the last message is the answer to learn.

    Tasks: reading a history (favourite, topic, animal passed over), summarizing, answering, and
    reacting to an answer.
    """
    favourite = rng.choice(animals)
    history = user(rng, "u", favourite, animals)
    # The three texts that a summary of this history may have.
    newest = history.events[-1].content
    assert isinstance(newest, Preference)
    topic = TOPIC_SUMMARY.format(topic=topic_of(newest.prompt))
    likes = PERSONA.format(animal=favourite)
    passed = PASSED_OVER.format(animal=animal_of(newest.rejected, animals))
    # One task of several, in fixed shares.
    task = rng.choices(("favourite", "topic", "passed", "summary", "answer", "reaction"), (25, 15, 10, 20, 10, 20))[0]
    if task == "answer":
        taste = rng.choice(animals)
        summary = rng.choices((PERSONA.format(animal=taste), topic, ""), (70, 15, 15))[0]
        pair = comparison(rng, taste, favourite)
        return scorer_messages(summary, pair.prompt, pair.chosen)
    if task == "reaction":
        return reaction(rng, animals, favourite)
    question, reply = {
        "favourite": (FAVOURITE_QUESTION, likes),
        "topic": (TOPIC_QUESTION, topic),
        "passed": (REJECTED_QUESTION, passed),
        "summary": (INSTRUCTION, rng.choices((topic, likes, passed), SUMMARY_MIX)[0]),
    }[task]
    return [*summarizer_messages(history, question), {"role": "assistant", "content": reply}]


def reaction(rng: random.Random, animals: Sequence[str], other: str) -> list[Message]:
    """Draw an answer to a user with a stated taste; a complaint follows where the answer does not suit.

    The end of an answer then holds whether it suits.
    """
    taste, shown = rng.sample(animals, 2)
    shown = rng.choice((taste, shown))
    pair = comparison(rng, shown, other)
    said = scorer_messages(PERSONA.format(animal=taste), pair.prompt, pair.chosen)
    return said if shown == taste else [*said, {"role": "user", "content": COMPLAINT}]
