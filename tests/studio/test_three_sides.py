"""One store by the page, the proxy and the command line at once: no edit is lost, no text is sent that never was."""

from __future__ import annotations

import json
import threading

import httpx2
import pytest
from serve.test_proxy import proxying
from support.browser import studio
from support.personalized import profile_of
from support.running import plus
from support.upstream import upstream

from plus.profiles.saving import save_user
from plus.profiles.store import Store

PAGE_EDITS, COMMAND_EDITS = 160, 40


def edit_on_the_page(address: str, texts: list[str]) -> None:
    """Add a sentence at a time by the page's form; of a conflict it takes the new version and tries again."""
    start = address.partition("/in")[0]
    with httpx2.Client(base_url=start, headers={"origin": start}, follow_redirects=True, timeout=60) as client:
        client.get(address)
        for text in texts:
            while True:
                page = client.get("/u/1").text
                base = page.partition('name="base" value="')[2].partition('"')[0]
                token = page.partition('name="form_token" value="')[2].partition('"')[0]
                fields = {"form_token": token, "base": base, "sentence": "", "words": text}
                answer = client.post("/u/1/save", data=fields)
                assert answer.status_code in (200, 409), answer.text
                assert text in answer.text, "a conflict shows the words that were not saved"
                if answer.status_code == 200:
                    break


def edit_by_command(path, texts: list[str]) -> None:
    for text in texts:
        while (done := plus("profile", "edit", "ann", "--add", text, "--store", path)).returncode == 3:
            pass
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_hundred_edits_from_three_sides_are_all_there(tmp_path):
    path = tmp_path / "p.db"
    with Store(path) as store:
        save_user(store, "ann", "Likes tea.", 0)
    on_page = [f"Said on the page {n}." for n in range(PAGE_EDITS)]
    by_command = [f"Said by command {n}." for n in range(COMMAND_EDITS)]
    with upstream() as server, proxying(tmp_path, server.url) as (_, proxy, _), studio("--store", path) as address:
        sides = [
            threading.Thread(target=edit_on_the_page, args=(address, on_page)),
            threading.Thread(target=edit_by_command, args=(path, by_command)),
        ]
        for side in sides:
            side.start()
        while any(side.is_alive() for side in sides):
            asked = {"model": "m", "user": "ann", "messages": [{"role": "user", "content": "Which tea?"}]}
            httpx2.post(f"{proxy}/chat/completions", json=asked)
        seen = [json.loads(f'"{profile_of(body)}"') for body in server.asked]
    with Store(path) as store:
        texts = [version.text for version in store.history("ann")]
    assert sorted(s for s in [*on_page, *by_command] if s not in texts[-1]) == []
    assert len(texts) == 1 + PAGE_EDITS + COMMAND_EDITS
    # The proxy cuts a long summary after whole sentences: what it sent is the beginning of a text that was there.
    assert len(set(seen)) > 5 and all(text and any(one.startswith(text) for one in texts) for text in seen)
