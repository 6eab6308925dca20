"""What a type checker sees of the wrapped client."""

from __future__ import annotations

import pytest
from support.running import ROOT

PROGRAM = """
from openai import AsyncOpenAI, OpenAI
from plus import PersonalizedOpenAI
from plus.serve.client import AsyncPersonalizedOpenAI
from plus.serve.requests import StoreFile

client = PersonalizedOpenAI(OpenAI(), StoreFile("p.db"))
reveal_type(client.chat.completions.create(user_id="ann", model="m", messages=[{"role": "user", "content": "Tea?"}]))
reveal_type(client.chat.completions.create(user_id="ann", model="m", messages=[], stream=True))
reveal_type(client.with_options(timeout=3).responses.create(user_id="ann", model="m", input="Tea?"))
reveal_type(client.models.list)
reveal_type(client.counts)
of_openai: OpenAI = client
client.chat.completions.create(user_id=7, model="m", messages=[])
client.chat.completions.create(user_id="ann", model="m", messages=[], temprature=1)
client.chat.completions.creat
PersonalizedOpenAI(AsyncOpenAI(), StoreFile("p.db"))


async def ask(client: AsyncPersonalizedOpenAI) -> None:
    async with client:
        reveal_type(await client.chat.completions.create(user_id="ann", model="m", messages=[], rank="plus"))
"""
REVEALED = (
    "ChatCompletion",
    "Stream[openai.types.chat.chat_completion_chunk.ChatCompletionChunk]",
    "responses.response.Response",
    "pagination.SyncPage[openai.types.model.Model]",
    "dict[str, int]",
    "ChatCompletion",
)


@pytest.mark.slow
def test_checkers_see_the_official_clients_methods_with_a_user(tmp_path, monkeypatch):
    from mypy import api

    (tmp_path / "app.py").write_text(PROGRAM)
    monkeypatch.chdir(ROOT)
    out, errors, _ = api.run(["--strict", str(tmp_path / "app.py")])
    lines = [line.partition("app.py:")[2] for line in out.splitlines() if "app.py:" in line]
    revealed = [line for line in lines if "Revealed type" in line]
    assert len(revealed) == len(REVEALED), out + errors
    for line, what in zip(revealed, REVEALED, strict=True):
        assert what in line and '"Any"' not in line
    refused = [line for line in lines if "error:" in line]
    # A user's id that is no text, a field that is misspelt, a method that is not there, a client of the other kind.
    assert sorted({line.partition(":")[0] for line in refused}) == ["14", "15", "16", "17"], out
