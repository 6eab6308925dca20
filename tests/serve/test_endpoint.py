"""Summaries from an OpenAI-compatible endpoint: a real server, its refusals, and what is sent."""

from __future__ import annotations

import json
import traceback

import httpx2
import pytest
from support.endpoint_server import serving

from plus.errors import EndpointError
from plus.profiles.store import Store
from plus.prompts import INSTRUCTION
from plus.serve.endpoint import EndpointSummarizer, make_client
from plus.types import UserHistory, history_of


def users(count: int) -> list[UserHistory]:
    return [
        history_of([{"prompt": "Tell me.", "chosen": f"Cats {n}.", "rejected": "Dogs."}], f"u{n}") for n in range(count)
    ]


def test_texts_come_back_to_their_users_several_at_a_time(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key-123")
    with serving(seconds=0.05) as server:
        endpoint = EndpointSummarizer(server.url, "m", max_completion_length=33, concurrency=8)
        texts = dict(endpoint.stream(users(40)))
    assert texts == {n: f"Likes Cats {n}." for n in range(40)}
    assert 2 <= server.busiest <= 8
    assert server.keys == {"Bearer key-123"}
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in server.asked} == {("m", 0, 33)}
    assert INSTRUCTION in server.asked[0]["messages"][-1]["content"]


def test_one_refused_user_costs_no_other():
    with serving() as server:
        server.refuse = {"Cats 3.": 400, "Cats 5.": 422}
        endpoint = EndpointSummarizer(server.url, "m")
        empty = history_of(["nothing"], "quiet")
        texts = dict(endpoint.stream([*users(8), empty]))
    assert sorted(texts) == [0, 1, 2, 4, 6, 7]
    assert endpoint.failed == {"status 400": 1, "status 422": 1, "an empty answer": 1}


def test_an_overloaded_server_is_asked_again():
    with serving() as server:
        server.refuse = {"Cats 0.": 503}
        endpoint = EndpointSummarizer(server.url, "m", max_retries=1)
        assert dict(endpoint.stream(users(1))) == {}
        assert len(server.asked) == 2 and endpoint.failed == {"status 503": 1}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_with_one_line_that_shows_neither_key_nor_history(status, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key-123")
    with serving() as server:
        server.refuse = {"Cats": status}
        with pytest.raises(EndpointError, match="check the address, --model and OPENAI_API_KEY") as caught:
            list(EndpointSummarizer(server.url, "m").stream(users(2)))
    shown = "".join(traceback.format_exception(caught.value))
    assert "key-123" not in shown and "Cats 0" not in shown and "\n" not in str(caught.value)


def test_no_server_is_one_line():
    with serving() as server:
        pass
    with pytest.raises(EndpointError, match="could not be reached"):
        list(EndpointSummarizer(server.url, "m", max_retries=0).stream(users(1)))


def test_one_rule_for_keys_and_addresses(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EndpointError, match="no key for the endpoint; set OPENAI_API_KEY"):
        make_client("http://127.0.0.1:9/v1")
    with pytest.raises(EndpointError, match="'ftp://x' is no http address"):
        make_client("ftp://x", "key-123")
    assert make_client("http://127.0.0.1:9/v1", needs_key=False).api_key == "none"
    assert make_client("http://127.0.0.1:9/v1", http_client=httpx2.Client()).api_key == "none"
    monkeypatch.setenv("OPENAI_API_KEY", "key-123")
    assert make_client("http://127.0.0.1:9/v1", needs_key=False).api_key == "key-123"


def test_a_long_history_loses_its_oldest_events_and_is_counted():
    past = [{"prompt": f"Ask {n}.", "chosen": "word " * 50, "rejected": "Dogs."} for n in range(40)]
    with serving() as server:
        endpoint = EndpointSummarizer(server.url, "m", max_prompt_length=500)
        list(endpoint.stream([history_of(past)]))
    (body,) = server.asked
    text = body["messages"][-1]["content"]
    assert sum(len(message["content"]) for message in body["messages"]) <= 2000
    assert "Ask 39." in text and "Ask 0." not in text and INSTRUCTION in text
    assert endpoint.cut == {"histories whose oldest events did not fit": 1}


def choices_file(path, count: int):
    rows = [
        {"user_id": f"u{n}", "prompt": "Tell me.", "chosen": f"Cats {n}.", "rejected": "Dogs."} for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_store_is_kept_up_to_date_by_a_served_model(tmp_path, plus_here, monkeypatch):
    monkeypatch.setattr("plus.recipes.summaries.similar_statements", lambda say: None)  # No sentence model is needed.
    monkeypatch.setenv("OPENAI_API_KEY", "key-123")
    file, store = choices_file(tmp_path / "c.jsonl", 3), tmp_path / "p.db"
    with serving() as server:
        server.refuse = {"Cats 1.": 400}
        command = ["summarize", server.url, file, "--model", "m", "--update", "--held_out", "0", "--store", store]
        status, out, err = plus_here(*command)
        assert status == 0, err
        assert {json.loads(line)["user_id"] for line in out.splitlines()} == {"u0", "u2"}
        assert "left as they are: 1 users without an answer" in err
        server.refuse = {}
        assert [json.loads(line) for line in plus_here(*command)[1].splitlines()] == [
            {"user_id": "u1", "summary": "Likes Cats 1."}
        ]
    with Store(store) as opened:
        assert opened.current("u0").model == "m" and opened.current("u1").text == "Likes Cats 1."


@pytest.mark.parametrize(
    ("source", "expected"), [("RUN", "is no run folder"), ("http://127.0.0.1:9/v1", "say which with --model")]
)
def test_an_update_that_cannot_run_writes_nothing(source, expected, tmp_path, plus_here, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = choices_file(tmp_path / "c.jsonl", 1)
    status, _, err = plus_here("summarize", source, file, "--update", "--store", tmp_path / "p.db")
    assert status == 2 and expected in err and not (tmp_path / "p.db").exists()
