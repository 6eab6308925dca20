"""Selected events in plain sentences: what is said of whom, how much fits, and what the writer reads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.words import embeddings

from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings
from plus.models.extractive import ExtractiveSummarizer
from plus.models.plain_sentences import plain_sentence, plain_summary, read_sentence
from plus.models.prose import CUT, SelectThenWrite
from plus.models.run import load_select_then_write, save_select_then_write
from plus.models.text import encode
from plus.profiles.sentences import split
from plus.types import Event, Preference, Reaction, Turn, UserHistory

DESCRIBES = "Does this describe you?"


def reaction(text: str, label: bool = True, prompt: str = "What of the harbour?") -> Event:
    return Event(text, "reaction", Reaction(prompt, text, label))


@pytest.mark.parametrize(
    ("text", "agreed", "disagreed"),
    [
        ("I love parties.", "They love parties.", "They do not love parties."),
        ("I am a baker", "They are a baker.", "They are not a baker."),
        ("I'm not a baker.", "They are not a baker.", "They are a baker."),
        ("I don\u2019t eat fish!", "They do not eat fish.", "They eat fish."),
        ("I can sing.", "They can sing.", "They cannot sing."),
        ("I cannot sing.", "They cannot sing.", "They can sing."),
        ("I'd move if I could.", "They would move if they could.", "They would not move if they could."),
        ("I never cook for myself.", "They never cook for themselves.", "They sometimes cook for themselves."),
        ("Boats are for the rich.", "They agree: Boats are for the rich.", "They disagree: Boats are for the rich."),
        ("In {my} view: no", "They agree: In {my} view: no.", "They disagree: In {my} view: no."),
    ],
)  # fmt: skip
def test_a_statement_becomes_one_about_them(text, agreed, disagreed):
    assert plain_sentence(reaction(text)) == agreed
    assert plain_sentence(reaction(text, False)) == disagreed


@pytest.mark.parametrize(
    ("text", "agreed", "disagreed"),
    [
        ("Am fond of my garden.", "They are fond of their garden.", "They are not fond of their garden."),
        ("Dont like {noise}.", "They do not like {noise}.", "They like {noise}."),
        ("Sing to myself.", "They sing to themselves.", "They do not sing to themselves."),
        ("Would sail with me.", "They would sail with them.", "They would not sail with them."),
    ],
)  # fmt: skip
def test_a_statement_that_is_asked_to_describe_its_reader_needs_no_subject(text, agreed, disagreed):
    assert plain_sentence(reaction(text, True, DESCRIBES)) == agreed
    assert plain_sentence(reaction(text, False, DESCRIBES)) == disagreed


def test_choices_quote_both_first_sentences_and_remarks_are_said():
    choice = Preference("Where?", "By the sea. It is calm.", "In  the\nhills!")
    assert plain_sentence(Event("1", "choice", choice)) == 'They prefer "By the sea" to "In the hills".'
    assert plain_sentence(Event("1", "message", "I want short answers. Please.")) == "They want short answers."
    assert plain_sentence(Event("1", "edit", "No lists")) == "They said: No lists."
    assert plain_sentence(Event("1", "message", (Turn("user", "I sail."),))) == "They sail."


@given(st.text(max_size=80), st.booleans())
def test_any_text_makes_one_line(text, label):
    sentence = plain_sentence(reaction(text, label))
    assert sentence.startswith("They ") and len(sentence.splitlines()) == 1


def test_as_many_whole_sentences_as_fit_and_a_long_first_one_loses_its_end():
    events = [reaction("I sail."), reaction("I row every day."), reaction("I swim.")]
    assert plain_summary(events, lambda text: True) == "They sail. They row every day. They swim."
    assert plain_summary(events, lambda text: len(text.split()) <= 4) == "They sail. They swim."
    assert plain_summary(events[1:], lambda text: len(text.split()) <= 3) == "They row ..."
    assert plain_summary([], lambda text: True) == ""


@pytest.fixture
def both(base) -> SelectThenWrite:
    torch.manual_seed(0)
    return SelectThenWrite(ExtractiveSummarizer(embeddings(), k=2), base)


HISTORY = UserHistory("u", tuple(map(reaction, ("I like cats.", "I like dogs.", "I like fish."))))


def test_the_writer_reads_the_selected_events_alone_best_first(both):
    scores = both.selector.scores([HISTORY])[0].tolist()
    best = sorted(range(3), key=lambda place: -scores[place])[:2]
    (chosen,) = both.selected([HISTORY])
    assert chosen.events == tuple(HISTORY.events[place] for place in best)
    assert both.summarize([HISTORY]) == both.writer.summarize([chosen])
    assert list(both.stream([HISTORY])) == [(0, both.summarize([HISTORY])[0])]
    assert both.plain([chosen]) == [" ".join(f"They like {e.content.completion[7:]}" for e in chosen.events)]
    assert len(split(both.plain([chosen])[0])) == 2
    assert both.summarize([]) == [] and both.selected([UserHistory("v")]) == [UserHistory("v")]


def test_what_the_window_does_not_hold_goes_worst_first_and_is_counted(both):
    (chosen,) = both.selected([HISTORY])
    one = both.writer.messages(UserHistory("u", chosen.events[:1]))
    both.writer.max_prompt_length = len(encode(both.tokenizer, [one], generate=True)[0])
    (left,) = both.selected([HISTORY])
    assert left.events == chosen.events[:1] and both.cut == {CUT: 1}
    both.selector.trusted = False
    assert both.selected([HISTORY])[0].events[0] in HISTORY.events


def test_files_bring_back_the_same_texts(both, tmp_path):
    save_select_then_write(tmp_path / "s", both, "words")
    windows = {"max_prompt_length": both.writer.max_prompt_length, "max_completion_length": 16}
    again = load_select_then_write(tmp_path / "s", Embeddings(both.selector.embeddings.encode), **windows)
    assert again.summarize([HISTORY]) == both.summarize([HISTORY])
    assert again.tokenizer("I like cats.") == both.tokenizer("I like cats.")


def test_log_probabilities_of_given_texts_are_those_of_reading_them(base):
    """Token by token on the unpadded row, with the end token."""
    histories, texts = [HISTORY, UserHistory("v", HISTORY.events[:1])], ["They like cats.", "They like birds and dogs."]
    logprobs_NT, mask_NT = base.logprobs(histories, texts)
    assert logprobs_NT.requires_grad
    for row, (history, text) in enumerate(zip(histories, texts, strict=True)):
        prompt = base.tokenizer.apply_chat_template(base.messages(history), add_generation_prompt=True, tokenize=False)
        ids = base.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        written = [*base.tokenizer(text, add_special_tokens=False)["input_ids"], base.tokenizer.eos_token_id]
        every = base.model(torch.tensor([[*ids, *written]])).logits[0].log_softmax(-1)
        expected = [every[len(ids) - 1 + n, token].item() for n, token in enumerate(written)]
        length = int(mask_NT[row].sum())
        assert length == len(written) and logprobs_NT[row, :length].tolist() == pytest.approx(expected, abs=1e-4)
    base.max_completion_length = 3
    assert base.logprobs(histories, texts)[1].sum(1).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("text", "liked", "disliked"),
    [
        ("They love parties.", "Love parties.", ""),
        ("They do not love parties.", "", "Love parties."),
        ("They don't eat fish.", "", "Eat fish."),
        ("They are not easily annoyed.", "", "Are easily annoyed."),
        ("This voter cannot sing.", "", "Can sing."),
        ("She never cooks.", "", "Cooks."),
        ("They agree: Do not build.", "Do not build.", ""),
        ("They disagree: Build.", "", "Build."),
        ('They prefer "By the sea" to "In the hills".', "By the sea", "In the hills"),
        ("I do not eat fish.", "I do not eat fish.", ""),  # A person's own words stay as they are.
        ("Boats do not pay.", "Boats do not pay.", ""),
        ("They", "They", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_plain_sentence_is_read_as_what_it_speaks_for_and_against(text, liked, disliked):
    assert read_sentence(text) == (liked, disliked)


@given(st.text(max_size=80), st.booleans())
def test_a_quoted_statement_is_read_on_the_side_it_was_rated(text, label):
    event = reaction(f"Boats {text}", label)
    sides = read_sentence(plain_sentence(event))
    assert bool(sides[0]) == label and bool(sides[1]) != label


def test_the_reward_model_reads_a_denial_as_the_disagreement_it_was_made_of():
    table = embeddings()
    reader = EmbeddingRewardModel(table, ["Eat fish.", "Love parties."])
    plain = reader._events(["They love parties. They do not eat fish."])
    assert plain[0].tolist() == reader._events(["Agreed: Love parties.\nDisagreed: Eat fish."])[0].tolist()
