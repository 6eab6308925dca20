"""What leaves and what goes: the exact request, copies, forgetting with a receipt, the blind comparison."""

from __future__ import annotations

import itertools
import json
import re
from html import unescape

import pytest
from support.personalized import profile_of
from support.studio_page import Page, Reads

from plus.profiles.decisions import pause
from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.studio import Served, Studio
from plus.studio.visit import WORDS


def request_of(answer) -> str:
    return unescape(re.sub(r"</?mark>", "", re.search(r"<pre[^>]*>(.*?)</pre>", answer.text, re.S)[1]))


def test_what_is_sent_is_the_request_byte_for_byte_with_the_profile_marked(page):
    answer = page.post("/u/1/leaves", question='Tea, "green"?')
    sent = json.loads(request_of(answer))
    assert (
        profile_of(sent).startswith("The user likes cats best.") and sent["messages"][1]["content"] == 'Tea, "green"?'
    )
    marked = unescape(re.search(r"<mark>(.*?)</mark>", answer.text, re.S)[1])
    assert "The user likes cats best." in marked and "green" not in marked and "ann" not in request_of(answer)
    assert f"{len(request_of(answer)):,} bytes" in answer.text
    with Store(page.studio.profiles.path) as store:
        pause(store, "ann")
    paused = page.get("/u/1/leaves")
    assert "<mark>" not in paused.text and WORDS["leaves_paused"] in paused.text and "cats" not in request_of(paused)


def test_everything_held_is_shown_and_taken_along(page):
    shown = page.get("/u/1/data").text
    assert "12 events" in shown and "Which one, cats or dogs?" in shown and WORDS["data_held_out"] in shown
    held = json.loads(page.get("/u/1/held.json").content)
    assert held["user_id"] == "ann" and len(held["events"]) == 12 and held["versions"][0]["text"].startswith("The user")
    assert page.get("/u/1/held.md").text.startswith("# What is stored about ann")
    assert page.get("/u/1/held.exe").status_code == 200, "any other end is JSON"


@pytest.mark.parametrize("form", ["jsonl", "markdown", "csv", "openai", "trl", "memory", "pam", "mem0"])
def test_the_summary_goes_in_every_format_of_plus_export_and_holds_nobody_else(page, form):
    answer = page.get(f"/u/1/copy/{form}")
    assert answer.status_code == 200 and "cats" in answer.text and "Likes tea." not in answer.text
    assert re.fullmatch(r'attachment; filename="summary\.[\w.]+"', answer.headers["content-disposition"])
    with Store(page.studio.profiles.path) as store:
        assert list(store.rows(store.sql.exports)) == [], "what is handed to a browser is no file of ours"
    assert page.get("/u/1/copy/exe").status_code == 404


def test_forget_wants_the_id_as_it_is_and_gives_a_receipt_without_a_name(page):
    shown = page.get("/u/1/forget").text
    assert "Events: 12" in shown and "Versions of the summary: 1" in shown
    for typed in ("", "Ann", "ann "):
        answer = page.post("/u/1/forget", typed=typed)
        assert answer.status_code == 400 and WORDS["forget_wrong"] in answer.text
    answer = page.post("/u/1/forget", typed="ann")
    assert (
        answer.status_code == 200 and WORDS["said_forgotten"] in answer.text and WORDS["receipt_clean"] in answer.text
    )
    assert "ann" not in re.sub(r"<[^>]*>", " ", answer.text).split()
    name = re.search(r"/receipts/(\w+)/file", answer.text)[1]
    assert json.loads(page.get(f"/receipts/{name}/file").content)["removed"]["events"] == 12
    assert page.get("/receipts/nothing").status_code == 404
    with Store(page.studio.profiles.path) as store:
        assert store.find("ann") is None and store.is_forgotten("user", "ann")
    assert page.get("/u/1").status_code == 410


def test_forgetting_takes_the_person_out_of_the_run_folder_too(path, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "summaries.jsonl").write_text('{"user_id": "ann", "summary": "x"}\n{"user_id": "bob", "summary": "y"}\n')
    began = tmp_path / "began"
    began.mkdir()
    (began / "config.json").write_text("{}")
    page = Page(Studio(StoreFile(path), (folder, began), reward_model=Reads()))
    assert "summaries.jsonl" in page.get("/u/1/forget").text
    assert "summaries.jsonl" in page.post("/u/1/forget", typed="ann").text
    assert "ann" not in (folder / "summaries.jsonl").read_text()


def test_erase_takes_the_words_out_of_everything_with_a_receipt(page):
    page.post("/u/1/save", base="1", sentence="s1", words="The user likes owls best.")
    answer = page.post("/u/1/remove/s1", base="2", how="erase")
    assert WORDS["said_erased"] in answer.text and "Wordings of the sentence: 2" in answer.text
    history = page.get("/u/1/history").text
    assert "cats best" not in history and "owls best" not in history and "The user is brief." in history


def test_the_comparison_is_blind_and_a_choice_becomes_an_event(path, chat_server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    numbers = itertools.count(1)
    url, asked = chat_server(lambda question: f"Answer number {next(numbers)}.")
    page = Page(Studio(StoreFile(path), served=Served(url, "m")))
    assert url in page.get("/u/1/choose").text
    answer = page.post("/u/1/ask", question="Which tea?", talk="")
    first, second = re.findall(r'<div class="card answer">.*?<bdi>(.*?)</bdi>', answer.text, re.S)
    assert {first, second} == {"Answer number 1.", "Answer number 2."}
    assert sorted(bool(profile_of(body)) for body in asked) == [False, True]
    where = str(answer.url.path)
    after = page.post(where, reply="b")
    assert WORDS["said_chosen"] in after.text and "of 1 choices" in after.text and second in after.text
    assert page.post(where, reply="b").status_code == 400, "once"
    with Store(path) as store:
        (kept,) = [event for event in store.events("ann") if event.source == "plus chat"]
    assert (kept.content.chosen, kept.content.rejected) == (second, first)
    # The next question goes on from the answer that was taken; nobody else sees the talk.
    talk = where.rpartition("/")[2]
    page.post("/u/1/ask", question="And coffee?", talk=talk)
    assert [turn["content"] for turn in asked[-1]["messages"]][1:] == ["Which tea?", second, "And coffee?"]
    assert page.get(f"/u/2/choose/{talk}").status_code == 404


def test_the_comparison_says_what_it_needs_and_a_dry_run_shows_the_bytes(path, chat_server):
    url, asked = chat_server(lambda question: "x")
    page = Page(Studio(StoreFile(path)))
    assert WORDS["no_model"] in page.get("/u/1/choose").text
    assert page.post("/u/1/ask", question="Tea?", talk="").status_code == 400
    dry = Page(Studio(StoreFile(path), served=Served(url, "m", dry_run=True)))
    answer = dry.post("/u/1/ask", question="Tea?", talk="")
    bodies = [json.loads(unescape(body)) for body in re.findall(r"<pre[^>]*>(.*?)</pre>", answer.text, re.S)]
    assert sorted(bool(profile_of(body)) for body in bodies) == [False, True] and asked == []
    assert WORDS["no_question"] in dry.post("/u/1/ask", question=" ", talk="").text
    assert dry.post("/u/3/ask", question="Tea?", talk="").status_code == 404, "no summary to compare with"
