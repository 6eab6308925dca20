"""The gate: its arithmetic on foreseeable vectors, and the real sentence model on prompts it was not set on."""

from __future__ import annotations

import json
import math

import pytest
from support.personalized import KEY, Known, profile_of
from support.running import data_of
from support.traits import NEW_SUBJECTS, NEW_UNRELATED, SUBJECTS, UNRELATED, choices
from support.upstream import upstream

from plus.errors import EvidenceError
from plus.profiles.saving import save_user, set_rule
from plus.profiles.store import Store
from plus.serve.client import PersonalizedOpenAI
from plus.serve.gate import Gate, HeldOut, asked, calibrate, measure
from plus.serve.requests import Personalizer, StoreFile

SUBJECT_OF = {"cats": (1.0, 0.0), "dogs": (0.0, 1.0), "both": (3.0, 4.0), "none": (0.0, 0.0)}


def encode(lines):
    return [next((v for word, v in SUBJECT_OF.items() if word in line), (0.0, 0.0)) for line in lines]


def test_relevance_is_the_mean_of_the_nearest_sentence_and_the_whole():
    gate = Gate(encode, 0.5)
    assert gate.relevance(["about dogs"], "Likes cats. Likes dogs.") == pytest.approx((1 + 0) / 2)  # whole: cats
    assert gate.relevance(["about both"], "Likes cats.") == pytest.approx(0.6)
    assert gate.relevance(["none", "cats"], "Likes cats.") == pytest.approx(1.0), "the nearest of the turns"
    assert gate.relevance(["none"], "Likes cats.") == 0.0
    assert gate.is_open({"messages": [{"role": "user", "content": "cats?"}]}, "Likes cats.")
    assert not gate.is_open({"input": "dogs?"}, "Likes cats.")
    assert gate.is_open({"messages": [{"role": "tool", "content": "dogs"}]}, "Likes cats."), "nothing to go by"


def test_the_users_newest_turns_are_read_in_either_protocol():
    turns = [{"role": "user", "content": f"{n}"} for n in range(5)]
    assert asked({"messages": [{"role": "system", "content": "s"}, *turns, {"role": "assistant", "content": "a"}]}) == [
        "2",
        "3",
        "4",
    ]
    parts = [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "u"}]
    assert asked({"input": [{"role": "user", "content": parts}, object()]}) == ["x"]
    assert asked({"input": object()}) == asked({}) == []


def test_the_threshold_is_the_highest_that_gives_up_no_more_than_asked():
    held = [HeldOut(0.9, 2.0), HeldOut(0.7, 2.0), HeldOut(0.4, 0.5), HeldOut(0.2, 0.1), HeldOut(0.1, -0.1)]
    assert calibrate(held, keep=0.8) == (pytest.approx(0.55), 0.4, pytest.approx(4 / 4.5))
    assert calibrate(held, keep=0.97).threshold == pytest.approx(0.3)
    everywhere = [HeldOut(relevance / 10, 1.0) for relevance in range(10)]
    assert calibrate(everywhere).kept == 1.0, "what helps with any prompt is never held back"
    assert measure(held, 0.5) == (0.5, 0.4, pytest.approx(4 / 4.5))
    with pytest.raises(EvidenceError, match=r"over 1 held-out choices the summaries gain -1\.000 nats"):
        calibrate([HeldOut(0.5, -1.0)])


def test_behind_a_closed_gate_no_summary_and_no_raw_id_leave_and_tokens_are_counted():
    with upstream() as server:
        import openai

        inner = openai.OpenAI(api_key=KEY, base_url=server.url)
        client = PersonalizedOpenAI(inner, Known(ann="Likes cats."), gate=Gate(encode, 0.5))
        for text in ("about cats", "about dogs", "about none"):
            client.chat.completions.create(user_id="ann", model="m", messages=[{"role": "user", "content": text}])
        client.responses.create(user_id="ann", model="m", input="dogs")
    assert list(map(profile_of, server.asked)) == ["Likes cats.", "", "", ""]
    assert server.asked[1]["messages"] == [{"role": "user", "content": "about dogs"}]
    assert len({body["safety_identifier"] for body in server.asked}) == 1 and "ann" not in json.dumps(server.asked)
    assert client.counts["personalized"] == 1 and client.counts["gated"] == 3
    assert client.counts["tokens_saved"] > 3 * 40


def test_the_sentences_that_bear_are_sent_and_the_others_are_not():
    gate = Gate(encode, 0.6)
    summary = "Likes cats. Wants short answers.  Likes dogs. Grows cacti."
    request = {"input": "about cats"}
    assert gate.bearing(request, summary) == "Likes cats. Wants short answers."
    assert gate.bearing(request, summary, {"Grows cacti."}) == "Likes cats. Wants short answers.  Grows cacti."
    assert gate.bearing({"input": "about none"}, summary) == "Wants short answers."
    assert gate.bearing({"input": "about none"}, "Likes cats.") == "" and gate.bearing({}, summary) == summary
    assert gate.bearing({"input": "none"}, "Любит кошек.") == "Любит кошек.", "a script that is not read here is kept"


def test_a_locked_sentence_is_sent_with_any_prompt(tmp_path):
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", "Likes cats. Grows cacti.", 0)
        set_rule(store, "ann", "lock", "Grows cacti.")
    personalizer = Personalizer(StoreFile(tmp_path / "p.db"), gate=Gate(encode, 0.9))
    sent = personalizer.attempt("chat", "ann", {"messages": [{"role": "user", "content": "about none"}]}).sent
    assert profile_of(sent) == "Grows cacti."


# Written for this test, and not by the list of words: what people say of themselves, and a prompt of another subject.
BEARS = [
    ("Has a severe peanut allergy.", "Plan a snack table for a school fair."),
    ("Has coeliac disease.", "What can we bake on Sunday?"),
    ("Carries an inhaler for asthma.", "Suggest a weekend of sports."),
    ("Is in her third month of pregnancy and is pregnant for the first time.", "Recommend a spa day."),
    ("Takes insulin twice a day.", "What should I eat before a marathon?"),
    ("Has been sober for four years.", "Ideas for a toast at a wedding?"),
    ("Had an eating disorder and wants no talk of weight, which causes anxiety.", "Write me a gym plan."),
    ("Has epilepsy.", "Design an animated banner for my site."),
    ("Recovers from knee surgery.", "Where can I hike in Wales?"),
    ("Has high blood pressure.", "A soup recipe, please."),
    ("Lives with chronic pain.", "How do I set up a home office?"),
    ("Is grieving for his father.", "Write a birthday card."),
    ("Wants answers in Spanish.", "What is a black hole?"),
    ("Is not a native speaker of English.", "Summarize this contract."),
    ("Speaks Arabic at home.", "Name three inventors."),
    ("Uses they/them pronouns.", "Write a short biography of me."),
    ("Likes to be addressed by first name.", "Draft a letter to me from Santa."),
    ("Always wants the conclusion first.", "Compare two laptops."),
    ("Wants at most three sentences.", "How do vaccines work?"),
    ("Dislikes bullet points.", "List the causes of the war."),
    ("Wants a formal tone.", "Write to my landlord."),
    ("Hates emojis.", "Congratulate my sister."),
    ("Wants sources for every claim.", "Is coffee good for you?"),
    ("Asks for code without comments, and never in Java.", "Reverse a string."),
    ("Is blind and uses a screen reader.", "Show how two sorting methods compare."),
    ("Is deaf.", "How can I follow the news?"),
    ("Is dyslexic.", "Explain the tax form."),
    ("Uses a wheelchair.", "What shall we see in Lisbon?"),
    ("Is nine years old.", "Why do stars twinkle?"),
    ("Is followed by a stalker and in danger of being found.", "Help me write a public profile."),
]
BEARS_NOT = [
    ("Collects stamps from Peru.", "Convert 12 inches to centimetres."),
    ("Rides a road bike.", "Translate 'good night' into Greek."),
    ("Plays the cello in an orchestra.", "What is the capital of Mali?"),
    ("Roots for a small football club.", "Fix this SQL join."),
    ("Grows tomatoes on a balcony.", "How does TCP open a connection?"),
    ("Watches old westerns.", "Compute the area of a circle."),
    ("Keeps two rabbits.", "What does a notary do?"),
    ("Sails a dinghy at weekends.", "Proofread this paragraph about banks."),
    ("Knits socks as gifts.", "Why is my printer offline?"),
    ("Loves opera.", "Write a regular expression for dates."),
    ("Drives an electric car.", "Who painted the Night Watch?"),
    ("Bakes sourdough bread.", "Define entropy."),
    ("Reads science fiction novels.", "How do I unblock a sink?"),
    ("Paints in watercolour.", "What is 15 percent of 240?"),
    ("Trains for a triathlon.", "Explain what a mortgage is."),
    ("Brews beer at home.", "Sort this list of names."),
    ("Studies butterflies.", "How do I write a will?"),
    ("Plays chess online.", "What is the boiling point of ethanol?"),
    ("Restores antique clocks.", "Give me a synonym of happy."),
    ("Surfs in Portugal every summer.", "What is a primary key?"),
    ("Sings in a choir.", "How are interest rates set?"),
    ("Photographs birds.", "Debug this stack trace."),
    ("Builds model railways.", "What is photosynthesis?"),
    ("Follows Formula One.", "Conjugate the verb 'to go'."),
    ("Runs a small bakery.", "Who wrote the Iliad?"),
    ("Walks a beagle every morning.", "Rewrite this email to a supplier."),
    ("Tends a vineyard.", "How do magnets work?"),
    ("Plays bass in a punk band.", "What time is it in Tokyo?"),
    ("Hunts for mushrooms in autumn.", "Normalize this table."),
    ("Furnishes in mid-century style, with teak.", "Solve x + 3 = 9."),
]


def test_no_sentence_of_manner_ability_or_health_is_held_back_and_most_others_are(capsys):
    """README's threshold, the real sentence model, thirty pairs of either kind."""
    from plus.models.embeddings import minilm

    model = minilm()
    gate = Gate(lambda lines: model(lines).tolist(), 0.15)

    def opened(pairs):
        return [gate.is_open({"input": prompt}, summary) for summary, prompt in pairs]

    lost = [pair for pair, is_open in zip(BEARS, opened(BEARS), strict=True) if not is_open]
    without = 1 - sum(opened(BEARS_NOT)) / len(BEARS_NOT)
    with capsys.disabled():
        print(f"{len(BEARS)} that bear: {len(lost)} held back; {len(BEARS_NOT)} that do not: {without:.0%} go without")
    assert len(BEARS) == len(BEARS_NOT) == 30 and lost == [] and without >= 0.85


def gains(rows, reader):
    with_it = reader.log_likelihood([row.summary for row in rows], [row.choice for row in rows])
    without = reader.log_likelihood([""] * len(rows), [row.choice for row in rows])
    return [a - b for a, b in zip(with_it, without, strict=True)]


def test_with_the_real_sentence_model_unrelated_prompts_go_without_and_related_ones_keep_it(capsys):
    """Set on the gain of a reward model that was fitted to other users' choices; shown on subjects and prompts that
    neither has met."""
    from plus.audit.text_checks import FreshReader
    from plus.models.embeddings import minilm

    model = minilm()
    gate = Gate(lambda lines: model(lines).tolist(), 0.0)
    fitted = choices(SUBJECTS, UNRELATED[:20], 120, seed=0)
    reader = FreshReader([row.summary for row in fitted], [row.choice for row in fitted])
    held = choices(SUBJECTS, UNRELATED[20:], 120, seed=1)
    relevance = [gate.relevance([row.choice.prompt], row.summary) for row in held]
    found = calibrate([HeldOut(r, g) for r, g in zip(relevance, gains(held, reader), strict=True)])
    assert math.isfinite(found.threshold)
    gate.threshold = found.threshold
    shares = {}
    for name, rows in (("set on", held), ("new", choices(NEW_SUBJECTS, NEW_UNRELATED, 120, seed=2))):
        is_open = [gate.is_open({"input": row.choice.prompt}, row.summary) for row in rows]
        kept = [o for o, row in zip(is_open, rows, strict=True) if row.related]
        other = [o for o, row in zip(is_open, rows, strict=True) if not row.related]
        shares[name] = (sum(kept) / len(kept), 1 - sum(other) / len(other), len(kept), len(other))
    with capsys.disabled():
        print(found, shares)
    kept, without, *_ = shares["new"]
    assert kept >= 0.95 and without >= 0.90


def test_the_command_finds_the_threshold_on_a_stores_held_out_choices(tmp_path, plus_here, monkeypatch):
    """With the words of the tests as sentence model, and a reward model that likes what the summary names."""
    from plus.types import Entry, Event, Preference

    class Likes:
        def log_likelihood(self, texts, pairs):
            named = [text.split()[-1].rstrip(".") if text else "-" for text in texts]
            return [-0.1 if word in pair.prompt else -0.7 for word, pair in zip(named, pairs, strict=True)]

    with Store(tmp_path / "p.db") as store:
        for number in range(6):
            save_user(store, f"u{number}", ("Likes cats.", "Likes dogs.")[number % 2], 0)
            asked = ("about cats?", "about dogs?", "about none?")
            pairs = [Event(f"e{n}", "choice", Preference(prompt, "a", "b")) for n, prompt in enumerate(asked)]
            store.add_events([Entry(f"u{number}", event, held_out=True) for event in pairs])
    loaded = type("Run", (), {"reward_model": Likes()})
    monkeypatch.setattr("plus.cli.proxy.load_run", lambda store, run: (loaded, run))
    monkeypatch.setattr("plus.cli.proxy.sentence_model", lambda: encode)
    status, out, err = plus_here("gate", "--store", tmp_path / "p.db", "--json")
    assert status == 0, err
    found = data_of(out)
    assert found["threshold"] == pytest.approx(0.5) and found["kept"] == pytest.approx(1 / 3)
    assert found["other_half"] == {"choices": 9, "kept": pytest.approx(1 / 3), "gain_kept": pytest.approx(1.0)}
    status, out, err = plus_here("gate", "--store", tmp_path / "p.db")
    assert out == "--gate 0.500\n" and "33.3% of the prompts keep the summary" in err
