"""Conversations about pets for a tiny base to grow up on: reading, summarizing, answering, complaining."""

from __future__ import annotations

import random
from collections.abc import Sequence

from plus.prompts import INSTRUCTION, scorer_messages, summarizer_messages
from plus.types import Message, Preference
from plus.worlds import pets

FAVOURITE = "Which animal does this user like best?"
TOPIC = "What did this user talk about last?"
REJECTED = "Which animal did this user pass over last?"
# What a user says to an answer that does not suit; who is content says nothing, and the next text begins.
COMPLAINT = "No, not that."
# How often an untaught summary speaks of a topic, of the favourite, of an animal passed over.
SUMMARY_MIX = (0.58, 0.30, 0.12)


def conversation(rng: random.Random, animals: Sequence[str] = pets.ANIMALS) -> list[Message]:
    """One training conversation over `animals`: the last message is the answer to learn."""
    favourite = rng.choice(animals)
    history = pets.user(rng, "u", favourite, animals)
    newest = history.events[-1].content
    assert isinstance(newest, Preference)
    topic = pets.TOPIC_SUMMARY.format(topic=pets.topic_of(newest.prompt))
    likes = pets.PERSONA.format(animal=favourite)
    passed = pets.PASSED_OVER.format(animal=pets.animal_of(newest.rejected, animals))
    task = rng.choices(("favourite", "topic", "passed", "summary", "answer", "reaction"), (25, 15, 10, 20, 10, 20))[0]
    if task == "answer":
        taste = rng.choice(animals)
        summary = rng.choices((pets.PERSONA.format(animal=taste), topic, ""), (70, 15, 15))[0]
        pair = pets.comparison(rng, taste, favourite)
        return scorer_messages(summary, pair.prompt, pair.chosen)
    if task == "reaction":
        return reaction(rng, animals, favourite)
    question, reply = {
        "favourite": (FAVOURITE, likes),
        "topic": (TOPIC, topic),
        "passed": (REJECTED, passed),
        "summary": (INSTRUCTION, rng.choices((topic, likes, passed), SUMMARY_MIX)[0]),
    }[task]
    return [*summarizer_messages(history, question), {"role": "assistant", "content": reply}]


def reaction(rng: random.Random, animals: Sequence[str], other: str) -> list[Message]:
    """An answer to someone whose taste is stated; a complaint follows where it does not suit, so that
    the end of an answer holds whether it suits."""
    taste, shown = rng.sample(animals, 2)
    shown = rng.choice((taste, shown))
    pair = pets.comparison(rng, shown, other)
    said = scorer_messages(pets.PERSONA.format(animal=taste), pair.prompt, pair.chosen)
    return said if shown == taste else [*said, {"role": "user", "content": COMPLAINT}]
