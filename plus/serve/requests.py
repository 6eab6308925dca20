"""Requests about users: a request and a user id in, the request about that user out, for the client and the proxy."""

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
from plus.profiles.versions import Rules
from plus.serve.gate import Gate
from plus.serve.personalize import MAX_TOKENS, Placement, profile_text
from plus.serve.protocols import (
    FIELDS,
    REFUSED,
    Kind,
    Outcome,
    Profile,
    added_fields,
    next_placement,
    personal_request,
    refused_parts,
)
from plus.types import Summary


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

    @property
    def store(self) -> Store:
        """Return this thread's connection."""
        store: Store | None = getattr(self._local, "store", None)
        if store is None:
            store = self._local.store = Store(self.path, create=False)
        return store

    @property
    def salt(self) -> bytes:
        """Return the store's random salt."""
        return self.store.salt

    def summary(self, user_id: str) -> Summary | None:
        """Return the summary that is shown, as Store.summary."""
        return self.store.summary(user_id)

    def rules(self, user_id: str) -> Rules:
        """Return the user's locks, bans and removals, as Store.rules."""
        return self.store.rules(user_id)

    def change_counter(self) -> object:
        """Return a value that differs once another connection has written, in this thread."""
        return self.store.change_counter()


@dataclass(frozen=True)
class Attempt:
    """A request as it is sent, with what it takes to send it again without what its server refuses.

    takes_ids: the server was seen to take the added fields of this model.
    """

    kind: Kind
    request: Mapping[str, Any]
    profile: Profile | None
    refused: frozenset[str]
    sent: Mapping[str, Any]
    outcome: Outcome
    takes_ids: bool = False

    @property
    def changed(self) -> bool:
        """True where `sent` differs from the request of the app."""
        return self.outcome in ("personalized", "gated")

    @property
    def model(self) -> str:
        """The model's name in the request, "" where it has none."""
        return str(self.request.get("model", ""))

    def after_refusal(self, status: int | None, said: str) -> Attempt | None:
        """Return the next attempt: without what the refusal names, else without the ids, else as the app wrote it.

        None where the request was the app's own.
        """
        if self.profile is None or not self.changed or status not in REFUSED:
            return None
        role = next_placement(self.profile.placement, self.refused)
        found = refused_parts(status, said, self.request, self.sent, role)
        # Some servers refuse unknown fields and do not say which.
        if not found and not self.takes_ids:
            found = added_fields(self.request, self.sent)
        if not found:
            return replace(self, refused=frozenset(), sent=self.request, outcome="resent")
        refused = self.refused | found
        sent, outcome = personal_request(self.kind, self.request, self.profile, refused)
        return replace(self, refused=refused, sent=sent, outcome=outcome)


class Personalizer:
    """Puts users' profiles into requests, counts outcomes, and remembers what servers refuse.

    `counts`: "personalized"; "unknown" (sent as they were); "unnamed" (about nobody); "too_long" (not even one
    sentence fits `max_tokens`: sent as they were); "gated" (the `gate` found the prompt unrelated: sent without the
    summary) with "tokens_saved"; "resent" (refused with the summary, taken as the app wrote them); and the client's
    "unranked" (several answers that the reward model could not read).

    `salt` keys the hashes that stand for a user upstream, the raw id never leaves; None takes the store's own, or for
    summaries without a store a number of this process. `ids` false adds neither field of FIELDS.
    """

    def __init__(
        self,
        profiles: Profiles,
        salt: bytes | None = None,
        on_unknown: Literal["plain", "error"] = "plain",
        max_tokens: int = MAX_TOKENS,
        placement: Placement = "system",
        gate: Gate | None = None,
        ids: bool = True,
    ) -> None:
        if on_unknown not in ("plain", "error"):
            raise SettingError(f"there is no on_unknown {on_unknown!r}; give plain or error")
        self.profiles, self.on_unknown, self.ids = profiles, on_unknown, ids
        self.max_tokens, self.placement, self.gate = max_tokens, placement, gate
        self.counts: Counter[str] = Counter()
        self.refused: dict[str, frozenset[str]] = {}  # model -> fields and roles that its server does not take
        self._salt, self._random = salt, secrets.token_bytes(16)
        self._takes_ids: set[str] = set()  # models whose server was seen to take FIELDS
        self._seen: dict[int, object] = {}  # thread -> the store's change counter when it last looked

    def attempt(self, kind: Kind, user_id: str | None, request: Mapping[str, Any]) -> Attempt:
        """Make the request about this user, and count its outcome. Raises UnknownUserError if so set."""
        key = "input" if kind == "responses" else "messages"
        given = request.get(key)
        if not isinstance(given, str | list | Mapping | None) and hasattr(given, "__iter__"):
            request = {**request, key: list(given)}  # It may be read twice.
        if user_id is None:
            self.unnamed()
        profile = self._profile(user_id, request) if user_id is not None else None
        model = str(request.get("model", ""))
        refused = self.refused.get(model, frozenset())
        sent, outcome = personal_request(kind, request, profile, refused)
        self._count(outcome, profile)
        return Attempt(kind, request, profile, refused, sent, outcome, model in self._takes_ids)

    def unnamed(self) -> None:
        """Count a request that names no user. Raises UnknownUserError if so set."""
        self.counts["unnamed"] += 1
        if self.on_unknown == "error":
            raise UnknownUserError("the request names no user; give a user_id, or use on_unknown='plain'")

    def accepted(self, attempt: Attempt) -> None:
        """Remember what the attempt left out, for later requests to its model; refusals alone teach nothing."""
        if attempt.outcome == "resent":
            self.counts["resent"] += 1
            self.counts["gated" if attempt.profile and attempt.profile.gated else "personalized"] -= 1
            return
        if attempt.refused:
            self.refused[attempt.model] = attempt.refused
        if added_fields(attempt.request, attempt.sent):
            self._takes_ids.add(attempt.model)

    def hashed(self, purpose: str, user_id: str) -> str:
        """Hash a user id for the upstream: HMAC-SHA256, 32 hexadecimal digits."""
        message = f"{purpose}\0{user_id}".encode("utf-8", "surrogatepass")
        return hmac.new(self.salt, message, hashlib.sha256).hexdigest()[:32]

    @property
    def salt(self) -> bytes:
        """Return the key of the hashes."""
        own: bytes = getattr(self.profiles, "salt", self._random)
        return self._salt or own

    def look(self) -> None:
        """Let the gate forget its texts when the store was written: one of them may have been forgotten."""
        if self.gate is None or (counter := getattr(self.profiles, "change_counter", None)) is None:
            return
        # Each thread has a connection with a counter of its own.
        thread, found = threading.get_ident(), counter()
        if self._seen.setdefault(thread, found) != found:
            self.gate.clear()
            self._seen[thread] = found

    def _profile(self, user_id: str, request: Mapping[str, Any]) -> Profile | None:
        summary = self._summary(user_id)
        if summary is None:
            return None
        ids = {field: self.hashed(field, user_id) for field in FIELDS} if self.ids else {}
        self.look()
        if self.gate and (part := self.gate.bearing(request, summary.text, self._locked(user_id))) != summary.text:
            gated = not part
            shown = summary if gated else replace(summary, text=part)
            return Profile(shown, ids, self.placement, self.max_tokens, gated)
        return Profile(summary, ids, self.placement, self.max_tokens)

    def _locked(self, user_id: str) -> frozenset[str]:
        rules = getattr(self.profiles, "rules", None)
        return frozenset(rules(user_id).lock) if rules else frozenset()

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


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_unicode(text: str) -> bool:
    return not _SURROGATE.search(text)
