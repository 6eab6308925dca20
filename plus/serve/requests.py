"""Requests about users: a request and a user id in, the request about that user out. The client and the proxy share it.

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
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from plus.errors import SettingError, UnknownUserError, WindowError
from plus.measures import estimate_tokens
from plus.profiles.store import Store
from plus.serve.gate import Gate
from plus.serve.personalize import (
    APP_ROLES,
    MAX_TOKENS,
    PLACEMENTS,
    Placement,
    instructions,
    personalize,
    profile_text,
)
from plus.types import Summary

Kind = Literal["chat", "responses"]
FIELDS = ("safety_identifier", "prompt_cache_key")  # added here, and not known to every server
# plain: nothing was added. personalized: the profile is in it. gated: the ids alone. too_long: no sentence fits.
Outcome = Literal["plain", "personalized", "gated", "too_long"]


class Profiles(Protocol):
    """Source of users' summaries: plus.profiles.store.Store, or StoreFile across threads."""

    def summary(self, user_id: str) -> Summary | None:
        """Return the summary that is shown, or None for an unknown user and for one without a summary."""
        ...


class StoreFile:
    """Summaries in a store's file for clients that many threads use: SQLite wants a connection for each."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._local = threading.local()

    def summary(self, user_id: str) -> Summary | None:
        """Return the summary that is shown, as Store.summary."""
        store = getattr(self._local, "store", None)
        if store is None:
            store = self._local.store = Store(self.path, create=False)
        found: Summary | None = store.summary(user_id)
        return found


@dataclass(frozen=True)
class Profile:
    """A user's summary on its way into a request.

    ids: field of FIELDS -> the hash that stands for the user upstream. gated: the prompt is unrelated to the summary,
    which stays out.
    """

    summary: Summary
    ids: Mapping[str, str]
    placement: Placement = "system"
    max_tokens: int = MAX_TOKENS
    gated: bool = False


def personal_request(
    kind: Kind, request: Mapping[str, Any], profile: Profile | None, refused: frozenset[str] = frozenset()
) -> tuple[Mapping[str, Any], Outcome]:
    """Put a profile into a request. Returns (request to send, outcome); the one that was given is not changed.

    `refused` holds the fields and roles that the server does not take: those fields are left out, and the profile takes
    the next placement of PLACEMENTS.
    """
    if profile is None:
        return request, "plain"
    ids = {field: value for field, value in profile.ids.items() if field not in refused}
    if profile.gated:
        return {**ids, **request}, "gated"
    try:
        parts = _chat(request, profile, refused) if kind == "chat" else _responses(request, profile, refused)
    except WindowError:
        return request, "too_long"
    # The app's own fields win over the ids, the profile's messages over the app's, which they contain.
    return {**ids, **request, **parts}, "personalized"


def refused_parts(
    status: int | None, said: str, request: Mapping[str, Any], sent: Mapping[str, Any], role: Placement
) -> frozenset[str]:
    """Read from a refusal (status, message) which added fields, or which role of the profile, the server does not take.

    Empty where the refusal is about something else, such as a field of the app's own.
    """
    if status not in (400, 422):
        return frozenset()
    fields = {field for field in FIELDS if field in said and field in sent and field not in request}
    if not fields and role in APP_ROLES and "role" in said.lower() and role in said.lower():
        return frozenset({role})
    return frozenset(fields)


@dataclass(frozen=True)
class Attempt:
    """A request as it is sent, with what it takes to send it again without what its server refuses."""

    kind: Kind
    request: Mapping[str, Any]
    profile: Profile | None
    refused: frozenset[str]
    sent: Mapping[str, Any]
    outcome: Outcome

    @property
    def changed(self) -> bool:
        """True where `sent` differs from the request of the app."""
        return self.outcome in ("personalized", "gated")

    @property
    def model(self) -> str:
        """The model's name in the request, "" where it has none."""
        return str(self.request.get("model", ""))

    def after_refusal(self, status: int | None, said: str) -> Attempt | None:
        """Return the next attempt, without what the refusal is about; None where it is about nothing added here."""
        if self.profile is None or not self.changed:
            return None
        role = next_placement(self.profile.placement, self.refused)
        found = refused_parts(status, said, self.request, self.sent, role)
        if not found:
            return None
        refused = self.refused | found
        sent, outcome = personal_request(self.kind, self.request, self.profile, refused)
        return replace(self, refused=refused, sent=sent, outcome=outcome)


class Personalizer:
    """Puts users' profiles into requests, counts outcomes, and remembers what servers refuse.

    `counts`: "personalized"; "unknown" (sent as they were); "too_long" (not even one sentence fits `max_tokens`: sent
    as they were); "gated" (the `gate` found the prompt unrelated: sent without the summary) with "tokens_saved"; and
    the client's "unranked" (several answers that the reward model could not read).

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
    ) -> None:
        if on_unknown not in ("plain", "error"):
            raise SettingError(f"there is no on_unknown {on_unknown!r}; give plain or error")
        self.profiles, self.salt, self.on_unknown = profiles, salt, on_unknown
        self.max_tokens, self.placement, self.gate = max_tokens, placement, gate
        self.counts: Counter[str] = Counter()
        self.refused: dict[str, frozenset[str]] = {}  # model -> fields and roles that its server does not take

    def attempt(self, kind: Kind, user_id: str | None, request: Mapping[str, Any]) -> Attempt:
        """Make the request about this user, and count its outcome. Raises UnknownUserError if so set."""
        key = "messages" if kind == "chat" else "input"
        if not isinstance(given := request.get(key), str | list | None):
            request = {**request, key: list(given)}  # It may be read twice.
        profile = self._profile(user_id, request) if user_id is not None else None
        refused = self.refused.get(str(request.get("model", "")), frozenset())
        sent, outcome = personal_request(kind, request, profile, refused)
        self._count(outcome, profile)
        return Attempt(kind, request, profile, refused, sent, outcome)

    def accepted(self, attempt: Attempt) -> None:
        """Remember what the attempt left out, for later requests to its model; refusals alone teach nothing."""
        if attempt.refused:
            self.refused[attempt.model] = attempt.refused

    def hashed(self, purpose: str, user_id: str) -> str:
        """Hash a user id for the upstream: HMAC-SHA256, 32 hexadecimal digits."""
        message = f"{purpose}\0{user_id}".encode()
        return hmac.new(self.salt, message, hashlib.sha256).hexdigest()[:32]

    def _profile(self, user_id: str, request: Mapping[str, Any]) -> Profile | None:
        summary = self._summary(user_id)
        if summary is None:
            return None
        ids = {field: self.hashed(field, user_id) for field in FIELDS}
        gated = bool(self.gate and not self.gate.is_open(request, summary.text))
        return Profile(summary, ids, self.placement, self.max_tokens, gated)

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

    def _count(self, outcome: Outcome, profile: Profile | None) -> None:
        self.counts["personalized"] += outcome == "personalized"
        if outcome == "too_long":
            self.counts["too_long"] += 1
        if outcome == "gated" and profile is not None:
            self.counts["gated"] += 1
            with suppress(WindowError):  # A profile that never fits saves nothing.
                self.counts["tokens_saved"] += estimate_tokens(profile_text(profile.summary, profile.max_tokens))


def next_placement(wanted: Placement, refused: frozenset[str]) -> Placement:
    """Return the first placement from `wanted` on that the server was not seen to refuse."""
    later = PLACEMENTS[PLACEMENTS.index(wanted) :]
    return next(role for role in later if role not in refused)


def _chat(request: Mapping[str, Any], profile: Profile, refused: frozenset[str]) -> dict[str, Any]:
    return {"messages": _placed(request.get("messages") or [], profile, refused)}


def _responses(request: Mapping[str, Any], profile: Profile, refused: frozenset[str]) -> dict[str, Any]:
    given, app = request.get("input"), request.get("instructions")
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, Mapping) and first.get("role") in APP_ROLES:  # The app's text stands in the input.
        return {"input": _placed(given or [], profile, refused)}
    text = app if isinstance(app, str) else None  # The SDK's own marks for "not given" are no text.
    return {"instructions": instructions(text, profile.summary, max_tokens=profile.max_tokens)}


def _placed(messages: list[Any], profile: Profile, refused: frozenset[str]) -> list[Any]:
    role = next_placement(profile.placement, refused)
    return personalize(messages, profile.summary, max_tokens=profile.max_tokens, placement=role)


def salt_of(key: str) -> bytes:
    """Make the salt of users' hashes from the upstream's key; a key under 16 characters gives a random one."""
    return key.encode() if len(key) >= 16 else secrets.token_bytes(16)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_unicode(text: str) -> bool:
    return not _SURROGATE.search(text)
