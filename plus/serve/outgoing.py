"""What would leave: the very request that the client would send, caught before any socket opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from plus.profiles.redact import redact
from plus.serve.client import PersonalizedOpenAI
from plus.serve.personalize import estimate_tokens
from plus.serve.requests import Kind, Profiles


@dataclass(frozen=True)
class Outgoing:
    """A request that was not sent. `tokens` is an estimate; `personal_data` counts what looks personal, by
    its shape: names and places it cannot see."""

    url: str
    body: bytes
    tokens: int
    personal_data: Mapping[str, int]
    personalized: bool


def outgoing(
    profiles: Profiles, user_id: str, kind: Kind, request: Mapping[str, Any], key: str | None = None, **settings: Any
) -> Outgoing:
    """The request about the user, byte for byte as PersonalizedOpenAI with these `settings` sends it.

    The address is `OPENAI_BASE_URL`'s, or OpenAI's own; without a `key` the hashed ids are of this process only.
    """
    caught: list[httpx2.Request] = []

    def keep(sent: httpx2.Request) -> httpx2.Response:
        caught.append(sent)
        return httpx2.Response(200, json={})

    with httpx2.Client(transport=httpx2.MockTransport(keep)) as nowhere:
        inner = openai.OpenAI(api_key=key or "none", http_client=nowhere, max_retries=0)
        client = PersonalizedOpenAI(inner, profiles, **settings)
        method = client.chat.completions if kind == "chat" else client.responses
        method.with_raw_response.create(user_id=user_id, **request)
    (sent,) = caught
    text = sent.content.decode()
    found: Counter[str] = Counter()
    redact(text, found)
    return Outgoing(str(sent.url), sent.content, estimate_tokens(text), dict(found), client.counts["personalized"] > 0)
