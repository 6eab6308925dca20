"""A model behind an OpenAI-compatible endpoint, as a `Writer`."""

from __future__ import annotations

from collections.abc import Sequence

from plus.errors import EndpointError
from plus.types import Message


class Endpoint:
    """`complete(messages)` by the chat protocol, at temperature 0.

    The key comes from `OPENAI_API_KEY` unless given, and stays inside the client: it is in no error
    and no log. Nothing is sent before `complete` is called. Needs the `api` extra.
    """

    def __init__(
        self, base_url: str, model: str, api_key: str | None = None, max_tokens: int = 16, timeout: float = 60.0
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise EndpointError("an endpoint needs the openai client; pip install 'plus-preferences[api]'") from error
        self.base_url, self.model, self.max_tokens = base_url, model, max_tokens
        self._failure = openai.OpenAIError
        try:
            self._client = openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=2)
        except openai.OpenAIError as error:
            raise EndpointError(
                "no key for the endpoint; set OPENAI_API_KEY (any text where none is needed)"
            ) from error

    def complete(self, messages: Sequence[Message]) -> str:
        """The model's answer as text. Raises EndpointError when the endpoint cannot be reached or refuses."""
        try:
            made = self._client.chat.completions.create(
                model=self.model, messages=list(messages), temperature=0, max_tokens=self.max_tokens  # type: ignore[arg-type]
            )  # fmt: skip
        except self._failure as error:
            status = getattr(error, "status_code", None)
            found = f"answered with status {status}" if status else f"could not be reached ({type(error).__name__})"
            raise EndpointError(
                f"the endpoint {self.base_url} {found} for model {self.model}; check address, model name and key"
            ) from None  # The cause holds the request, and with it what was said about people.
        return (made.choices[0].message.content or "") if made.choices else ""
