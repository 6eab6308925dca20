"""Summaries from any OpenAI-compatible endpoint, such as a vLLM server: no torch is needed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from plus.errors import ModelError
from plus.prompts import INSTRUCTION, summarizer_messages
from plus.serve.endpoint import checked_url
from plus.types import Message, UserHistory

if TYPE_CHECKING:
    import httpx2

CHARACTERS_PER_TOKEN = 4  # of English; the endpoint's own tokenizer is not at hand


class Endpoint:
    """A summarizer behind `base_url`. The key is read from OPENAI_API_KEY; a server of one's own needs none.

    Nothing but the messages is sent, and nothing of them or of the key is logged. A history longer than
    `max_prompt_length` tokens, estimated, loses its oldest events. `failed` counts, by reason, users the
    endpoint did not answer for; `cut` those who lost events.
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
        import os

        from openai import OpenAI

        self.client = OpenAI(
            base_url=checked_url(base_url), api_key=os.environ.get("OPENAI_API_KEY") or "none",
            max_retries=max_retries, http_client=http_client,
        )  # fmt: skip
        self.base_url, self.model, self.instruction = base_url, model, instruction
        self.max_prompt_length, self.max_completion_length = max_prompt_length, max_completion_length
        self.concurrency = concurrency
        self.failed: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """(position, text) as answers arrive, `concurrency` questions at a time. Raises ModelError when
        the endpoint cannot be reached, does not know the model or refuses the key."""
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            asked = {pool.submit(self._ask, self.messages(h)): position for position, h in enumerate(histories)}
            for answer in as_completed(asked):
                text, why = answer.result()
                if why:
                    self.failed[why] += 1
                else:
                    yield asked[answer], text
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def messages(self, history: UserHistory) -> list[Message]:
        """The prompt of one history; as many of its newest events as are estimated to fit."""
        room, events = self.max_prompt_length * CHARACTERS_PER_TOKEN, history.events
        messages = summarizer_messages(history, self.instruction)
        while sum(len(message["content"]) for message in messages) > room and len(events) > 1:
            events = events[(len(events) + 3) // 4 :]
            messages = summarizer_messages(replace(history, events=events), self.instruction)
        if len(events) < len(history.events):
            self.cut["histories whose oldest events did not fit"] += 1
        return messages

    def _ask(self, messages: list[Message]) -> tuple[str, str]:
        """The text, and why there is none."""
        import openai

        try:
            answer = self.client.chat.completions.create(
                model=self.model, messages=cast(Any, messages), temperature=0,
                max_tokens=self.max_completion_length,
            )  # fmt: skip
        except (
            openai.APIConnectionError,
            openai.AuthenticationError,
            openai.NotFoundError,
            openai.PermissionDeniedError,
        ) as error:
            # From None: a traceback would show the request, and with it the history.
            raise ModelError(
                f"{self.base_url} does not answer for model {self.model!r} ({type(error).__name__}); "
                "check the address, --model and OPENAI_API_KEY, and go on with --resume"
            ) from None
        except openai.APIStatusError as error:
            return "", f"status {error.status_code}"
        text = (answer.choices[0].message.content or "").strip() if answer.choices else ""
        return text, "" if text else "an empty answer"
