"""What would leave: the very requests that a client would send, caught before any socket opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import openai

from plus.profiles.text_filters import redact
from plus.serve.client import PersonalizedOpenAI
from plus.serve.personalize import estimate_tokens
from plus.serve.requests import Kind, Profiles

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True)
class Outgoing:
    """A request that was not sent. `tokens` is an estimate; `personal_data` counts what looks personal, by
    its shape: names and places it cannot see."""

    url: str
    body: bytes
    tokens: int
    personal_data: Mapping[str, int]
    personalized: bool = False


class Caught:
    """Requests that got no further: `transport` and `client` take the place of a network's, and every request
    is answered with an empty object."""

    def __init__(self) -> None:
        import httpx2

        self.requests: list[httpx2.Request] = []
        self.transport = httpx2.MockTransport(self._keep)
        self.client = httpx2.Client(transport=self.transport)

    def _keep(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        self.requests.append(request)
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(b"{}"))

    @property
    def outgoing(self) -> list[Outgoing]:
        """What was caught, in order."""
        return [described(str(request.url), request.content) for request in self.requests]


def described(url: str, body: bytes, personalized: bool = False) -> Outgoing:
    """The bytes of a request, with its tokens and the personal data in it."""
    text, found = body.decode(), Counter[str]()
    redact(text, found)
    return Outgoing(url, body, estimate_tokens(text), dict(found), personalized)


def outgoing(
    profiles: Profiles, user_id: str, kind: Kind, request: Mapping[str, Any], key: str | None = None,
    base_url: str | None = None, **settings: Any,
) -> Outgoing:  # fmt: skip
    """The request about the user, byte for byte as PersonalizedOpenAI with these `settings` sends it.

    The address is `base_url`, else `OPENAI_BASE_URL`'s, or OpenAI's own; without a `key` the hashed ids are of
    this process only.
    """
    caught = Caught()
    inner = openai.OpenAI(api_key=key or "none", base_url=base_url, http_client=caught.client, max_retries=0)
    client = PersonalizedOpenAI(inner, profiles, **settings)
    _method(client, kind)(user_id=user_id, **request)
    (sent,) = caught.requests
    return described(str(sent.url), sent.content, client.counts["personalized"] > 0)


def _method(client: PersonalizedOpenAI, kind: Kind) -> Callable[..., Any]:
    return (client.chat.completions if kind == "chat" else client.responses).with_raw_response.create
