"""Client of any OpenAI-compatible endpoint with a `user_id` in its text-making calls: the official one, wrapped.

    client = PersonalizedOpenAI(OpenAI(), profiles)
    client.chat.completions.create(user_id="ann", model=..., messages=[...], **anything)
    client.responses.create(user_id="ann", model=..., input=..., **anything)

Nothing of the client's signatures is repeated here: its own methods are called with the profile in
their messages, and their results are handed on, be it an answer, a stream or a raw response.
`create`, `parse`, `stream` and the count of input tokens are personal; everything else is the client's own. With
`rewards`, a user's reward model, `chat.completions.create(user_id=..., n=4, rank="plus")` has the answer that it
prefers as first choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Self

import openai

from plus.errors import PlusError, SettingError
from plus.serve.gate import text_of
from plus.serve.protocols import Kind
from plus.serve.requests import Attempt, Personalizer, Profiles
from plus.types import Prompt, Turn

# (summary, prompt, answer) rows to rewards, such as plus.load(run).reward_model.rewards.
Rewards = Callable[[Sequence[tuple[str, Prompt, str]]], Sequence[float]]
RANKS = "plus"  # the one order there is

_KINDS: dict[tuple[str, ...], Kind] = {
    **{("chat", "completions", verb): "chat" for verb in ("create", "parse", "stream")},
    **{("responses", verb): "responses" for verb in ("create", "parse", "stream")},
    ("responses", "input_tokens", "count"): "responses",
}
# Detours that lead to the same methods.
_DETOURS = ("with_raw_response", "with_streaming_response", "beta")
_ON_THE_WAY = {path[:length] for path in _KINDS for length in range(len(path))}


class _Part:
    """A part of the client by its path: a method that takes a user, a part that leads to one, or the client's own."""

    def __init__(
        self, target: Any, path: tuple[str, ...], personalizer: Personalizer, rewards: Rewards | None, awaited: bool
    ) -> None:
        self._target, self._path = target, path
        self._personalizer, self._rewards, self._awaited = personalizer, rewards, awaited

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_target" not in self.__dict__:  # While it is copied there is no client yet.
            raise AttributeError(name)
        # Walk down the client's own attributes; only the methods of _KINDS are wrapped.
        found, path = getattr(self._target, name), (*self._path, name)
        plain = tuple(step for step in path if step not in _DETOURS)
        if kind := _KINDS.get(plain):
            entered = name == "stream" or "with_streaming_response" in path
            return self._personal(found, kind, path, _Entered if entered else _awaited if self._awaited else _called)
        if plain not in _ON_THE_WAY:
            return found
        return _Part(found, path, self._personalizer, self._rewards, self._awaited)

    def __setattr__(self, name: str, value: Any) -> None:
        # What the client has is set there, such as a new key; a subclass may have more.
        if name.startswith("_") or not hasattr(self._target, name):
            super().__setattr__(name, value)
        else:
            setattr(self._target, name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of what is wrapped, so that isinstance(client, openai.OpenAI) holds."""
        return type(self._target) if "_target" in self.__dict__ else _Part

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'.'.join(self._path) or self._target.base_url})"

    def _personal(
        self, method: Callable[..., Any], kind: Kind, path: tuple[str, ...], run: Callable[..., Any]
    ) -> Callable[..., Any]:
        @wraps(method)
        def call(*positional: Any, user_id: str | None = None, rank: str | None = None, **request: Any) -> Any:
            if rank is not None:
                refuse_ranking(rank, path, request, user_id, self._rewards)
            if user_id is None or "response_id" in request:  # A response that is taken up again is personal already.
                if "response_id" not in request:
                    self._personalizer.unnamed()
                return method(*positional, **request)
            attempt = self._personalizer.attempt(kind, user_id, request)
            finish = partial(self._ranked, attempt) if rank is not None else None
            return run(lambda sent: method(*positional, **sent), attempt, self._personalizer, finish)

        return call

    def _ranked(self, attempt: Attempt, made: Any) -> Any:
        """Put the choices of an answer into the order of the user's reward model."""
        if self._rewards and attempt.profile and len(made.choices) > 1:
            done = order_choices(made, self._rewards, attempt.profile.summary.text, attempt.request)
            self._personalizer.counts["unranked"] += not done
        return made


class _Client(_Part):
    """The whole client, of either kind."""

    _is_async = False

    def __init__(
        self,
        client: openai.OpenAI | openai.AsyncOpenAI,
        profiles: Profiles,
        *,
        salt: bytes | None = None,
        rewards: Rewards | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(client, openai.OpenAI if self._is_async else openai.AsyncOpenAI):
            other = "PersonalizedOpenAI" if self._is_async else "AsyncPersonalizedOpenAI"
            raise SettingError(f"{type(self).__name__} does not wrap {type(client).__name__}; use {other}")
        super().__init__(client, (), Personalizer(profiles, salt, **settings), rewards, self._is_async)

    @property
    def counts(self) -> dict[str, int]:
        """Number of requests by outcome: see Personalizer."""
        return dict(self._personalizer.counts)

    def with_options(self, **options: Any) -> Self:
        """Call the client's `with_options`; the result is personal too and shares counts and known refusals."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__ | {"_target": self._target.with_options(**options)})
        return other

    copy = with_options

    def __enter__(self) -> Self:
        self._target.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._target.__exit__(*error)


class _AsyncClient(_Client):
    """The whole client, of the kind that is awaited."""

    _is_async = True

    async def __aenter__(self) -> Self:
        await self._target.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._target.__aexit__(*error)


if TYPE_CHECKING:  # Checkers see the official client's methods, which at run time are those of what is wrapped.
    from plus.serve.client_types import AsyncPersonalizedOpenAI as AsyncPersonalizedOpenAI
    from plus.serve.client_types import PersonalizedOpenAI as PersonalizedOpenAI
else:

    class PersonalizedOpenAI(_Client):
        """Wrapper of an `openai.OpenAI`: its text-making calls take `user_id`.

        Requests about users without a summary, and about nobody, are sent as they are, or raise UnknownUserError with
        `on_unknown="error"`. `prompt_cache_key` and `safety_identifier` are hashes of the user's id keyed with `salt`;
        None takes the store's own, or, for summaries without a store, a number of this process. A field or a role
        (`placement`) that the server refuses is left out from then on, by model; a request that is refused with the
        summary alone is sent once more as it was given.
        `gate` (plus.serve.gate.Gate) holds summaries back where the prompt has nothing to do with them.
        `rewards` ranks several answers: plus.load(RUN).reward_model.rewards. `settings` are those of Personalizer.
        """

    class AsyncPersonalizedOpenAI(_AsyncClient):
        """Wrapper of an `openai.AsyncOpenAI`, otherwise as PersonalizedOpenAI."""


_Send = Callable[[Mapping[str, Any]], Any]  # the request as it goes out -> the client's result
_Finish = Callable[[Any], Any] | None


async def _awaited(
    send: _Send, attempt: Attempt, personalizer: Personalizer, finish: _Finish = None, *, waits: bool = True
) -> Any:
    """Send a request, and again without what its server refuses: one loop for both kinds of client.

    waits: whether `send` gives something to await; without, this coroutine never waits.
    """
    while True:
        try:
            made = send(attempt.sent)
            made = await made if waits else made
        except openai.APIStatusError as error:
            if (following := attempt.after_refusal(error.status_code, error.message)) is None:
                raise
            attempt = following
        else:
            personalizer.accepted(attempt)
            if finish is None:
                return made
            return await asyncio.to_thread(finish, made) if waits else finish(made)


def _called(*arguments: Any) -> Any:
    """Run `_awaited` to its end at once, for a client that does not wait."""
    try:
        _awaited(*arguments, waits=False).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a call of a client that does not wait has waited")


class _Entered:
    """For methods that ask only when their result is entered (`with`): entering may try again."""

    def __init__(self, send: _Send, attempt: Attempt, personalizer: Personalizer, finish: _Finish = None) -> None:
        self._send, self._attempt, self._personalizer = send, attempt, personalizer

    def __enter__(self) -> Any:
        return _called(self._enter, self._attempt, self._personalizer)

    def __exit__(self, *error: Any) -> Any:
        return self._manager.__exit__(*error)

    async def __aenter__(self) -> Any:
        return await _awaited(self._aenter, self._attempt, self._personalizer)

    async def __aexit__(self, *error: Any) -> Any:
        return await self._manager.__aexit__(*error)

    def _enter(self, sent: Mapping[str, Any]) -> Any:
        self._manager = self._send(sent)
        return self._manager.__enter__()

    def _aenter(self, sent: Mapping[str, Any]) -> Any:
        self._manager = self._send(sent)
        return self._manager.__aenter__()


def refuse_ranking(
    rank: str, path: tuple[str, ...], request: Mapping[str, Any], user_id: Any, rewards: Rewards | None
) -> None:
    """Raise SettingError for a request with answers that cannot be ranked, before it is sent."""
    if rank != RANKS:
        raise SettingError(f"there is no rank={rank!r}; the reward model's order is rank={RANKS!r}")
    if rewards is None:
        raise SettingError("rank='plus' needs a reward model; give rewards=plus.load(RUN).reward_model.rewards")
    if user_id is None:
        raise SettingError("rank='plus' ranks for a user; give user_id")
    if path[-3:] not in (("chat", "completions", "create"), ("chat", "completions", "parse")) or path[0].startswith(
        "with_"
    ):
        raise SettingError(f"rank='plus' orders the choices of chat.completions.create, not of {'.'.join(path)}")
    if request.get("stream"):
        raise SettingError("rank='plus' reads whole answers and a stream has none; leave out stream or rank")


def order_choices(made: Any, rewards: Rewards, summary: str, request: Mapping[str, Any]) -> bool:
    """Sort the choices of a ChatCompletion by reward, best first, and set each one's `plus_reward`.

    `index` stays the server's. Returns False, and keeps the server's order, for choices that the reward model cannot
    read.
    """
    # The reward model reads every choice as an answer to the same conversation.
    prompt = conversation(request.get("messages") or [])
    try:
        found = rewards([(summary, prompt, choice.message.content or "") for choice in made.choices])
    except PlusError:
        return False  # The answers are paid for; a window that is too small shall not lose them.
    for choice, reward in zip(made.choices, found, strict=True):
        choice.plus_reward = float(reward)
    # Calls of tools have no text to read: they come last.
    made.choices.sort(key=lambda choice: (choice.message.content is None, -choice.plus_reward))
    return True


def conversation(messages: Sequence[Any]) -> Prompt:
    """Select the turns of user and assistant, which reward models read; a single one is returned as its text."""
    turns = tuple(
        Turn(message["role"], text_of(message.get("content")))
        for message in messages
        if isinstance(message, Mapping) and message.get("role") in ("user", "assistant")
    )
    return turns[0].content if len(turns) == 1 else turns
