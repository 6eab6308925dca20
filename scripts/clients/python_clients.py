"""Five calls of one client library through the proxy: python python_clients.py NAME ADDRESS; prints a JSON object.

Each function returns how its users name a user, and the calls by what they try; a call returns what it got.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

QUESTION = "Which tea?"
ASK = [{"role": "user", "content": QUESTION}]
HEADERS = {"X-Plus-User": "ann"}
SCHEMA = {
    "type": "object",
    "properties": {"tea": {"type": "string"}},
    "required": ["tea"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "brew", "description": "Brew a tea.", "parameters": SCHEMA}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "choice", "schema": SCHEMA, "strict": True}}
Calls = dict[str, Callable[[], object]]


def choice_class() -> type:
    from pydantic import BaseModel

    return type("Choice", (BaseModel,), {"__annotations__": {"tea": str}})


def openai(url: str) -> tuple[str, Calls]:
    from openai import OpenAI

    client = OpenAI(api_key="any", base_url=url)
    create = client.chat.completions.create
    ask = {"model": "m", "messages": ASK, "user": "ann"}

    def structured() -> Any:
        return client.chat.completions.parse(**ask, response_format=choice_class()).choices[0].message

    return "`user=`", {
        "plain": lambda: create(**ask).choices[0].message.content,
        "stream": lambda: "".join(p.choices[0].delta.content or "" for p in create(**ask, stream=True)),
        "structured": lambda: (
            client.chat.completions.parse(**ask, response_format=choice_class()).choices[0].message.parsed.tea
        ),
        "tools": lambda: create(**ask, tools=[TOOL]).choices[0].message.tool_calls[0].function.name,
        "embeddings": lambda: len(client.embeddings.create(model="e", input="tea", user="ann").data[0].embedding),
    }


def openai_responses(url: str) -> tuple[str, Calls]:
    from openai import OpenAI

    client = OpenAI(api_key="any", base_url=url)
    ask = {"model": "m", "input": QUESTION, "safety_identifier": "ann"}
    tool = {"type": "function", "strict": True, **TOOL["function"]}

    def stream() -> str:
        return "".join(e.delta for e in client.responses.create(**ask, stream=True) if e.type.endswith("text.delta"))

    return "`safety_identifier=`", {
        "plain": lambda: client.responses.create(**ask).output_text,
        "stream": stream,
        "structured": lambda: client.responses.parse(**ask, text_format=choice_class()).output_parsed.tea,
        "tools": lambda: client.responses.create(**ask, tools=[tool]).output[0].name,
    }


def anthropic(url: str) -> tuple[str, Calls]:
    from anthropic import Anthropic

    client = Anthropic(api_key="any", base_url=url.removesuffix("/v1"))
    ask = {"model": "m", "max_tokens": 50, "messages": ASK, "metadata": {"user_id": "ann"}}
    tool = {"name": "brew", "description": "Brew a tea.", "input_schema": SCHEMA}

    def stream() -> str:
        with client.messages.stream(**ask) as found:
            return "".join(found.text_stream)

    def structured() -> str:
        return str(client.messages.parse(**ask, output_format=choice_class()).parsed_output.tea)

    return "`metadata={'user_id': ...}`", {
        "plain": lambda: client.messages.create(**ask).content[0].text, "stream": stream, "structured": structured,
        "tools": lambda: client.messages.create(**ask, tools=[tool]).content[0].name,
    }  # fmt: skip


def pydantic_ai(url: str) -> tuple[str, Calls]:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def agent(**options: object) -> Agent:
        provider = OpenAIProvider(openai_client=AsyncOpenAI(api_key="any", base_url=url))
        return Agent(OpenAIChatModel("m", provider=provider), model_settings={"openai_user": "ann"}, **options)

    async def stream() -> str:
        async with agent().run_stream(QUESTION) as found:
            return "".join([piece async for piece in found.stream_text(delta=True)])

    def tools() -> str:
        used = []
        made = agent()

        @made.tool_plain
        def brew(tea: str) -> str:
            used.append("brew")
            return "done"

        made.run_sync(QUESTION)
        return used[0]

    return "`openai_user` in its settings", {
        "plain": lambda: agent().run_sync(QUESTION).output, "stream": lambda: asyncio.run(stream()),
        "structured": lambda: agent(output_type=choice_class()).run_sync(QUESTION).output.tea, "tools": tools,
    }  # fmt: skip


def langchain_openai(url: str) -> tuple[str, Calls]:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    model = ChatOpenAI(model="m", api_key="any", base_url=url, default_headers=HEADERS)
    vectors = OpenAIEmbeddings(
        model="e", api_key="any", base_url=url, default_headers=HEADERS, check_embedding_ctx_length=False
    )
    return "`default_headers`", {
        "plain": lambda: model.invoke(QUESTION).content,
        "stream": lambda: "".join(piece.content for piece in model.stream(QUESTION)),
        "structured": lambda: model.with_structured_output(choice_class()).invoke(QUESTION).tea,
        "tools": lambda: model.bind_tools([TOOL]).invoke(QUESTION).tool_calls[0]["name"],
        "embeddings": lambda: len(vectors.embed_query("tea")),
    }


def litellm(url: str) -> tuple[str, Calls]:
    import litellm as room

    # Its `user` is left out, without a word, for models that it does not know.
    told = {"api_key": "any", "api_base": url, "extra_headers": HEADERS}
    ask = {"model": "openai/m", "messages": ASK, **told}
    told |= {"model": "openai/e", "input": ["tea"]}
    return "`extra_headers=`", {
        "plain": lambda: room.completion(**ask).choices[0].message.content,
        "stream": lambda: "".join(p.choices[0].delta.content or "" for p in room.completion(**ask, stream=True)),
        "structured": lambda: json.loads(
            room.completion(**ask, response_format=FORMAT, allowed_openai_params=["response_format"])
            .choices[0].message.content
        )["tea"],
        "tools": lambda: room.completion(**ask, tools=[TOOL], allowed_openai_params=["tools"])
        .choices[0].message.tool_calls[0].function.name,
        "embeddings": lambda: len(room.embedding(**told).data[0]["embedding"]),
    }  # fmt: skip


def instructor(url: str) -> tuple[str, Calls]:
    import instructor as room
    from openai import OpenAI

    client = room.from_openai(OpenAI(api_key="any", base_url=url))
    ask = {"model": "m", "messages": ASK, "user": "ann", "response_model": choice_class()}
    return "`user=`", {"structured": lambda: client.chat.completions.create(**ask).tea}


def openai_agents(url: str) -> tuple[str, Calls]:
    from agents import (
        Agent,
        ModelSettings,
        OpenAIChatCompletionsModel,
        Runner,
        function_tool,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    used = []

    @function_tool
    def brew(tea: str) -> str:
        """Brew a tea."""
        used.append("brew")
        return "done"

    def agent(**options: object) -> Agent:
        model = OpenAIChatCompletionsModel("m", AsyncOpenAI(api_key="any", base_url=url))
        return Agent(name="a", model=model, model_settings=ModelSettings(extra_headers=HEADERS), **options)

    async def stream() -> str:
        found = Runner.run_streamed(agent(), QUESTION)
        events = [e async for e in found.stream_events() if e.type == "raw_response_event"]
        return "".join(e.data.delta for e in events if e.data.type == "response.output_text.delta")

    return "`extra_headers` in its settings", {
        "plain": lambda: Runner.run_sync(agent(), QUESTION).final_output,
        "stream": lambda: asyncio.run(stream()),
        "structured": lambda: Runner.run_sync(agent(output_type=choice_class()), QUESTION).final_output.tea,
        "tools": lambda: (Runner.run_sync(agent(tools=[brew]), QUESTION), used[0])[1],
    }


CLIENTS = {
    "openai": openai, "openai responses": openai_responses, "anthropic": anthropic, "pydantic-ai-slim": pydantic_ai,
    "langchain-openai": langchain_openai, "litellm": litellm, "instructor": instructor, "openai-agents": openai_agents,
}  # fmt: skip


def main(name: str, url: str) -> None:
    user, calls = CLIENTS[name](url)
    found = {}
    for what, call in calls.items():
        try:
            found[what] = call()
        except Exception as error:
            found[what] = f"{type(error).__name__}: {error}"
    print(json.dumps({"version": version(name.split()[0]), "user": user, "calls": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
