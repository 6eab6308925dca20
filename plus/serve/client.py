"""The official client, knowing the user: every call that makes text takes a `user_id`.

    client = PersonalizedOpenAI(OpenAI(), profiles)
    client.chat.completions.create(user_id="ann", model=..., messages=[...], **anything)
    client.responses.create(user_id="ann", model=..., input=..., **anything)

Nothing of the client's signatures is repeated here: its own methods are called with the profile in
their messages, and what they return is handed on, be it an answer, a stream or a raw response.
`create`, `parse` and `stream` are personal; everything else is the client's own. With `rewards`, a user's
reward model, `chat.completions.create(user_id=..., n=4, rank="plus")` has the answer it prefers as first choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import openai

from plus.serve import ranking
from plus.serve.requests import Attempt, Kind, Personalizer, Profiles, salt_of

_KINDS: dict[tuple[str, ...], Kind] = {
    **{("chat", "completions", verb): "chat" for verb in ("create", "parse", "stream")},
    **{("responses", verb): "responses" for verb in ("create", "parse", "stream")},
}
# Detours that lead to the same methods.
_DETOURS = ("with_raw_response", "with_streaming_response", "beta")
_ON_THE_WAY = {path[:length] for path in _KINDS for length in range(len(path))}


class _Part:
    """A part of the client by its path: a method that takes a user, a part that leads to one, or the client's own."""

    def __init__(self, target: Any, path: tuple[str, ...], personalizer: Personalizer, awaited: bool) -> None:
        self._target, self._path, self._personalizer, self._awaited = target, path, personalizer, awaited

    def __getattr__(self, name: str) -> Any:
        found, path = getattr(self._target, name), (*self._path, name)
        plain = tuple(step for step in path if step not in _DETOURS)
        if kind := _KINDS.get(plain):
            entered = name == "stream" or "with_streaming_response" in path
            return self._personal(found, kind, path, _Entered if entered else _awaited if self._awaited else _called)
        return _Part(found, path, self._personalizer, self._awaited) if plain in _ON_THE_WAY else found

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'.'.join(self._path) or self._target.base_url})"

    def _personal(
        self, method: Callable[..., Any], kind: Kind, path: tuple[str, ...], run: Callable[..., Any]
    ) -> Callable[..., Any]:
        def call(*positional: Any, user_id: str | None = None, rank: str | None = None, **request: Any) -> Any:
            if rank is not None:
                ranking.refuse(rank, path, request, user_id, self._personalizer.rewards)
            if user_id is None or "response_id" in request:  # A response that is taken up again is personal already.
                return method(*positional, **request)
            attempt = self._personalizer.attempt(kind, user_id, request)
            return run(lambda: method(*positional, **attempt.sent), attempt, rank is not None)

        return call


class PersonalizedOpenAI(_Part):
    """An `openai.OpenAI` whose text-making calls take `user_id`.

    Users without a summary get their request as it is, or UnknownUserError with `on_unknown="error"`.
    `prompt_cache_key` and `safety_identifier` are hashes of the user's id keyed with `salt`; None takes the
    client's own key, or, where that is no secret (shorter than 16 characters), a number of this process.
    What a server refuses of this (a field, the role of `placement`) is left out and remembered by model.
    `gate` (plus.serve.gate.Gate) holds summaries back where the prompt has nothing to do with them.
    """

    _is_async = False

    def __init__(
        self, client: openai.OpenAI | openai.AsyncOpenAI, profiles: Profiles, *, salt: bytes | None = None, **settings: Any
    ) -> None:  # fmt: skip
        super().__init__(
            client, (), Personalizer(profiles, salt or salt_of(client.api_key), **settings), self._is_async
        )

    @property
    def counts(self) -> dict[str, int]:
        """Requests by what became of them: see Personalizer."""
        return dict(self._personalizer.counts)

    def with_options(self, **options: Any) -> Self:
        """The client's `with_options`, still personal; counts and what servers refused are shared."""
        other = object.__new__(type(self))
        _Part.__init__(other, self._target.with_options(**options), (), self._personalizer, self._awaited)
        return other

    copy = with_options

    def __enter__(self) -> Self:
        self._target.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._target.__exit__(*error)


class AsyncPersonalizedOpenAI(PersonalizedOpenAI):
    """The same around an `openai.AsyncOpenAI`."""

    _is_async = True

    async def __aenter__(self) -> Self:
        await self._target.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._target.__aexit__(*error)


def _called(request: Callable[[], Any], attempt: Attempt, rank: bool = False) -> Any:
    while True:
        try:
            made = request()
        except openai.APIStatusError as error:
            if not attempt.again(error.status_code, error.message):
                raise
        else:
            attempt.accepted()
            return attempt.ordered(made) if rank else made


async def _awaited(request: Callable[[], Any], attempt: Attempt, rank: bool = False) -> Any:
    while True:
        try:
            made = await request()
        except openai.APIStatusError as error:
            if not attempt.again(error.status_code, error.message):
                raise
        else:
            attempt.accepted()
            return await asyncio.to_thread(attempt.ordered, made) if rank else made


class _Entered:
    """For methods that ask only when their result is entered (`with`): entering may try again."""

    def __init__(self, request: Callable[[], Any], attempt: Attempt, rank: bool = False) -> None:
        self._request, self._attempt = request, attempt

    def __enter__(self) -> Any:
        return _called(self._enter, self._attempt)

    def __exit__(self, *error: Any) -> Any:
        return self._manager.__exit__(*error)

    async def __aenter__(self) -> Any:
        return await _awaited(self._aenter, self._attempt)

    async def __aexit__(self, *error: Any) -> Any:
        return await self._manager.__aexit__(*error)

    def _enter(self) -> Any:
        self._manager = self._request()
        return self._manager.__enter__()

    async def _aenter(self) -> Any:
        self._manager = self._request()
        return await self._manager.__aenter__()
