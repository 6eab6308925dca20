"""Models behind an OpenAI-compatible endpoint: the client, a `Writer` and a summarizer.

The one place where a client is made and where its errors become an EndpointError. Needs the `api` extra, no torch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from plus.errors import EndpointError, SlowReplyError
from plus.prompts import INSTRUCTION, summarizer_messages
from plus.types import Message, UserHistory

if TYPE_CHECKING:
    import httpx2
    import openai

NO_KEY = "no key for the endpoint; set OPENAI_API_KEY (any text where none is needed)"
REMEDY = "check address, model name and key"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHARACTERS_PER_TOKEN = 4  # of English; the endpoint's own tokenizer is not at hand


def checked_url(url: str) -> str:
    """Return the address of an endpoint. Raises EndpointError for text that is no http address."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        shown = url.rpartition("@")[2]  # What stands before it may be a password.
        raise EndpointError(f"{shown!r} is no http address; give one as https://HOST/v1")
    return url


def shown_url(url: str) -> str:
    """Return an address without the name and password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def make_client(
    base_url: str | None,
    key: str | None = None,
    http_client: httpx2.Client | None = None,
    needs_key: bool = True,
    **options: Any,
) -> openai.OpenAI:
    """Make the official client of an endpoint; nothing is sent.

    The key is `key`, else that of OPENAI_API_KEY. None is needed where an `http_client` catches every request
    (plus.serve.capture), and with `needs_key` false a server of one's own gets "none". The address is `base_url`, else
    that of OPENAI_BASE_URL, else OpenAI's. `options` are the client's own: timeout, max_retries. Raises EndpointError
    for an unusable address and for a missing key.
    """
    import openai

    # An empty OPENAI_API_KEY is as good as none.
    found = key or os.environ.get("OPENAI_API_KEY") or ("none" if http_client is not None or not needs_key else "")
    if not found:
        raise EndpointError(NO_KEY)
    address = base_url if base_url is None else checked_url(base_url)
    # A proxy of the environment's is never told what goes to this machine itself.
    if http_client is None and urlsplit(address or os.environ.get("OPENAI_BASE_URL") or "").hostname in LOOPBACK:
        http_client = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(api_key=found, base_url=address, http_client=http_client, **options)


def endpoint_error(
    error: openai.OpenAIError, base_url: str = "", model: str = "", remedy: str = REMEDY
) -> EndpointError:
    """Describe a failed request in one line. Raise it `from None`: the cause holds the request and the key."""
    import openai

    # An error with a status is an answer, any other one is a connection that failed.
    kind = SlowReplyError if isinstance(error, openai.APITimeoutError) else EndpointError
    status = getattr(error, "status_code", None)
    found = f"answered with status {status}" if status else f"could not be reached ({type(error).__name__})"
    place = " ".join(["the endpoint", *([base_url] if base_url else [])])
    return kind(f"{place} {found}{f' for model {model}' if model else ''}; {remedy}")


class Endpoint:
    """Writer by the chat protocol, at temperature 0 and in the shape of `response_format` where the model takes them.

    The key stays inside the client: it is in no error and no log. Nothing is sent before `complete` is called, and
    nothing leaves through an `http_client` that catches it. See `make_client` for key, address and errors.
    """

    def __init__(
        self, base_url: str, model: str, api_key: str | None = None, max_tokens: int = 16, timeout: float = 60.0,
        http_client: httpx2.Client | None = None, response_format: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.base_url, self.model, self.max_tokens = base_url, model, max_tokens
        self._client = make_client(base_url, api_key, http_client, timeout=timeout, max_retries=2)
        # Options that the model was not seen to refuse.
        self._options: dict[str, Any] = {"temperature": 0, "max_tokens": max_tokens}
        if response_format is not None:
            self._options["response_format"] = dict(response_format)

    def complete(self, messages: Sequence[Message]) -> str:
        """Return the model's answer as text. Raises EndpointError when the endpoint cannot be reached or refuses."""
        import openai

        try:
            made = self._ask(messages)
        except openai.OpenAIError as error:
            raise endpoint_error(error, self.base_url, self.model) from None  # The cause holds the request.
        return text_of_answer(made)

    def _ask(self, messages: Sequence[Message]) -> Any:
        """Ask; models that think take neither a temperature nor `max_tokens`, and say so once."""
        import openai

        options = dict(self._options)
        try:
            return self._client.chat.completions.create(model=self.model, messages=cast(Any, list(messages)), **options)
        except openai.BadRequestError as error:
            said = str(error)
            if "max_tokens" in said and "max_tokens" in options:
                options["max_completion_tokens"] = options.pop("max_tokens")
            elif "temperature" in said and "temperature" in options:
                options.pop("temperature")
            elif "response_format" in options and ("response_format" in said or "json_schema" in said):
                options.pop("response_format")  # The prompt asks for the same shape in words.
            else:
                raise
        self._options = options
        return self._ask(messages)


class EndpointSummarizer:
    """Summarizer behind `base_url`, such as a vLLM server; one of your own needs no key.

    Only the messages are sent, and neither they nor the key are logged. A history longer than `max_prompt_length`
    tokens, estimated, loses its oldest events. `failed` counts, by reason, the users without an answer; `cut` counts
    the histories that lost events.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        max_prompt_length: int = 4096,
        max_completion_length: int = 256,
        concurrency: int = 32,
        instruction: str = INSTRUCTION,
        max_retries: int = 4,
        http_client: httpx2.Client | None = None,
    ) -> None:
        self.client = make_client(base_url, http_client=http_client, needs_key=False, max_retries=max_retries)
        self.base_url, self.model, self.instruction = base_url, model, instruction
        self.max_prompt_length, self.max_completion_length = max_prompt_length, max_completion_length
        self.concurrency = concurrency
        self.failed: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """Yield (position, text) as answers arrive, `concurrency` requests at a time.

        Raises EndpointError when the endpoint cannot be reached, does not know the model or refuses the key.
        """
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            asked = {pool.submit(self._ask, self.messages(h)): position for position, h in enumerate(histories)}
            # In the order in which answers arrive.
            for answer in as_completed(asked):
                text, reason = answer.result()
                if reason:
                    self.failed[reason] += 1
                else:
                    yield asked[answer], text
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Summarize every history, "" where the endpoint gave no answer. Raises EndpointError as `stream`."""
        found = dict(self.stream(histories))
        return [found.get(position, "") for position in range(len(histories))]

    def messages(self, history: UserHistory) -> list[Message]:
        """Build the prompt of one history, with as many of its newest events as are estimated to fit."""
        room, events = self.max_prompt_length * CHARACTERS_PER_TOKEN, history.events
        messages = summarizer_messages(history, self.instruction)
        # A quarter of the events goes at a time, the oldest first.
        while sum(len(message["content"]) for message in messages) > room and len(events) > 1:
            events = events[(len(events) + 3) // 4 :]
            messages = summarizer_messages(replace(history, events=events), self.instruction)
        if len(events) < len(history.events):
            self.cut["histories whose oldest events did not fit"] += 1
        return messages

    def _ask(self, messages: list[Message]) -> tuple[str, str]:
        """Return (text, "") or ("", reason). Raises EndpointError for what no other user would get either."""
        import openai

        try:
            answer = self.client.chat.completions.create(
                model=self.model, messages=cast(Any, messages), temperature=0, max_tokens=self.max_completion_length
            )
        except openai.APIStatusError as error:
            # A wrong key or model name stops everything, any other refusal costs one user.
            if not isinstance(error, openai.AuthenticationError | openai.NotFoundError | openai.PermissionDeniedError):
                return "", f"status {error.status_code}"
            raise self._failure(error) from None
        except openai.APIConnectionError as error:
            raise self._failure(error) from None
        text = text_of_answer(answer).strip()
        return text, "" if text else "an empty answer"

    def _failure(self, error: openai.OpenAIError) -> EndpointError:
        remedy = "check the address, --model and OPENAI_API_KEY, and go on with --resume"
        return endpoint_error(error, self.base_url, self.model, remedy)


def text_of_answer(made: Any) -> str:
    """Return the text of a ChatCompletion's first choice, "" where it has none."""
    return (made.choices[0].message.content or "") if made.choices else ""
