"""A real HTTP server for every request that clients make: three protocols, streams, tools, schemas, vectors."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from support.upstream import WORDS, Upstream, chunks, completion, events, response

ARGUMENTS = {"tea": "green"}
SHAPED = json.dumps(ARGUMENTS)


def tool_of(body: dict) -> str:
    """The name of the tool that is to be called now; "" where the answer is text."""
    asked = [*body.get("messages", []), *(body.get("input") if isinstance(body.get("input"), list) else [])]
    last = asked[-1] if asked else {}
    told = last.get("role") == "tool" or last.get("type") == "function_call_output"
    parts = last.get("content") if isinstance(last.get("content"), list) else []
    if not body.get("tools") or told or any(part.get("type") == "tool_result" for part in parts):
        return ""
    first = body["tools"][0]
    return str(first.get("name") or first["function"]["name"])


def chat(body: dict) -> dict:
    made = completion({**body, "tools": None})
    if name := tool_of(body):
        call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": SHAPED}}
        made["choices"][0] |= {"finish_reason": "tool_calls"}
        made["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    return made | {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}


def responses(body: dict) -> dict:
    made = response(body)
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    made |= {"usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, **details}}
    if body.get("text", {}).get("format", {}).get("type") == "json_schema":
        made["output"][0]["content"][0]["text"] = SHAPED
    if name := tool_of(body):
        call = {"type": "function_call", "id": "f1", "call_id": "c1", "name": name, "arguments": SHAPED}
        made["output"] = [call | {"status": "completed"}]
    return made


def messages(body: dict) -> dict:
    text = SHAPED if "output_format" in body or "output_config" in body else "".join(WORDS)
    part: dict[str, Any] = {"type": "text", "text": text}
    if name := tool_of(body):
        part = {"type": "tool_use", "id": "t1", "name": name, "input": ARGUMENTS}
    return {
        "id": "m1", "type": "message", "role": "assistant", "model": body["model"], "content": [part],
        "stop_reason": "tool_use" if part["type"] == "tool_use" else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 4},
    }  # fmt: skip


def message_events(body: dict) -> list[dict]:
    empty = messages(body) | {"content": [], "stop_reason": None}
    made: list[dict] = [{"type": "message_start", "message": empty}]
    made.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    made += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS
    ]
    made.append({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [*made, {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 4}}, {"type": "message_stop"}]


def embeddings(body: dict) -> dict:
    vector: Any = [0.5, -0.5]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    count = len(body["input"]) if isinstance(body["input"], list) else 1
    data = [{"object": "embedding", "index": number, "embedding": vector} for number in range(count)]
    return {"object": "list", "model": body["model"], "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


@contextmanager
def all_protocols() -> Iterator[Upstream]:
    """One that runs until the block ends."""
    server = Upstream()

    async def answer(request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw)
        server.asked.append(body)
        server.raw.append(raw)
        server.paths.append(request.url.path)
        server.headers.append(dict(request.headers))
        path = request.url.path.removeprefix("/v1/")
        if not body.get("stream"):
            whole = {"chat/completions": chat, "responses": responses, "messages": messages, "embeddings": embeddings}
            return JSONResponse(whole[path](body))
        if path == "chat/completions":
            lines = [f"data: {json.dumps(item)}\n\n" for item in chunks(body)] + ["data: [DONE]\n\n"]
        else:
            items = events(body) if path == "responses" else message_events(body)
            lines = [f"event: {item['type']}\ndata: {json.dumps(item)}\n\n" for item in items]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/{path:path}", answer, methods=["POST"])])
    http = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    while not http.started:
        time.sleep(0.01)
    server.url = f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        http.should_exit = True
        thread.join(10)
