"""A model behind an OpenAI-compatible endpoint, as a `Writer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plus.errors import EndpointError
from plus.types import Message

if TYPE_CHECKING:
    import httpx2


def checked_url(url: str) -> str:
    """The address of an endpoint. Raises EndpointError for what is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise EndpointError(f"{url!r} is no http address; give one as https://HOST/v1")
    return url


class Endpoint:
    """`complete(messages)` by the chat protocol, at temperature 0 where the model takes one.

    The key comes from `OPENAI_API_KEY` unless given, and stays inside the client: it is in no error
    and no log. Nothing is sent before `complete` is called, and nothing leaves through an `http_client` that
    catches it (plus.serve.capture). Needs the `api` extra.
    """

    def __init__(
        self, base_url: str, model: str, api_key: str | None = None, max_tokens: int = 16, timeout: float = 60.0,
        http_client: httpx2.Client | None = None,
    ) -> None:  # fmt: skip
        import openai

        self.base_url, self.model, self.max_tokens = checked_url(base_url), model, max_tokens
        self._failure = openai.OpenAIError
        self._options: dict[str, Any] = {"temperature": 0, "max_tokens": max_tokens}
        try:
            self._client = openai.OpenAI(
                base_url=base_url, api_key=api_key, timeout=timeout, max_retries=2, http_client=http_client
            )
        except openai.OpenAIError as error:
            raise EndpointError(
                "no key for the endpoint; set OPENAI_API_KEY (any text where none is needed)"
            ) from error

    def complete(self, messages: Sequence[Message]) -> str:
        """The model's answer as text. Raises EndpointError when the endpoint cannot be reached or refuses."""
        try:
            made = self._ask(messages)
        except self._failure as error:
            status = getattr(error, "status_code", None)
            found = f"answered with status {status}" if status else f"could not be reached ({type(error).__name__})"
            raise EndpointError(
                f"the endpoint {self.base_url} {found} for model {self.model}; check address, model name and key"
            ) from None  # The cause holds the request, and with it what was said about people.
        return (made.choices[0].message.content or "") if made.choices else ""

    def _ask(self, messages: Sequence[Message]) -> Any:
        """The answer; models that think take neither a temperature nor `max_tokens`, and say so once."""
        options = dict(self._options)
        try:
            return self._client.chat.completions.create(model=self.model, messages=list(messages), **options)  # type: ignore[arg-type]
        except self._failure as error:
            said = str(error) if getattr(error, "status_code", None) == 400 else ""
            if "max_tokens" in said and "max_tokens" in options:
                options["max_completion_tokens"] = options.pop("max_tokens")
            elif "temperature" in said and "temperature" in options:
                options.pop("temperature")
            else:
                raise
        self._options = options
        return self._ask(messages)
