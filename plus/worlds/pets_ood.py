"""Pets out of distribution: the favourites of test users occur in no training row.

Training users like one of 32 animals, test users one of 12 others, and test pairs are unseen
against unseen, mirrored as in pets. Validation users are new and like the animals of training. A
tiny base knows the unseen words from `neutral` only: copying a word, comparing two words, and naming
the last topic, over 200 nouns; never as something that a user likes.
`load_k2` is the paper's setting: train on two animals, test on two others (arXiv 2507.13579).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from plus.prompts import INSTRUCTION, summarizer_messages
from plus.types import Context, Event, Message, Population, Preference, Split, Turn, UserHistory
from plus.worlds import pets

TRAINED = (
    "cats", "dogs", "fish", "horses", "turtles", "hamsters", "sheep", "goats",
    "ducks", "hens", "pigs", "cows", "frogs", "lizards", "snakes", "mice",
    "foxes", "wolves", "bears", "deer", "owls", "hawks", "swans", "geese",
    "seals", "whales", "crabs", "bees", "ants", "camels", "lions", "tigers",
)  # fmt: skip
UNSEEN = (
    "rabbits", "birds", "otters", "beavers", "parrots", "ferrets",
    "zebras", "pandas", "koalas", "spiders", "badgers", "donkeys",
)  # fmt: skip
# Nouns that are no animals, so that "same or different" is not a matter of pets.
THINGS = (
    "apples", "bananas", "cherries", "grapes", "lemons", "melons", "oranges", "peaches", "pears", "plums",
    "carrots", "onions", "peppers", "potatoes", "tomatoes", "beans", "peas", "nuts", "seeds", "leaves", "roots",
    "trees", "flowers", "roses", "tulips", "lilies", "bushes", "forests", "rivers", "lakes", "oceans", "islands",
    "mountains", "hills", "valleys", "deserts", "caves", "beaches", "clouds", "storms", "stars", "planets", "moons",
    "comets", "shadows", "candles", "lamps", "torches", "mirrors", "windows", "doors", "walls", "roofs", "floors",
    "stairs", "chairs", "tables", "benches", "beds", "pillows", "blankets", "carpets", "curtains", "shelves",
    "boxes", "baskets", "bottles", "cups", "plates", "bowls", "spoons", "forks", "knives", "pots", "pans", "ovens",
    "kettles", "brooms", "buckets", "hammers", "nails", "screws", "saws", "drills", "ropes", "chains", "wheels",
    "engines", "bicycles", "trains", "boats", "ships", "planes", "rockets", "bridges", "tunnels", "roads",
    "streets", "towers", "castles", "temples", "markets", "shops", "banks", "museums", "theatres", "stations",
    "airports", "harbours", "farms", "fields", "fences", "gates", "wells", "coins", "stamps", "letters", "maps",
    "books", "pens", "pencils", "brushes", "paints", "papers", "scissors", "clocks", "watches", "rings",
    "necklaces", "crowns", "hats", "scarves", "gloves", "shirts", "jackets", "coats", "trousers", "skirts",
    "dresses", "socks", "shoes", "boots", "belts", "buttons", "needles", "threads", "drums", "flutes", "guitars",
    "violins", "pianos", "trumpets", "bells", "whistles", "puzzles", "kites", "dolls", "balls", "cards", "dice",
    "tents", "lanterns", "compasses", "telescopes", "cameras", "radios", "phones", "screens", "keys", "locks",
)  # fmt: skip
LIKED = (*TRAINED, *THINGS)  # tastes in the base's conversations: never an unseen animal
NOUNS = (*LIKED, *UNSEEN)
COPY = ("Repeat this word: {noun}.", "Say {noun} again.", "Which word stands here: {noun}?")
MARKS = "Say some words, and mark each that comes again."
SAME = ("Is {one} the same word as {two}?", "The words are {one} and {two}. Are they the same?")


def claims(text: str) -> set[tuple[str, str]]:
    """Parse the traits that a summary claims, as in pets: {("likes", "otters")}."""
    return pets.claims(text)


def traits(history: UserHistory) -> set[tuple[str, str]]:
    """Return the traits that a history reveals: the animal chosen every time, and each one passed over."""
    return pets.traits(history, (*TRAINED, *UNSEEN))


def favourite_of(history: UserHistory) -> set[tuple[str, str]]:
    """Return the one trait that a summary of this history should name."""
    return pets.favourite_of(history, (*TRAINED, *UNSEEN))


def load(
    seed: int = 0,
    train_users: int = 2048,
    pairs_per_user: int = 4,
    test_pairs: int = 1000,
    seen_pairs: int = 100,
    trained: Sequence[str] = TRAINED,
    unseen: Sequence[str] = UNSEEN,
    name: str = "pets_ood",
) -> Population:
    """Draw a population: training users like one of `trained`, test users one of `unseen`.

    Neither meets the others' animals. `test_pairs` and `seen_pairs` (validation) make two users each.
    The same seed gives the same rows.
    """
    rng = random.Random(f"{name}-{seed}")
    rows: list[Context] = []
    personas: dict[str, str] = {}

    def add(user_id: str, favourite: str, targets: list[Preference], split: Split, animals: Sequence[str]) -> None:
        rows.append(pets.context(rng, user_id, favourite, targets, split, animals))
        personas[user_id] = pets.PERSONA.format(animal=favourite)

    # Training users: one favourite each, against random others.
    for number in range(train_users):
        favourite = rng.choice(trained)
        others = [rng.choice([animal for animal in trained if animal != favourite]) for _ in range(pairs_per_user)]
        add(
            f"train-{number}", favourite, [pets.comparison(rng, favourite, other) for other in others], "train", trained
        )
    # Validation and test users in pairs of swapped taste.
    halves: tuple[tuple[Split, int, Sequence[str]], ...] = (
        ("validation", seen_pairs, trained),
        ("test", test_pairs, unseen),
    )
    for split, pairs, animals in halves:
        for number in range(pairs):
            favourite, other = rng.sample(animals, 2)
            target = pets.comparison(rng, favourite, other)
            add(f"{split}-{number}-a", favourite, [target], split, animals)
            add(f"{split}-{number}-b", other, [target.swapped()], split, animals)
    histories = {row.history.user_id: row.history for row in rows}
    population = Population(name, tuple(rows), histories, personas)
    pets.mirrored(population.split("test"))
    return population


def load_k2(seed: int = 0, train_users: int = 2048, pairs_per_user: int = 4, test_pairs: int = 300) -> Population:
    """Draw the published setting: users of cats or dogs train, users of rabbits or birds test."""
    return load(
        seed, train_users, pairs_per_user, test_pairs, trained=("cats", "dogs"), unseen=("rabbits", "birds"),
        name="pets_ood_k2",
    )  # fmt: skip


def conversation(rng: random.Random) -> list[Message]:
    """Draw one conversation to train a tiny base on; the last message is the answer to learn.

    Reading, summarizing and answering are over every noun but those that test users like, neutral
    tasks over all.
    """
    kind = rng.choices(("neutral", "reaction", "pets"), (35, 25, 40))[0]
    if kind == "neutral":
        return neutral(rng)
    if kind == "reaction":
        return pets.reaction(rng, LIKED, rng.choice(LIKED))
    return pets.conversation(rng, LIKED)


def neutral(rng: random.Random) -> list[Message]:
    """Draw a task without tastes: copy a word, compare two words, mark repeated words, or name the last topic."""
    # Unseen animals come four times as often as other nouns.
    one, two = rng.sample((*NOUNS, *UNSEEN, *UNSEEN, *UNSEEN), 2)
    kind = rng.choices(("copy", "same", "marks", "talk"), (15, 15, 40, 30))[0]
    if kind == "talk":
        turns = [(Turn("user", rng.choice(pets.PROMPTS).format(topic=noun)),) for noun in rng.sample(NOUNS, 2)]
        turns.append((Turn("user", rng.choice(pets.PROMPTS).format(topic=one)),))
        history = UserHistory("u", tuple(Event(str(n), "message", said) for n, said in enumerate(turns)))
        asked = summarizer_messages(history, rng.choice((pets.TOPIC_QUESTION, INSTRUCTION)))
        return [*asked, {"role": "assistant", "content": pets.TOPIC_SUMMARY.format(topic=one)}]
    if kind == "marks":
        few = rng.sample((*NOUNS, *UNSEEN, *UNSEEN), 6)
        said = rng.choices(few, k=10)
        reply = " ".join(noun + ("!" if noun in said[:place] else ",") for place, noun in enumerate(said))
        return [{"role": "user", "content": MARKS}, {"role": "assistant", "content": reply}]
    if kind == "copy":
        question, reply = rng.choice(COPY).format(noun=one), one
    else:
        two = rng.choice((one, two))
        question, reply = rng.choice(SAME).format(one=one, two=two), "Yes." if one == two else "No."
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
