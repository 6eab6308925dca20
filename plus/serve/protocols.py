"""Protocols of requests: where a profile goes in Chat Completions, Responses and Messages, and how an error reads.

Functions of their arguments alone. Everything in a request that is not about the profile passes through, and what the
app says itself (`prompt_cache_key`, ...) stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plus.errors import WindowError
from plus.serve.personalize import (
    APP_ROLES,
    MAX_TOKENS,
    PLACEMENTS,
    USER_PLACEMENTS,
    Placement,
    instructions,
    joined,
    personalize,
    profile_text,
    without_profile,
)
from plus.types import Summary

# OpenAI's Chat Completions and Responses, Anthropic's Messages.
Kind = Literal["chat", "responses", "messages"]
FIELDS = ("safety_identifier", "prompt_cache_key")  # added here, and not known to every server
# plain: nothing was added. personalized: the profile is in it. gated: the ids alone. too_long: no sentence fits.
# resent: as the app wrote it, after a refusal of the same request with the profile.
Outcome = Literal["plain", "personalized", "gated", "too_long", "resent"]
REFUSED = (400, 413, 422)  # statuses of a request that a server does not take


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
    the next placement of PLACEMENTS. A request without a conversation stays what it is: its server says what it misses.
    """
    if profile is None or not has_conversation(kind, request):
        return request, "plain"
    added = {field: value for field, value in profile.ids.items() if field not in refused and kind != "messages"}
    if profile.gated:
        return {**added, **request}, "gated"
    role = next_placement(profile.placement, refused)
    try:
        parts = _PUT[kind](request, profile, role)
    except WindowError:
        return request, "too_long"
    # The app's own fields win over the ids, the profile's messages over the app's, which they contain.
    return {**added, **request, **parts}, "personalized"


def has_conversation(kind: Kind, request: Mapping[str, Any]) -> bool:
    """Tell whether the request asks something: a list of messages, or for Responses a text or a list of items."""
    given = request.get("input" if kind == "responses" else "messages")
    if kind == "responses" and isinstance(given, str):
        return True
    # The SDK's own message objects are no dictionaries.
    return isinstance(given, list) and bool(given) and not any(isinstance(item, _NO_MESSAGE) for item in given)


def next_placement(wanted: Placement, refused: frozenset[str]) -> Placement:
    """Return the first placement from `wanted` on that the server was not seen to refuse."""
    later = PLACEMENTS[PLACEMENTS.index(wanted) :]
    return next(role for role in later if role not in refused)


def refused_parts(
    status: int | None, said: str, request: Mapping[str, Any], sent: Mapping[str, Any], role: Placement
) -> frozenset[str]:
    """Read from a refusal (status, message) which added fields, or which role of the profile, the server does not take.

    Empty where the refusal is about something else, such as a field of the app's own.
    """
    if status not in (400, 422):
        return frozenset()
    fields = {field for field in added_fields(request, sent) if field in said}
    if not fields and role in APP_ROLES and "role" in said.lower() and role in said.lower():
        return frozenset({role})
    return frozenset(fields)


def added_fields(request: Mapping[str, Any], sent: Mapping[str, Any]) -> frozenset[str]:
    """Select the fields of FIELDS that were added to the app's request."""
    return frozenset(field for field in FIELDS if field in sent and field not in request)


def error_body(kind: Kind | None, message: str, status: int) -> dict[str, Any]:
    """Format an error as the clients of a protocol read it."""
    if kind == "messages":
        names = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        found = names.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": found, "message": message}}
    found = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": found, "param": None, "code": str(status)}}


def error_event(kind: Kind | None, message: str, status: int, number: int) -> tuple[str, dict[str, Any]]:
    """Format an error in a stream: (name of the event, "" for none, its data); `number` is Responses' own."""
    if kind == "responses":
        said = {"code": str(status), "message": message, "param": None}
        return "error", {"type": "error", **said, "sequence_number": number}
    return ("error" if kind == "messages" else ""), error_body(kind, message, status)


def _chat(request: Mapping[str, Any], profile: Profile, role: Placement) -> dict[str, Any]:
    return {"messages": _placed(request["messages"], profile, role)}


def _responses(request: Mapping[str, Any], profile: Profile, role: Placement) -> dict[str, Any]:
    given, app = request["input"], request.get("instructions")
    first = given[0] if isinstance(given, list) else None
    # The app's text stands in the input, or the profile belongs to a turn of the user.
    if isinstance(first, Mapping) and first.get("role") in APP_ROLES:
        return {"input": _placed(given, profile, role)}
    if role in USER_PLACEMENTS:
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
        return {"input": _placed(turns, profile, role)}
    text = app if isinstance(app, str) else None  # The SDK's own marks for "not given" are no text.
    return {"instructions": instructions(text, profile.summary, max_tokens=profile.max_tokens)}


def _messages(request: Mapping[str, Any], profile: Profile, role: Placement) -> dict[str, Any]:
    if role in USER_PLACEMENTS:
        return {"messages": _placed(request["messages"], profile, role)}
    app = request.get("system")
    if app is not None and not isinstance(app, str | list):
        return {}  # No text of the protocol: the server says so best.
    return {"system": joined(without_profile(app), profile_text(profile.summary, profile.max_tokens))}


def _placed(messages: list[Any], profile: Profile, role: Placement) -> list[Any]:
    return personalize(messages, profile.summary, max_tokens=profile.max_tokens, placement=role)


_PUT = {"chat": _chat, "responses": _responses, "messages": _messages}
_NO_MESSAGE = (str, int, float, list, type(None))
