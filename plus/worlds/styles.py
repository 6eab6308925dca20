"""Synthetic users with three hidden traits: the topic, the tone and the length that they like.

The answers of a pair differ in exactly one trait, and a context reveals one to three of the three.
A target on a revealed trait can be known; on any other trait no method does better than a coin.
`best_possible` is therefore exact: for each target, every trait vector that agrees with the
context counts the same, and the best guess is right as often as the larger side.

In the labelled variant the context is past choices. In the unlabelled one it is chats in which the
user states or shows a taste, and nothing was chosen. Test pairs are mirrored: the twin differs
in the trait that is asked about, and their contexts reveal the same traits.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from plus.measures import mean
from plus.prompts import INSTRUCTION, scorer_messages, summarizer_messages
from plus.sources.splits import is_target_in
from plus.types import Context, Event, Example, Message, Population, Preference, Split, Turn, UserHistory
from plus.worlds import pets

Vector = tuple[str, ...]  # one value a trait, in the order of TRAITS
TRAITS = {"topic": ("sports", "music"), "tone": ("formal", "casual"), "length": ("short", "long")}
VECTORS: tuple[Vector, ...] = tuple(product(*TRAITS.values()))
# An answer is an opening (tone), a sentence (topic) and an ending (length).
PARTS = {
    "formal": ("Good day to you.", "With pleasure.", "Certainly."),
    "casual": ("Hey there!", "Sure thing!", "No worries!"),
    "sports": ("The team won the match.", "The runner broke the record.", "The goal came late."),
    "music": ("The band played a song.", "The choir sang a hymn.", "The drummer kept the beat."),
    "short": ("That is all.", "In brief.", "Done."),
    "long": (
        "There is more to it, and the story goes on for a while.",
        "After that came a second part, and then a third one.",
        "It went on for hours, and nobody wanted it to stop.",
    ),
}
# A user's lines in an unlabelled chat: each shows one trait.
HINTS = {
    "sports": ("I was at a match yesterday.", "I train every evening."),
    "music": ("I was at a concert yesterday.", "I sing every evening."),
    "formal": ("I thank you most kindly.", "May I ask you to go on?"),
    "casual": ("Cheers, mate!", "Cool, go on!"),
    "short": ("One line is plenty.", "Keep it brief, please."),
    "long": ("Tell me all of it.", "Do not leave anything out."),
}
PHRASES = {
    "sports": "sports", "music": "music", "formal": "a formal tone", "casual": "a casual tone",
    "short": "short answers", "long": "long answers",
}  # fmt: skip
QUESTIONS = {
    "topic": "Which topic does this user like?", "tone": "Which tone does this user like?",
    "length": "Which length does this user like?",
}  # fmt: skip
SUBJECT = "What did this user ask about last?"
NEUTRAL = "Here is what is new with {topic}."
COMPLAINT = "No, not that."
EVENTS = 3
SUBJECTS = tuple(topic for topic in pets.TOPICS if topic not in PHRASES)  # what is asked about says nothing of taste
_TRAIT_OF = {value: trait for trait, values in TRAITS.items() for value in values}


def persona(values: Iterable[str]) -> str:
    """State these values in a sentence: "The user likes music, a casual tone and long answers." """
    *first, last = [PHRASES[value] for value in values]
    return f"The user likes {', '.join(first)}{' and ' if first else ''}{last}."


def claims(text: str) -> set[tuple[str, str]]:
    """Parse the traits that a summary claims: {("topic", "music"), ...}.

    Any other phrase counts as ("unknown", phrase), which is a false claim.
    """
    known = {phrase: (_TRAIT_OF[value], value) for value, phrase in PHRASES.items()}
    said = [sentence.split("likes ", 1)[1] for sentence in text.split(".") if "likes " in sentence]
    pieces = [piece.strip() for sentence in said for piece in sentence.replace(" and ", ", ").split(", ")]
    return {known.get(piece, ("unknown", piece)) for piece in pieces if piece}


def traits(history: UserHistory) -> set[tuple[str, str]]:
    """Return the traits that a history reveals."""
    return {shown for event in history.events if (shown := _shown(event))}


wanted = traits  # A summary should name everything that was revealed.


def consistent(history: UserHistory) -> list[Vector]:
    """List every trait vector that agrees with a history."""
    known = traits(history)
    return [vector for vector in VECTORS if known <= set(zip(TRAITS, vector, strict=True))]


def best_possible(examples: Sequence[Example]) -> float:
    """Compute the accuracy of a reader that uses all of each context, by enumeration."""
    best = []
    for example in examples:
        # The best guess is the value of most vectors that agree with the context.
        trait, value = asked(example.target)
        place = list(TRAITS).index(trait)
        agree = [vector[place] == value for vector in consistent(example.history)]
        best.append(max(mean(agree), 1 - mean(agree)))
    return mean(best)


def asked(pair: Preference) -> tuple[str, str]:
    """Return (the one trait in which the answers differ, the value that was chosen)."""
    chosen, rejected = _values(pair.chosen), _values(pair.rejected)
    ((trait, value),) = ((t, c) for t, c, r in zip(TRAITS, chosen, rejected, strict=True) if c != r)
    return trait, value


def comparison(rng: random.Random, trait: str, value: str) -> Preference:
    """Draw a pair about a random subject that differs in `trait` only; `value` was chosen."""
    vector = dict(zip(TRAITS, rng.choice(VECTORS), strict=True))
    other = next(v for v in TRAITS[trait] if v != value)
    wording = [rng.randrange(3) for _ in TRAITS]
    prompt = rng.choice(pets.PROMPTS).format(topic=rng.choice(SUBJECTS))
    return Preference(prompt, _answer({**vector, trait: value}, wording), _answer({**vector, trait: other}, wording))


def chat(rng: random.Random, value: str) -> tuple[Turn, ...]:
    """Draw an unlabelled conversation in which the user shows one value."""
    topic = rng.choice(SUBJECTS)
    prompt = rng.choice(pets.PROMPTS).format(topic=topic)
    return (
        Turn("user", prompt),
        Turn("assistant", NEUTRAL.format(topic=topic)),
        Turn("user", rng.choice(HINTS[value])),
    )


def user(
    rng: random.Random, user_id: str, vector: Vector, labelled: bool = True, revealed: Sequence[str] = ()
) -> UserHistory:
    """Draw a user with three past events, which reveal the traits `revealed` or one to three at random."""
    # Each revealed trait at least once, in random order.
    shown = list(revealed) or rng.sample(list(TRAITS), rng.randint(1, len(TRAITS)))
    shown += rng.choices(shown, k=EVENTS - len(shown))
    rng.shuffle(shown)
    values = dict(zip(TRAITS, vector, strict=True))
    events = [
        Event(f"{user_id}-{n}", "choice", comparison(rng, trait, values[trait]), float(n), "styles")
        if labelled
        else Event(f"{user_id}-{n}", "message", chat(rng, values[trait]), float(n), "styles")
        for n, trait in enumerate(shown)
    ]
    return UserHistory(user_id, tuple(events))


def load(
    seed: int = 0, train_users: int = 2048, pairs_per_user: int = 6, test_pairs: int = 1000, labelled: bool = True
) -> Population:
    """Draw a population; `test_pairs` make two users each. The same seed gives the same rows."""
    rng = random.Random(f"styles-{seed}")
    rows: list[Context] = []
    personas: dict[str, str] = {}

    def add(
        user_id: str, vector: Vector, targets: list[Preference], split: Split, revealed: Sequence[str] = ()
    ) -> None:
        # A generator of its own: both variants ask the same users the same, and reveal the same traits.
        own = random.Random(f"styles-{seed}-{user_id}")
        revealed = list(revealed) or own.sample(list(TRAITS), own.randint(1, len(TRAITS)))
        # Drawn again until it holds no target.
        history = user(own, user_id, vector, labelled, revealed)
        while any(is_target_in(history.events, target) for target in targets):
            history = user(own, user_id, vector, labelled, revealed)
        rows.append(Context(history, tuple(targets), split))
        personas[user_id] = persona(vector)

    # Training users: random traits are asked about.
    for number in range(train_users):
        vector = rng.choice(VECTORS)
        values = dict(zip(TRAITS, vector, strict=True))
        drawn = rng.choices(list(TRAITS), k=pairs_per_user)
        add(f"train-{number}", vector, [comparison(rng, trait, values[trait]) for trait in drawn], "train")
    # Test users in pairs: the twin differs in the trait that is asked about.
    for number in range(test_pairs):
        vector, place = rng.choice(VECTORS), rng.randrange(len(TRAITS))
        trait = list(TRAITS)[place]
        target = comparison(rng, trait, vector[place])
        twin = (*vector[:place], asked(target.swapped())[1], *vector[place + 1 :])
        revealed = rng.sample(list(TRAITS), rng.randint(1, len(TRAITS)))
        add(f"test-{number}-a", vector, [target], "test", revealed)
        add(f"test-{number}-b", twin, [target.swapped()], "test", revealed)
    histories = {row.history.user_id: row.history for row in rows}
    population = Population("styles" if labelled else "styles_unlabelled", tuple(rows), histories, personas)
    test = population.split("test")
    pets.mirrored(test)
    return replace(population, best_possible=best_possible(test))


def load_unlabelled(
    seed: int = 0, train_users: int = 2048, pairs_per_user: int = 6, test_pairs: int = 1000
) -> Population:
    """Draw the variant with chats instead of choices as contexts."""
    return load(seed, train_users, pairs_per_user, test_pairs, labelled=False)


def conversation(rng: random.Random) -> list[Message]:
    """Draw one conversation to train a tiny base on; the last message is the answer to learn."""
    vector = rng.choice(VECTORS)
    history = user(rng, "u", vector, labelled=rng.random() < 0.7)  # harder to read than chats
    known = [value for _, value in sorted(traits(history), key=lambda shown: list(TRAITS).index(shown[0]))]
    subject = pets.TOPIC_SUMMARY.format(topic=pets.topic_of(_prompt(history.events[-1])))
    # One task of several, in fixed shares.
    task = rng.choices(("trait", "subject", "summary", "answer"), (30, 15, 25, 30))[0]
    if task == "answer":
        return _answered(rng, vector, subject)
    value = rng.choice(known)
    question, reply = {
        "trait": (QUESTIONS[_TRAIT_OF[value]], persona([value])),
        "subject": (SUBJECT, subject),
        "summary": (INSTRUCTION, rng.choices((subject, persona([value]), persona(known)), (45, 15, 40))[0]),
    }[task]
    return [*summarizer_messages(history, question), {"role": "assistant", "content": reply}]


def _answered(rng: random.Random, vector: Vector, subject: str) -> list[Message]:
    """An answer to a user with a partly stated taste; a complaint follows where the answer does not suit,
    so that the end of an answer holds whether it suits."""
    # The user is told in part; the answer suits that part or misses one trait.
    told = rng.sample(list(TRAITS), rng.randint(1, len(TRAITS)))
    values = {t: v if t in told else rng.choice(TRAITS[t]) for t, v in zip(TRAITS, vector, strict=True)}
    wrong = rng.choice(told) if rng.random() < 0.4 else ""
    if wrong:
        values[wrong] = next(value for value in TRAITS[wrong] if value != values[wrong])
    taste = persona(v for t, v in zip(TRAITS, vector, strict=True) if t in told)
    summary = taste if wrong else rng.choices((taste, subject, ""), (80, 10, 10))[0]
    prompt = rng.choice(pets.PROMPTS).format(topic=rng.choice(SUBJECTS))
    said = scorer_messages(summary, prompt, _answer(values, [rng.randrange(3) for _ in TRAITS]))
    return [*said, {"role": "user", "content": COMPLAINT}] if wrong else said


def _answer(values: dict[str, str], wording: Sequence[int]) -> str:
    topic, tone, length = (PARTS[values[trait]][n] for trait, n in zip(TRAITS, wording, strict=True))
    return f"{tone} {topic} {length}"


def _values(answer: str) -> Vector:
    """The three values that an answer shows."""
    found = [value for value, parts in PARTS.items() if any(part in answer for part in parts)]
    return tuple(next(value for value in values if value in found) for values in TRAITS.values())


def _shown(event: Event) -> tuple[str, str] | None:
    match event.content:
        case Preference():
            return asked(event.content)
        case tuple(turns):
            value = next((value for value, lines in HINTS.items() if turns[-1].content in lines), None)
            return (_TRAIT_OF[value], value) if value else None
    return None


def _prompt(event: Event) -> str:
    match event.content:
        case Preference(prompt):
            return prompt
        case tuple(turns):
            return turns[0].content
    return ""
