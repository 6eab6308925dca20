"""The page in a real browser: the whole walk of a person, two windows, a forget meanwhile, keys, hostile texts, axe."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time

import pytest
from support.browser import chromium, opened, studio
from support.studio_page import fill

from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.recipes.stores import open_store
from plus.studio.visit import WORDS

POINTS = "(document.querySelector('polyline')?.points.length ?? 0)"  # of the first curve
SERIOUS = ("serious", "critical")
HOSTILE = (
    "<script>document.title='owned'</script>", "\"><img src=x onerror=\"document.title='owned'\">",
    "\u202eesrever \u2066isolated", "long " * 2000, "x" * 10_000, "{{ 7*7 }} </textarea><b>bold</b>",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(selected, tmp_path_factory):
    """A run of the select engine with the store of its people."""
    folder = tmp_path_factory.mktemp("studio") / "run"
    shutil.copytree(selected, folder)
    return folder


@pytest.fixture(scope="module")
def address(run):
    with studio("--store", run, "--run", run) as found:
        yield found


def checked(browser, address, **options):
    found = opened(browser, address, **options)
    yield found
    found.context.close()
    assert [fault for fault in found.faults if " 4" not in fault] == [], "no script fails, and nothing asks elsewhere"


@pytest.fixture
def window(browser, address):
    yield from checked(browser, address)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The page on three people, without a run: (its address, the store)."""
    path = tmp_path_factory.mktemp("small") / "p.db"
    fill(path)
    with studio("--store", path) as found:
        yield found, path


@pytest.fixture
def small_window(browser, small):
    yield from checked(browser, small[0])


@pytest.fixture
def person(run):
    """The number and id of somebody with held-out choices whom no other test has changed."""
    with open_store(run) as store:
        found = [user for user in store.users() if store.user(user).newest == 1 and store.current(user).sentences]
        user_id = next(user for user in found if len(store.events(user, held_out=True)) >= 5)
        return store.user(user_id).number, user_id


def sentences(window) -> list[str]:
    return window.locator(".sentence .body .words").all_text_contents()


def said(window, key: str) -> None:
    """Wait for what is said after a change, on the page and to screen readers."""
    window.locator(".said", has_text=WORDS[f"said_{key}"]).wait_for()
    window.wait_for_function("text => document.getElementById('live').textContent === text", arg=WORDS[f"said_{key}"])


@pytest.mark.slow
def test_a_person_reads_asks_why_corrects_bans_undoes_pauses_and_takes_it_along(window, person, run):
    number, user_id = person
    window.goto(f"{window.start}/u/{number}")
    before = sentences(window)
    # Worth comes by itself, a word and a number each; why opens in place.
    window.locator("#worth-s1 .effect").wait_for()
    assert window.locator(".sentence .effect").count() == len(before)
    window.locator("#why-s1").click()
    window.locator("#open-s1 .sources li").first.wait_for()
    assert "/why/" not in window.url, "it opened in place"
    window.locator("#open-s1").get_by_text(WORDS["close"]).click()
    assert window.locator("#open-s1 *").count() == 0 and window.evaluate("document.activeElement.id") == "why-s1"
    # Correct, with the effect on held-out choices first.
    window.locator("#edit-s1").click()
    window.locator("#words-s1").fill("Agreed: I like owls.")
    window.locator("#open-s1").get_by_text(WORDS["act_effect"]).click()
    window.locator("#effect-s1 h3").wait_for()
    assert re.search(r"[\d.]+ of \d+ of your held-out choices", window.locator("#effect-s1").inner_text())
    assert sentences(window) == before, "nothing was saved"
    window.locator("#words-s1").press("Enter")
    said(window, "saved")
    assert sentences(window)[0] == "Agreed: I like owls."
    # A lock, a ban, an undo, a pause.
    window.locator("#lock-s1").click()
    said(window, "locked")
    assert window.locator("#edit-s1").count() == 0
    second = sentences(window)[1]
    window.locator("#sentence-s2").get_by_role("button", name=re.compile(WORDS["act_forbid"])).click()
    said(window, "forbidden")
    assert second not in sentences(window) and window.locator(".rules li", has_text=second[:30]).count() == 1
    window.get_by_role("button", name=WORDS["pause"], exact=True).click()
    said(window, "paused")
    with open_store(run) as store:
        assert store.summary(user_id) is None and store.rules(user_id).lock == ("Agreed: I like owls.",)
    window.get_by_role("button", name=WORDS["unpause"]).click()
    said(window, "unpaused")
    # The history shows each step, and an older version again once the ban is lifted.
    window.locator(".rules").get_by_role("button").click()
    said(window, "allowed")
    window.locator("#undo").click()
    said(window, "restored")
    assert second in sentences(window)
    window.locator(".tabs").get_by_text(WORDS["tab_history"]).click()
    window.locator(".timeline .now").wait_for()
    assert window.locator(".timeline > li").count() == 4 and window.locator(".timeline ins").count() > 0
    # What is sent, and everything held.
    window.locator(".tabs").get_by_text(WORDS["tab_leaves"]).click()
    assert "I like owls." in window.locator("pre mark").inner_text()
    window.locator(".tabs").get_by_text(WORDS["tab_data"]).click()
    with window.expect_download() as download:
        window.get_by_text(WORDS["data_json"]).click()
    assert json.loads(download.value.path().read_text())["user_id"] == user_id


def test_two_windows_edit_one_sentence_and_nothing_is_lost(browser, small, small_window):
    window, other = small_window, opened(browser, small[0])
    for one in (window, other):
        one.goto(f"{one.start}/u/1")
        one.locator("#edit-s1").click()
        one.locator("#words-s1").wait_for()
    other.locator("#words-s1").fill("Agreed: the first.")
    other.locator("#words-s1").press("Enter")
    said(other, "saved")
    window.locator("#words-s1").fill("Agreed: the second.")
    window.locator("#words-s1").press("Enter")
    window.get_by_role("heading", name=WORDS["conflict_title"]).wait_for()
    assert "Agreed: the first." in window.locator("main").inner_text()
    assert window.locator("#words").input_value() == "Agreed: the second."
    window.get_by_role("button", name=WORDS["conflict_save"]).click()
    said(window, "saved")
    assert sentences(window)[0] == "Agreed: the second."
    with Store(small[1]) as store:
        texts = [version.text for version in store.history("ann")]
    assert any("the first." in text for text in texts) and "the second." in texts[-1]
    other.context.close()


@pytest.mark.slow
def test_a_forget_while_another_window_is_open(browser, address, window, person, run):
    number, user_id = person
    other = opened(browser, address)
    other.goto(f"{other.start}/u/{number}")
    other.locator("#edit-s1").click()
    other.locator("#words-s1").fill("Agreed: too late.")
    window.goto(f"{window.start}/u/{number}/forget")
    window.locator("#typed").fill("somebody else")
    window.locator("#typed").press("Enter")
    window.locator("#wrong").wait_for()
    window.locator("#typed").fill(user_id)
    window.locator("#typed").press("Enter")
    said(window, "forgotten")
    assert WORDS["receipt_clean"] in window.locator("main").inner_text()
    other.locator("#words-s1").press("Enter")
    other.get_by_text(WORDS["nobody"]).wait_for()
    with open_store(run) as store:
        assert store.find(user_id) is None
    other.context.close()


@pytest.mark.slow
def test_hostile_texts_are_shown_as_text(browser, tmp_path):
    with Store(tmp_path / "h.db") as store:
        for number, text in enumerate(HOSTILE):
            save_user(store, f"<b>{number}</b>", text, 0)
    with studio("--store", tmp_path / "h.db") as address:
        window = opened(browser, address)
        for number, text in enumerate(HOSTILE, 1):
            for path in ("", "/history", "/leaves", "/data", "/forget"):
                window.goto(f"{window.start}/u/{number}{path}")
                assert "owned" not in window.title() and window.locator("b, img").count() == 0, path
                wide = window.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, f"{path} of {text[:20]} is wider than the window"
            window.goto(f"{window.start}/u/{number}")
            assert "".join(sentences(window)).split() == text.split()
            window.locator("#edit-s1").click()
            window.locator("#words-s1").wait_for()
            assert window.locator("#words-s1").input_value().split() == text.split() or number == 6
        assert [fault for fault in window.faults if "404" not in fault] == []


def test_the_keyboard_alone_is_enough(small_window):
    window = small_window
    window.goto(f"{window.start}/u/1")
    window.wait_for_load_state("networkidle")  # Worth came, or that there is none, and left the focus where it was.
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.className") == "skip"
    window.locator("h1").click()
    window.keyboard.press("/")
    assert window.evaluate("document.activeElement.id") == "q"
    window.locator("#edit-s1").focus()
    window.keyboard.press("Enter")
    window.locator("#words-s1").wait_for()
    window.wait_for_function("document.activeElement.id === 'words-s1'")
    window.keyboard.type("x")
    window.keyboard.press("Escape")
    assert window.locator("#words-s1").count() == 0 and window.evaluate("document.activeElement.id") == "edit-s1"
    outline = window.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus shows it"


@pytest.mark.slow
def test_without_scripts_everything_works(browser, address, person):
    number, _ = person
    window = opened(browser, address, java_script_enabled=False)
    window.goto(f"{window.start}/u/{number}")
    window.locator("#edit-s1").click()
    assert window.url.endswith("/edit/s1")
    window.locator("#words-s1").fill("Agreed: plain.")
    window.get_by_role("button", name=WORDS["act_save"]).click()
    assert WORDS["said_saved"] in window.locator(".said").inner_text() and sentences(window)[0] == "Agreed: plain."
    window.get_by_text(WORDS["worth_ask"]).click()
    assert window.locator(".sentence .effect").count() == len(sentences(window))
    window.context.close()


@pytest.mark.slow
def test_live_curves_grow_while_a_run_trains(browser, tmp_path):
    fill(tmp_path / "p.db")
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "config.json").write_text('{"dataset_name": "pets", "max_steps": 50}')

    def train() -> None:
        for step in range(1, 51):
            with (folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "accuracy": step / 50, "accuracy_empty": 0.5}) + "\n")
            time.sleep(0.1)
        (folder / "report.json").write_text('{"verdict": "the summary matters"}')

    with studio("--store", tmp_path / "p.db", "--run", folder) as address:
        window = opened(browser, address)
        window.goto(f"{window.start}/runs")
        window.locator(".who").click()
        window.locator("#curves .state", has_text=WORDS["run_training"]).wait_for()
        training = threading.Thread(target=train)
        training.start()
        seen = []
        for _ in range(2):
            window.wait_for_function(
                "n => document.querySelector('polyline')?.points.length > n", arg=(seen or [0])[-1]
            )
            seen.append(window.evaluate("document.querySelector('polyline').points.length"))
        training.join()
        window.locator("#curves", has_text=WORDS["run_finished"]).wait_for()
        assert 0 < seen[0] < seen[1] and window.evaluate(POINTS) == 50
        assert window.locator("#curves[hx-get]").count() == 0, "a finished run is asked for no more"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(browser, address, run, person, scheme):
    from axe_playwright_python.sync_playwright import Axe

    from plus.serve.requests import StoreFile
    from plus.studio.studio import Studio

    number, _ = person
    (name,) = set(Studio(StoreFile(run / "profiles.db"), (run,)).folders())
    window = opened(browser, address, color_scheme=scheme, bypass_csp=True)
    paths = ["/users", "/runs", f"/runs/{name}", f"/runs/{name}/people", f"/runs/compare?a={name}&b={name}", "/store"]
    paths += ["/store/doctor", "/nowhere"]
    tabs = ("", "/worth", "/why/s1", "/edit/s1", "/remove/s1", "/history", "/leaves", "/choose", "/data", "/forget")
    paths += [f"/u/{number}{path}" for path in tabs]
    found = []
    for path in paths:
        window.goto(window.start + path)
        window.wait_for_load_state("networkidle")
        for one in Axe().run(window).response["violations"]:
            if one["impact"] in SERIOUS:
                found.append((path, one["id"], one["nodes"][0]["html"][:120]))
    assert found == []


@pytest.mark.slow
def test_axe_would_find_a_planted_fault(browser, address):
    from axe_playwright_python.sync_playwright import Axe

    window = opened(browser, address, bypass_csp=True)
    window.evaluate("document.querySelector('main').innerHTML = '<input><p style=\"color:#ccc\">pale</p>'")
    found = {one["id"] for one in Axe().run(window).response["violations"]}
    assert {"label", "color-contrast"} <= found


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 360])
def test_narrow_windows_need_no_sideways_scrolling(browser, address, person, width):
    number, _ = person
    window = opened(browser, address, viewport={"width": width, "height": 800})
    for path in (
        "/users",
        "/runs",
        "/store",
        *(f"/u/{number}{tab}" for tab in ("", "/history", "/leaves", "/data", "/forget")),
    ):
        window.goto(window.start + path)
        wide = window.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    window.context.close()
