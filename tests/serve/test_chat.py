"""`plus chat`: two answers, a blind choice, an event; failures never lose a choice. Against real servers."""

from __future__ import annotations

import io
import json
import re
import sqlite3

import pytest
from support.upstream import upstream

from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.prompts import FENCE, NEUTRAL
from plus.serve import chat, fake_server

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", "The user likes cats best.", 0)
    return tmp_path / "p.db"


@pytest.fixture
def talk(path, plus_here, monkeypatch):
    def run(typed: str, url: str, *arguments: str):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return plus_here("chat", "ann", "--store", path, "--base_url", url, "--model", "m", *arguments)

    return run


def events(path):
    with Store(path) as store:
        return store.events("ann")


def test_choices_become_events_and_the_talk_goes_on_from_the_chosen_answer(talk, path):
    with fake_server.serving() as url:
        status, out, err = talk("Tell me.\na\nMore?\nnonsense\nb\nquit\n", url)
    assert status == 0, err
    one, two = [event.content for event in events(path)]
    assert {one.chosen, one.rejected} == {"Here is an idea with cats.", "Here is an idea that suits most people."}
    assert (one.prompt, two.prompt) == ("Tell me.", "More?")
    assert [turn.content for turn in two.earlier] == ["Tell me.", one.chosen]
    assert {event.source for event in events(path)} == {"plus chat"}
    taken = sum(choice.chosen == "Here is an idea with cats." for choice in (one, two))
    assert f"you took the personalized answer in {taken} of 2 choices" in err
    first = out.index("Here is an idea")
    assert "personalized" not in (out + err)[: first + 400].replace(err, ""), "which is which is told at the end"


def test_the_place_of_the_personalized_answer_is_drawn_each_time():
    class Both:
        class chat:  # noqa: N801
            class completions:  # noqa: N801
                @staticmethod
                def create(user_id, **request):
                    message = type("M", (), {"content": "mine" if user_id else "plain"})
                    return type("C", (), {"choices": [type("X", (), {"message": message})]})

    made = [chat.ask(Both(), "ann", (), "Hi", model="m") for _ in range(60)]
    assert 10 < sum(one.personal for one in made) < 50
    assert all(one.answers[one.personal] == "mine" for one in made)


def test_a_tie_or_equal_answers_record_nothing_and_again_asks_again(talk, path):
    with fake_server.serving() as url:
        assert talk("Tell me.\nagain\n=\n", url)[0] == 0
    with upstream() as server:  # It says the same whoever asks.
        status, _, err = talk("Which tea?\n", server.url)
    assert status == 0 and "both answers are the same" in err and len(server.asked) == 2
    assert events(path) == []


def test_a_failed_request_loses_no_choice(talk, path, chat_server):
    asked = []

    def failing(question):
        asked.append(question)
        if "Second" in question:
            raise RuntimeError("the server fell over")
        return f"answer {len(asked)}"

    address, _ = chat_server(failing)
    status, _, err = talk("First\na\nSecond\nThird\nb\n", address)
    assert status == 0 and "could not be reached" in err and "your choices so far are kept" in err
    assert [event.content.prompt for event in events(path)] == ["First", "Third"]
    assert KEY not in err and sum(line.startswith("plus: ") for line in err.splitlines()) == 1


def test_a_wrong_key_or_no_network_is_one_line_and_the_talk_goes_on(talk, path):
    with upstream() as server:
        status, _, err = talk("First\nquit\n", server.url, "--model", "m-401")
    assert status == 0 and "answered with status 401; check address, model name and key" in err
    status, _, err = talk("First\nquit\n", "http://127.0.0.1:9/v1")
    assert status == 0 and "could not be reached" in err and "Traceback" not in err and KEY not in err


def test_a_choice_is_stored_before_anything_else_is_asked(talk, path, chat_server, monkeypatch):
    """The endpoint looks into the store's file when the second question comes."""
    seen, numbers = [], iter(range(1000))

    def answer(question):
        if question == "Second":
            with sqlite3.connect(path) as other:
                seen.append(other.execute("SELECT count(*) FROM events").fetchone()[0])
        return f"{question} {next(numbers)}"

    address, _ = chat_server(answer)
    talk("First\nb\nSecond\na\n", address)
    assert set(seen) == {1}


def test_a_store_that_is_locked_gets_the_choice_later(path, chat_server, monkeypatch, talk):
    numbers = iter(range(1000))
    address, _ = chat_server(lambda question: f"answer {next(numbers)}")
    real, failures = Store.add_events, iter([True])

    def sometimes(self, entries, *rest):
        from plus.errors import ProfileError

        if next(failures, False):
            raise ProfileError("the store is locked")
        return real(self, entries, *rest)

    monkeypatch.setattr(Store, "add_events", sometimes)
    status, _, err = talk("First\na\nSecond\nb\n", address)
    assert status == 0 and "the choice will be written with the next one" in err
    assert [event.content.prompt for event in events(path)] == ["First", "Second"]


def test_dry_run_shows_both_requests_and_sends_nothing(talk, path):
    with upstream() as server:
        status, out, err = talk("", server.url, "Which tea?", "--dry-run", "--system", "You sell tea.")
    personal, plain = map(json.loads, out.splitlines())
    assert status == 0 and server.asked == [] and "2 requests" in err and "nothing was sent" in err
    assert FENCE[0] in personal["messages"][0]["content"] and plain["messages"][0]["content"] == "You sell tea."
    assert re.search(r"about \d+ tokens", err) and KEY not in out + err


def test_both_answers_have_the_same_system_text_and_the_other_may_be_about_another_user(talk, path):
    with Store(path) as store:
        save_user(store, "bob", "Likes bicycles.", 0)
    with upstream() as server:
        _, out, _ = talk("", server.url, "Which tea?", "--dry-run")
        _, against, _ = talk("", server.url, "Which tea?", "--dry-run", "--against", "bob")
        status, _, err = talk("", server.url, "Which tea?", "--against", "nobody")
    personal, plain = map(json.loads, out.splitlines())
    assert plain["messages"][0]["content"] == NEUTRAL
    assert personal["messages"][0]["content"].startswith(f"{NEUTRAL}\n\n")
    assert ["Likes bicycles." in line for line in sorted(against.splitlines())].count(True) == 1
    assert status == 4 and "no user 'nobody'" in err


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        ([], "", "no key for the endpoint; set OPENAI_API_KEY"),
        (["--base_url", "http://host:abc/v1"], KEY, "'http://host:abc/v1' is no http address"),
        (["--base_url", "ftp://x"], KEY, "is no http address"),
    ],
)  # fmt: skip
def test_what_cannot_start_is_one_line(arguments, key, expected, path, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    status, out, err = plus_here("chat", "ann", "--store", path, *arguments)
    assert (status, out) == (2, "") and expected in err and len(err.strip().splitlines()) == 1
    status, _, err = plus_here("chat", "an", "--store", path)
    assert status == 4 and "did you mean ann?" in err
