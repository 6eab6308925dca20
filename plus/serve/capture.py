"""Outgoing requests, caught before any socket opens: the exact bytes, their tokens and the personal data in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from plus.measures import estimate_tokens
from plus.profiles.text_filters import redact
from plus.serve.client import PersonalizedOpenAI
from plus.serve.endpoint import make_client
from plus.serve.protocols import Kind
from plus.serve.requests import Profiles

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True)
class Outgoing:
    """Request that was not sent.

    tokens: an estimate. personal_data: kind -> occurrences, found by shape, which names and places do not have.
    """

    url: str
    body: bytes
    tokens: int
    personal_data: Mapping[str, int]
    personalized: bool = False  # the profile is in it

    def to_json(self) -> dict[str, Any]:
        """Return the facts that `--dry-run --json` prints about a request."""
        return {
            "url": self.url, "body": self.body.decode(), "bytes": len(self.body), "tokens": self.tokens,
            "personal_data": dict(self.personal_data),
        }  # fmt: skip


class Caught:
    """Requests that were caught.

    `transport` and `client` take the place of a network's and answer each request with an empty object.
    """

    def __init__(self) -> None:
        import httpx2

        self.requests: list[httpx2.Request] = []
        self.transport = httpx2.MockTransport(self._keep)
        self.client = httpx2.Client(transport=self.transport)

    def _keep(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        self.requests.append(request)
        # Clients take an empty object for an answer, whichever protocol they speak.
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(b"{}"))

    @property
    def outgoing(self) -> list[Outgoing]:
        """Requests in the order in which they were caught."""
        return [describe(str(request.url), request.content) for request in self.requests]


def describe(url: str, body: bytes, personalized: bool = False) -> Outgoing:
    """Count the tokens and the personal data in the bytes of a request."""
    text, found = body.decode(), Counter[str]()
    redact(text, found)
    return Outgoing(url, body, estimate_tokens(text), dict(found), personalized)


def outgoing(
    profiles: Profiles, user_id: str, kind: Kind, request: Mapping[str, Any], key: str | None = None,
    base_url: str | None = None, **settings: Any,
) -> Outgoing:  # fmt: skip
    """Build the request about a user, byte for byte as PersonalizedOpenAI with these `settings` sends it.

    Address and key as in plus.serve.endpoint.make_client; without a key the hashed ids are of this process only.
    """
    # The real client builds the request, so that the bytes are those it sends.
    caught = Caught()
    client = PersonalizedOpenAI(make_client(base_url, key, caught.client, max_retries=0), profiles, **settings)
    _method(client, kind)(user_id=user_id, **request)
    (sent,) = caught.requests
    return describe(str(sent.url), sent.content, client.counts["personalized"] > 0)


def _method(client: PersonalizedOpenAI, kind: Kind) -> Callable[..., Any]:
    part = client.chat.completions if kind == "chat" else client.responses
    return cast(Callable[..., Any], part.with_raw_response.create)
