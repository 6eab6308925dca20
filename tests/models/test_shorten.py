"""Long answers are cut to what carries the choice, within their share; short ones stay as they are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.words import embeddings

from plus.measures import estimate_tokens
from plus.models.extractive import CUT, ExtractiveSummarizer
from plus.models.shorten import EventLines, cut, shortened
from plus.prompts import event_lines, one_line, read_event_lines
from plus.resources import shipped
from plus.sources.polis import votes_of
from plus.types import Dropped, Event, Preference, Reaction, Turn, UserHistory

HELLO = "Thank you for asking this."
TEXTS = st.text(st.sampled_from("ab \n.!?é字。:O"), max_size=400)


def choice(chosen: str, rejected: str) -> Event:
    return Event("e", "choice", Preference("q", chosen, rejected))


def test_the_sentences_that_the_other_answer_does_not_say_stay_in_their_order():
    same = "Paris has many museums."
    mine = f"{HELLO} The metro is cheap and quick. {same} Walk along the river at dusk."
    other = f"{HELLO} {same} Take a taxi everywhere."
    # Six words that the other answer lacks, and six again: both fit with their marks, else the first of them.
    assert cut(mine, 20, other) == "... The metro is cheap and quick. ... Walk along the river at dusk."
    assert cut(mine, 11, other) == "... The metro is cheap and quick. ..."
    assert cut(mine, 100, other) == mine


def test_an_answer_that_stands_alone_keeps_its_beginning():
    assert cut("One is here. Two is here. Three is here.", 8) == "One is here. Two is here. ..."
    assert cut("a" * 50 + " b", 5) == "a" * 16 + " ..."
    assert cut("word " * 100, 6) == "word word word word ..."


@given(TEXTS, TEXTS, st.integers(20, 120))
def test_lines_keep_to_their_share_and_are_read_back(one, two, tokens):
    lines = EventLines(tokens)
    for event in (choice(one, two), Event("e", "reaction", Reaction("q", one, False)), Event("e", "remark", two)):
        text, whole = lines(event), event_lines(event)
        assert estimate_tokens(text) <= max(tokens, estimate_tokens("Chose: (no answer)\nOver: (no answer)"))
        assert lines.is_cut(text) == (text != whole)
        fits = estimate_tokens(whole) <= tokens - 4
        assert text == whole if fits else len(text) <= len(whole) + 12
        if one_line(one) and one_line(two):
            (sides,) = read_event_lines(text)
            assert [bool(side) for side in sides] == [bool(side) for side in read_event_lines(whole)[0]]


@given(TEXTS, TEXTS, st.integers(4, 60))
def test_what_is_left_is_whole_sentences_of_the_answer_or_its_first_words(one, two, tokens):
    for piece in cut(one, tokens, two).split("..."):
        assert "".join(piece.split()) in "".join(one.split())  # Spaces aside: full-width marks have none after them.


def test_the_shorter_side_leaves_its_share_to_the_longer_one():
    long = " ".join(f"Point {number} is made here." for number in range(40))
    text = shortened(choice("Yes.", long), 60).content
    assert text.chosen == "Yes." and 50 < estimate_tokens(text.rejected) <= 59
    both = shortened(choice(long, long.replace("made", "lost")), 60).content
    assert {24 < estimate_tokens(side) <= 30 for side in (both.chosen, both.rejected)} == {True}


def test_a_statement_of_polis_stays_as_it_is():
    votes = votes_of(shipped("polis_sample"), Dropped())
    events = [event for past in votes.values() for event in past]
    lines = EventLines(800 // 8)
    assert [lines(event) for event in events] == [event_lines(event) for event in events] and not lines.shortened


def test_conversations_and_remarks_are_cut_too_and_answers_of_a_book_take_no_time():
    said = (Turn("user", "Tell me of it. " * 50), Turn("assistant", "Well. " * 50))
    assert EventLines(30)(Event("e", "message", said)).startswith("Said: Tell me of it. Tell me of it.")
    book = " ".join(f"Chapter {number} says what it says." for number in range(3500))
    assert len(book) > 100_000
    text = EventLines(100)(choice(book, "No."))
    assert estimate_tokens(text) <= 100 and text.endswith("\nOver: No.")


def test_the_summarizer_counts_what_it_cut_in_use_and_reads_the_same_lines_in_training():
    long = " ".join(f"Point {number} is made here." for number in range(40))
    history = UserHistory("u", (choice(long, "no"), choice("short", "no"), choice("tiny", long)))
    summarizer = ExtractiveSummarizer(embeddings(), k=2, tokens=80)
    torch.manual_seed(0)
    drawn, *_ = summarizer.sample([history], 8)
    assert not summarizer.cut, "training counts nothing"
    written = {summarizer.lines(event) for event in history.events}
    for text in drawn:
        parts = text.split("\nChose: ")
        assert {part if part.startswith("Chose: ") else f"Chose: {part}" for part in parts} <= written
    (text,) = summarizer.summarize([history])
    assert estimate_tokens(text) <= 80
    assert summarizer.cut == {CUT: sum(long_event in text for long_event in map(summarizer.lines, history.events[::2]))}
    summarizer.trusted = False
    summarizer.cut.clear()
    summarizer.summarize([history])
    assert summarizer.cut[CUT] >= 1
    whole = ExtractiveSummarizer(embeddings(), k=2)
    assert long in whole.summarize([history])[0] and not whole.cut


@pytest.mark.parametrize("text", ["", " ", "\n\n", "...", "(no answer)", "Over: a\nChose: b", "\ud800" * 3000])
def test_odd_answers_are_no_error(text):
    for event in (choice(text, "x" * 3000), choice("x" * 3000, text)):
        assert read_event_lines(EventLines(40)(event))
