"""What type checkers see of the wrapped client: the official one, whose text-making calls take `user_id` and `rank`.

Parameters of `create` are the official client's own typed dictionaries, so nothing of its signatures is repeated here.
"""

from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import openai
from openai import AsyncStream, Stream
from openai._types import Body, Headers, Query
from openai.lib.streaming.chat import AsyncChatCompletionStreamManager, ChatCompletionStreamManager
from openai.lib.streaming.responses import AsyncResponseStreamManager, ResponseStreamManager
from openai.resources.chat import AsyncChat, Chat
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from plus.serve.client import Rewards
from plus.serve.requests import Profiles

_T = TypeVar("_T")

class _Ours(TypedDict, total=False):
    user_id: str | None
    rank: Literal["plus"] | None
    extra_headers: Headers | None
    extra_query: Query | None
    extra_body: Body | None
    timeout: Any

class _Ask(CompletionCreateParamsNonStreaming, _Ours): ...
class _AskStream(CompletionCreateParamsStreaming, _Ours): ...
class _Respond(ResponseCreateParamsNonStreaming, _Ours, total=False): ...
class _RespondStream(ResponseCreateParamsStreaming, _Ours): ...

class PersonalCompletions(Completions):
    with_raw_response: Any
    with_streaming_response: Any
    @overload  # type: ignore[override]
    def create(self, **request: Unpack[_Ask]) -> ChatCompletion: ...
    @overload
    def create(self, **request: Unpack[_AskStream]) -> Stream[ChatCompletionChunk]: ...
    def parse(  # type: ignore[override]
        self, *, user_id: str | None = None, response_format: type[_T] = ..., **request: Any
    ) -> ParsedChatCompletion[_T]: ...
    def stream(  # type: ignore[override]
        self, *, user_id: str | None = None, response_format: type[_T] = ..., **request: Any
    ) -> ChatCompletionStreamManager[_T]: ...

class PersonalChat(Chat):
    completions: PersonalCompletions

class PersonalResponses(Responses):
    with_raw_response: Any
    with_streaming_response: Any
    input_tokens: Any
    @overload  # type: ignore[override]
    def create(self, **request: Unpack[_Respond]) -> Response: ...
    @overload
    def create(self, **request: Unpack[_RespondStream]) -> Stream[ResponseStreamEvent]: ...
    def parse(  # type: ignore[override]
        self, *, user_id: str | None = None, text_format: type[_T] = ..., **request: Any
    ) -> ParsedResponse[_T]: ...
    def stream(  # type: ignore[override]
        self, *, user_id: str | None = None, text_format: type[_T] = ..., **request: Any
    ) -> ResponseStreamManager[_T]: ...

class PersonalizedOpenAI(openai.OpenAI):
    """An `openai.OpenAI` whose text-making calls take `user_id`."""

    chat: PersonalChat
    responses: PersonalResponses
    beta: Any
    with_raw_response: Any
    with_streaming_response: Any
    def __init__(
        self,
        client: openai.OpenAI,
        profiles: Profiles,
        *,
        salt: bytes | None = None,
        rewards: Rewards | None = None,
        **settings: Any,
    ) -> None: ...
    @property
    def counts(self) -> dict[str, int]: ...

class AsyncPersonalCompletions(AsyncCompletions):
    with_raw_response: Any
    with_streaming_response: Any
    @overload  # type: ignore[override]
    async def create(self, **request: Unpack[_Ask]) -> ChatCompletion: ...
    @overload
    async def create(self, **request: Unpack[_AskStream]) -> AsyncStream[ChatCompletionChunk]: ...
    async def parse(  # type: ignore[override]
        self, *, user_id: str | None = None, response_format: type[_T] = ..., **request: Any
    ) -> ParsedChatCompletion[_T]: ...
    def stream(  # type: ignore[override]
        self, *, user_id: str | None = None, response_format: type[_T] = ..., **request: Any
    ) -> AsyncChatCompletionStreamManager[_T]: ...

class AsyncPersonalChat(AsyncChat):
    completions: AsyncPersonalCompletions

class AsyncPersonalResponses(AsyncResponses):
    with_raw_response: Any
    with_streaming_response: Any
    input_tokens: Any
    @overload  # type: ignore[override]
    async def create(self, **request: Unpack[_Respond]) -> Response: ...
    @overload
    async def create(self, **request: Unpack[_RespondStream]) -> AsyncStream[ResponseStreamEvent]: ...
    async def parse(  # type: ignore[override]
        self, *, user_id: str | None = None, text_format: type[_T] = ..., **request: Any
    ) -> ParsedResponse[_T]: ...
    def stream(  # type: ignore[override]
        self, *, user_id: str | None = None, text_format: type[_T] = ..., **request: Any
    ) -> AsyncResponseStreamManager[_T]: ...

class AsyncPersonalizedOpenAI(openai.AsyncOpenAI):
    """An `openai.AsyncOpenAI` whose text-making calls take `user_id`."""

    chat: AsyncPersonalChat
    responses: AsyncPersonalResponses
    beta: Any
    with_raw_response: Any
    with_streaming_response: Any
    def __init__(
        self,
        client: openai.AsyncOpenAI,
        profiles: Profiles,
        *,
        salt: bytes | None = None,
        rewards: Rewards | None = None,
        **settings: Any,
    ) -> None: ...
    @property
    def counts(self) -> dict[str, int]: ...
