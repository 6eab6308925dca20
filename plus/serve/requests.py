"""A request and a user id in, the request about that user out: what the client and the proxy share.

A request is a dictionary of the Chat Completions or the Responses protocol. Everything in it that is not
about the profile passes through, and what the app says itself (`prompt_cache_key`, ...) stands.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from plus.errors import SettingError, UnknownUserError, WindowError
from plus.profiles.store import Store
from plus.serve.gate import Gate
from plus.serve.personalize import (
    APP_ROLES,
    MAX_TOKENS,
    PLACEMENTS,
    Placement,
    estimate_tokens,
    instructions,
    personalize,
    profile_text,
)
from plus.serve.ranking import Rewards, order
from plus.types import Summary

Kind = Literal["chat", "responses"]
FIELDS = ("safety_identifier", "prompt_cache_key")  # ours to add, and not known to every server


class Profiles(Protocol):
    """Anything that knows users' summaries: plus.profiles.store.Store, or StoreFile across threads."""

    def summary(self, user_id: str) -> Summary | None:
        """The summary that is shown, or None where the user is unknown or has none."""
        ...


class StoreFile:
    """The summaries in a store's file for clients that many threads use: SQLite wants a connection for each."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._local = threading.local()

    def summary(self, user_id: str) -> Summary | None:
        """As Store.summary."""
        store = getattr(self._local, "store", None)
        if store is None:
            store = self._local.store = Store(self.path, create=False)
        return store.summary(user_id)


class Personalizer:
    """Puts users' profiles into requests. `counts` says what became of them: "personalized", "unknown"
    (sent as they were), "too_long" (not even one sentence fits `max_tokens`: sent as they were), "gated" (the
    `gate` found the prompt unrelated: sent without the summary) with "tokens_saved", and "unranked" (several
    answers that the reward model could not read).

    `salt` keys the hashes that stand for a user upstream; the raw id never leaves.
    """

    def __init__(
        self,
        profiles: Profiles,
        salt: bytes,
        on_unknown: Literal["plain", "error"] = "plain",
        max_tokens: int = MAX_TOKENS,
        placement: Placement = "system",
        gate: Gate | None = None,
        rewards: Rewards | None = None,
    ) -> None:
        if on_unknown not in ("plain", "error"):
            raise SettingError(f"there is no on_unknown {on_unknown!r}; give plain or error")
        self.profiles, self.salt, self.on_unknown = profiles, salt, on_unknown
        self.max_tokens, self.placement, self.gate, self.rewards = max_tokens, placement, gate, rewards
        self.counts: Counter[str] = Counter()
        self.refused: dict[str, frozenset[str]] = {}  # model -> fields and roles that its server does not take

    def attempt(self, kind: Kind, user_id: str | None, request: Mapping[str, Any]) -> Attempt:
        """The request about this user, and what to do when it is refused. Raises UnknownUserError if so set."""
        return Attempt(self, kind, request, user_id, self._summary(user_id) if user_id is not None else None)

    def hashed(self, purpose: str, user_id: str) -> str:
        """What stands for a user upstream: HMAC-SHA256, 32 hexadecimal digits."""
        message = f"{purpose}\0{user_id}".encode()
        return hmac.new(self.salt, message, hashlib.sha256).hexdigest()[:32]

    def _summary(self, user_id: str) -> Summary | None:
        if not isinstance(user_id, str):
            raise SettingError(f"a user_id is text, not {type(user_id).__name__}")
        # No store holds an id that is no Unicode text.
        found = self.profiles.summary(user_id) if _is_unicode(user_id) else None
        if found is not None and found.text.strip():
            return found
        self.counts["unknown"] += 1
        if self.on_unknown == "error":
            raise UnknownUserError(f"there is no summary of user {user_id!r}; write one, or use on_unknown='plain'")
        return None


class Attempt:
    """One request, tried again without what its server turned out not to take."""

    def __init__(
        self, by: Personalizer, kind: Kind, request: Mapping[str, Any], user_id: str | None, summary: Summary | None
    ) -> None:
        key = "messages" if kind == "chat" else "input"
        if not isinstance(given := request.get(key), str | list | None):
            request = {**request, key: list(given)}  # It may be read twice.
        self.by, self.kind, self.request, self.user_id, self.summary = by, kind, request, user_id, summary
        self.model = str(request.get("model", ""))
        self.refused = by.refused.get(self.model, frozenset())
        self.gated = bool(by.gate and summary and not by.gate.is_open(request, summary.text))
        self.sent = self._personal()
        by.counts["personalized"] += self.sent is not request and not self.gated
        if self.gated and summary:
            by.counts["gated"] += 1
            by.counts["tokens_saved"] += estimate_tokens(profile_text(summary, by.max_tokens))

    def again(self, status: int | None, said: str) -> bool:
        """Whether a refusal is about something that was added here; if so, `sent` now goes without it."""
        if status not in (400, 422) or self.sent is self.request:
            return False
        found = {field for field in FIELDS if field in said and field in self.sent and field not in self.request}
        role = self._placement
        if not found and role in APP_ROLES and "role" in said.lower() and role in said.lower():
            found = {role}
        self.refused |= found
        if found:
            self.sent = self._personal()
        return bool(found)

    def accepted(self) -> None:
        """It was taken: later requests for the model begin this way. Nothing is learned from refusals alone."""
        if self.refused:
            self.by.refused[self.model] = self.refused

    def ordered(self, made: Any) -> Any:
        """The answer with its choices in the order of the user's reward model."""
        if self.by.rewards and self.summary and len(made.choices) > 1:
            self.by.counts["unranked"] += not order(made, self.by.rewards, self.summary.text, self.request)
        return made

    @property
    def _placement(self) -> Placement:
        wanted = self.by.placement
        later = PLACEMENTS[PLACEMENTS.index(wanted) :]
        return next(role for role in later if role not in self.refused)

    def _personal(self) -> Mapping[str, Any]:
        if self.summary is None or self.user_id is None:
            return self.request
        try:
            profile = self._profile(self.summary)
        except WindowError:
            self.by.counts["too_long"] += 1
            return self.request
        ours = {field: self.by.hashed(field, self.user_id) for field in FIELDS if field not in self.refused}
        return {**ours, **self.request, **profile}

    def _profile(self, summary: Summary) -> dict[str, Any]:
        """The parts of the request that hold the profile; none behind a closed gate."""
        if self.gated:
            return {}
        return self._chat(summary) if self.kind == "chat" else self._responses(summary)

    def _chat(self, summary: Summary) -> dict[str, Any]:
        return {"messages": self._placed(self.request.get("messages") or [], summary)}

    def _responses(self, summary: Summary) -> dict[str, Any]:
        given, app = self.request.get("input"), self.request.get("instructions")
        first = given[0] if isinstance(given, list) and given else None
        if isinstance(first, Mapping) and first.get("role") in APP_ROLES:  # The app's text stands in the input.
            return {"input": self._placed(given or [], summary)}
        text = app if isinstance(app, str) else None  # The SDK's own marks for "not given" are no text.
        return {"instructions": instructions(text, summary, max_tokens=self.by.max_tokens)}

    def _placed(self, messages: list[Any], summary: Summary) -> list[Any]:
        return personalize(messages, summary, max_tokens=self.by.max_tokens, placement=self._placement)


def salt_of(key: str) -> bytes:
    """The upstream's key as salt of the users' hashes, or a number of this process where it is no secret."""
    return key.encode() if len(key) >= 16 else secrets.token_bytes(16)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_unicode(text: str) -> bool:
    return not _SURROGATE.search(text)
