"""A store of three people, and the page on it, spoken to by starlette's client or by a browser."""

from __future__ import annotations

import math
import re

from starlette.testclient import TestClient

from plus.profiles.saving import save_model, save_user
from plus.profiles.store import Store
from plus.studio.app import app
from plus.types import Entry, Event, Preference

BASE = "http://127.0.0.1:8000"
PETS = ("cats", "dogs", "fish", "owls", "newts", "hens")


class Reads:
    """Reward model that takes an answer with a word of the text for the chosen one, at 9 to 1."""

    def log_likelihood(self, texts, pairs):
        found = []
        for text, pair in zip(texts, pairs, strict=True):
            words = set(re.findall(r"\w+", text.lower())) & set(PETS)
            margin = sum(word in pair.chosen for word in words) - sum(word in pair.rejected for word in words)
            found.append(math.log(0.9 if margin > 0 else 0.1 if margin < 0 else 0.5))
        return found


def choice(liked: str, other: str) -> Preference:
    return Preference(f"Which one, {liked} or {other}?", f"I saw {liked}.", f"I saw {other}.")


def fill(path) -> None:
    """Ann likes cats: ten choices that a summary read, six held out. Bob has a summary, Cid only one event."""
    with Store(path) as store:
        pairs = [choice("cats", other) for other in PETS[1:]] + [choice("owls", "newts")]
        store.add_events(
            Entry("ann", Event(f"r{n}", "choice", pair, 1e9 + n), "", False) for n, pair in enumerate(pairs)
        )
        held = [*(choice("cats", f"wet {other}") for other in PETS[1:]), choice("dogs", "newts")]
        store.add_events(Entry("ann", Event(f"h{n}", "choice", pair, 2e9 + n), "", True) for n, pair in enumerate(held))
        save_model(store, store.read("ann"), "The user likes cats best. The user is brief. They saw hens.", "m", "r")
        save_user(store, "bob", "Likes tea.", 0)
        store.add_events([Entry("cid", Event("e", "message", "Hello."))])


class Page:
    """A browser without scripts: it keeps the cookie, and sends the token that the last page's forms had."""

    def __init__(self, studio, enter: bool = True) -> None:
        self.studio = studio
        self.client = TestClient(app(studio), base_url=BASE, headers={"origin": BASE}, raise_server_exceptions=True)
        if enter:
            self.enter(f"token={studio.keys.token}")

    def enter(self, how: str):
        return self.client.get(f"/in?{how}")

    def get(self, where: str, **options):
        return self.client.get(where, **options)

    def token(self) -> str:
        cookie = next(iter(self.client.cookies.jar)).value
        return self.studio.keys.form_token(self.studio.keys.visitor(cookie))

    def post(self, where: str, headers=None, **fields):
        return self.client.post(where, data={"form_token": self.token(), **fields}, headers=headers)
