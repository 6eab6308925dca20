"""A small world of tastes in plain English: what a user may like in a subject, prompts whose answer that decides,
and two answers of which each taste suits one. Asked about anything else users choose at random."""

from __future__ import annotations

import random
from typing import NamedTuple

from plus.types import Preference


class Subject(NamedTuple):
    """Two opposite tastes, the answers that suit them, and prompts."""

    tastes: tuple[str, str]
    answers: tuple[str, str]
    prompts: tuple[str, ...]


SUBJECTS = {
    "food": Subject(
        ("Eats vegetarian food and cooks with a lot of chilli.", "Likes roasted meat for dinner and no hot spices."),
        ("Lentils with chilli and spinach.", "Roast beef with gravy."),
        ("What should I cook for dinner tonight?", "Give me a recipe for six guests.", "Plan my meals for the week.",
         "What can I bring to a potluck dinner?", "Which sauce goes with potatoes?", "I need a quick lunch idea.", "What would be a good stew for winter?"),
    ),
    "travel": Subject(
        ("Travels by train to quiet mountains and likes hiking.", "Flies to big cities and likes hotels with night life."),
        ("Take the train to a valley and hike.", "Fly to Tokyo and stay downtown."),
        ("Where should I go on holiday in June?", "Plan a weekend trip for me.", "Suggest a destination for our honeymoon.", "What is there to do on a week of vacation in Austria?",
         "How should I travel across Europe?", "Which places should I visit before winter?", "Find me a trip under 500 euros.", "I have four days off, where do I go?"),
    ),
    "code": Subject(
        ("Writes Python programs in a functional style with type hints.", "Writes object-oriented Java code with many classes."),
        ("def area(r: float) -> float: return PI * r * r", "public class Circle implements Shape { }"),
        ("Write a function that parses a CSV file.", "How do I sort a list of objects by two fields in code?", "Refactor this program into smaller parts.", "How should I write unit tests for my code?",
         "Write a program that renames files.", "Explain recursion with a code example.", "How do I read a JSON file in a program?"),
    ),
    "music": Subject(
        ("Listens to jazz and old blues records.", "Listens to heavy metal music at full volume."),
        ("Try Kind of Blue by Miles Davis.", "Try Master of Puppets by Metallica."),
        ("Recommend an album for this evening.", "Which concert should I go to this month?", "Make me a playlist for the car.", "What song should I learn on the guitar?",
         "Which band should I listen to next?", "Suggest some background music for working.", ),
    ),
    "sport": Subject(
        ("Runs long distances and trains for a marathon.", "Lifts heavy weights in the gym."),
        ("Run ten easy kilometres.", "Do five sets of squats."),
        ("Write a training plan for next month.", "What exercise should I do this morning?", "How do I get fitter by summer?", "Give me a workout for half an hour.",
         "Which sports shoes should I buy?", "How do I warm up before training?", "What should I eat before a workout?"),
    ),
    "garden": Subject(
        ("Grows vegetables and herbs in the garden.", "Grows roses and other flowers in the garden."),
        ("Sow carrots and thyme.", "Plant a climbing rose."),
        ("What should I plant in April?", "How do I use the sunny corner behind the house for plants?", "What grows well in clay soil?", "Which plants suit my balcony?",
         "What can I sow after the potatoes?", "Which seeds should I order?"),
    ),
    "film": Subject(
        ("Watches slow European films with subtitles.", "Watches American action movies with explosions."),
        ("Watch Three Colours: Blue.", "Watch Die Hard."),
        ("Which movie should we watch tonight?", "Suggest a film for a rainy Sunday.", "What is worth seeing at the cinema this week?", "Name a good movie from the nineties.",
         "Which director should I get to know?", "What should I stream this weekend?", "Recommend a film for movie night with friends.", ),
    ),
    "reading": Subject(
        ("Reads science fiction novels about space.", "Reads history books about the Roman empire."),
        ("Read The Left Hand of Darkness.", "Read SPQR by Mary Beard."),
        ("What book should I read next?", "Suggest a novel for the beach.", "Which author should I try?", "What could our book club read in May?",
         "Recommend something to read on the train.", "Which audiobook is good for a long drive?", "Give me a reading list for the holidays.", ),
    ),
    "money": Subject(
        ("Invests savings in safe government bonds.", "Invests savings in risky technology stocks."),
        ("Buy ten-year government bonds.", "Buy shares of chip makers."),
        ("How should I invest my savings?", "How do I save for retirement?", "Is now a good time to invest?",
         "Which fund should I put money into?", "How do I protect my savings from inflation?", "How should my investment portfolio look at forty?"),
    ),
    "health": Subject(
        ("Treats illness with herbal tea and rest.", "Treats illness with medicine from the pharmacy."),
        ("Drink camomile tea and sleep.", "Take ibuprofen."),
        ("What helps against a headache?", "I have a cold, what should I do?", "How do I get rid of a sore throat?", "What can I take against back pain?",
         "My child has a fever, what helps?", "What do I do about an upset stomach?", "How do I treat a cough?", ),
    ),
    "home": Subject(
        ("Furnishes the flat with bright colours and old furniture.", "Furnishes the flat in white with minimal furniture."),
        ("A yellow armchair from the flea market.", "A white shelf and nothing else."),
        ("How should I furnish my living room?", "Which colour suits the bedroom walls?", "What sofa should I buy?", "How do I make a small flat look larger?",
         "Which lamps fit into the hallway?", "What should I hang on the wall above the couch?", "How do I decorate my new apartment?", "Which carpet should I choose?"),
    ),
    "pets": Subject(
        ("Has two cats and likes cats best of all animals.", "Has a big dog and likes dogs best of all animals."),
        ("A cat will do.", "Get a dog."),
        ("Which pet should we get?", "How do I keep my animal busy while I am at work?", "What should I feed a pet?", "Which animals get along with children?",
         "What toy should I buy for my pet?", "How do I train a young animal?"),
    ),
    "clothes": Subject(
        ("Dresses in dark tailored suits.", "Dresses in comfortable sweaters and jeans."),
        ("A navy wool suit.", "A soft hoodie and jeans."),
        ("What should I wear to the party?", "Which jacket should I buy for autumn?", "What do I wear to a job interview?", "Put together an outfit for a weekend in town.",
         "What clothes do I pack for a conference?", "How do I dress for a spring wedding?", "What should be in everybody's wardrobe?"),
    ),
}  # fmt: skip
# About nothing that anybody's summary speaks of.
UNRELATED = (
    "What is the capital of Mongolia?", "Convert 12 miles to kilometres.", "Translate 'good morning' into Finnish.", "When did the Berlin wall fall?",
    "What does the word ephemeral mean?", "How far is the moon?", "Solve 3x + 7 = 22.", "Who was the first woman in parliament?", "How does a diesel engine work?",
    "Write a complaint to my landlord about the heating.", "What is the boiling point of ethanol?", "Explain how elections work in Brazil.", "How do vaccines get approved?",
    "What time is it in Sydney when it is noon in Paris?", "Correct the grammar of this sentence: he go there yesterday.", "How do I reset the router?", "What is a prime number?",
    "Draft a letter of resignation.", "How does a bill become law?", "How many bones does a hand have?", "What causes an eclipse?", "Name the rivers of Siberia.",
    "How do I change a flat tyre?", "What is the difference between weather and climate?", "How is glass recycled?", "What are the rules for parking near a hydrant?",
    "Write a thank-you note to my former teacher.", "How do I unlock a phone after too many attempts?", "What does the appendix of the body do?", "How is steel made?",
    "Summarize the theory of plate tectonics.", "How do I register a company?", "What is the square root of 1764?", "Who painted the ceiling of the Sistine Chapel?", "How do tides arise?",
    "Which languages are spoken in Belgium?", "How do I write a will?", "What is the speed of sound in water?", "How do I cancel a mobile phone contract?", "What is the longest bridge on earth?",
)  # fmt: skip


# Written after everything about the gate was settled, and only tested on.
NEW_SUBJECTS = {
    "drinks": Subject(
        ("Drinks green tea and no coffee.", "Drinks strong espresso coffee several times a day."),
        ("A pot of sencha.", "A double espresso."),
        ("What should I drink in the morning?", "Suggest a hot drink for a cold day.", "What can I order at the cafe?", "Which drink keeps me awake in the afternoon?", "What beverage goes with breakfast?"),
    ),
    "games": Subject(
        ("Plays cooperative board games with friends.", "Plays fast shooter games on the computer."),
        ("Play Pandemic together.", "Play Counter-Strike."),
        ("What game should we play on Friday?", "Recommend a game for four people.", "Which new game is worth buying?", "What can I play with my brother this evening?", "Suggest a game that I have not played yet."),
    ),
    "photos": Subject(
        ("Takes black and white photographs on film.", "Takes colourful photos with a smartphone."),
        ("Load a roll of Tri-X.", "Use the phone with vivid colours."),
        ("How should I take pictures at the wedding?", "Which camera should I buy?", "How do I photograph the city at night?", "Give me ideas for a photo project.", "What do I need to take good portraits?"),
    ),
    "commute": Subject(
        ("Rides a bicycle to work in any weather.", "Drives a big car to work."),
        ("Take the cycle path along the river.", "Take the motorway."),
        ("How do I get to the office fastest?", "Which vehicle should I get for my commute?", "How do I get to work when it rains?", "Plan my route to work.", "What do I need for commuting in winter?"),
    ),
    "languages": Subject(
        ("Learns Spanish from songs and conversations.", "Learns Japanese from grammar books."),
        ("Sing along and talk to a tandem partner.", "Work through the grammar chapter."),
        ("How should I learn a foreign language?", "How do I memorize vocabulary?", "Make me a study plan for my language course.", "How do I get better at speaking a second language?", "What material should I use for language lessons?"),
    ),
    "baking": Subject(
        ("Bakes sourdough bread every weekend.", "Bakes sweet cakes with a lot of chocolate."),
        ("A rye sourdough loaf.", "A chocolate fudge cake."),
        ("What should I bake on Sunday?", "What can I make with two kilos of flour?", "Give me a recipe for the oven.", "What can I bake for the neighbours?", "Which flour should I buy for baking?"),
    ),
    "art": Subject(
        ("Paints landscapes in watercolour.", "Draws comics with ink and a tablet."),
        ("A wet wash for the sky.", "A four-panel strip."),
        ("What should I paint or draw next?", "Which art supplies should I buy?", "Give me an exercise to get better at art.", "How do I draw a tree?", "Suggest a subject for my sketchbook."),
    ),
    "parties": Subject(
        ("Celebrates birthdays with a small dinner among close friends.", "Celebrates birthdays with a huge party and loud dancing."),
        ("Invite four friends to dinner.", "Rent a hall and a DJ."),
        ("How should I celebrate my birthday?", "Plan a party for my thirtieth.", "How many guests should I invite to my birthday?", "Where should we celebrate in December?", "What do I need for the party?"),
    ),
}  # fmt: skip
NEW_UNRELATED = (
    "What is the population of Canada?", "Convert 70 degrees Fahrenheit to Celsius.", "Translate 'where is the station' into Polish.", "When was the printing press invented?",
    "What does photosynthesis mean?", "How heavy is the sun?", "Simplify the fraction 84/126.", "Who invented the telephone?", "How does a nuclear reactor work?",
    "Write a reminder to a customer who has not paid an invoice.", "What is the melting point of lead?", "How does the Supreme Court decide cases?", "How is paper made?",
    "What is the time difference between Lima and Oslo?", "Fix the spelling of this sentence: I recieved teh package.", "How do I update the printer driver?", "What is a logarithm?",
    "Draft a contract for renting out a garage.", "How do unions negotiate wages?", "How many teeth does an adult have?", "What causes earthquakes?", "Name the provinces of Spain.",
    "How do I jump-start a dead battery?", "What is the difference between mass and weight?", "How is aluminium recycled?", "Which documents do I need for a passport?",
    "What does a notary do?", "How do I recover a forgotten password?", "What does the liver do?", "How deep is the Pacific Ocean?",
)  # fmt: skip


class Asked(NamedTuple):
    """One choice of one user: their summary, and whether the prompt has to do with it."""

    summary: str
    choice: Preference
    related: bool


def choices(subjects: dict[str, Subject], unrelated: tuple[str, ...], users: int, seed: int) -> list[Asked]:
    """Users with two or three tastes among `subjects`, each asked about those and about other things."""
    rng, found = random.Random(seed), []
    for _ in range(users):
        own = {name: rng.randrange(2) for name in rng.sample(sorted(subjects), rng.choice((2, 3)))}
        summary = " ".join(subjects[name].tastes[taste] for name, taste in own.items())
        for name, taste in own.items():
            answers = subjects[name].answers
            found += [
                Asked(summary, Preference(p, answers[taste], answers[1 - taste]), True)
                for p in rng.sample(subjects[name].prompts, 3)
            ]
        for prompt in rng.sample(unrelated, 8):
            one, two = rng.sample(("Here is a short answer.", "Here is an answer at length."), 2)
            found.append(Asked(summary, Preference(prompt, one, two), False))
    return found
