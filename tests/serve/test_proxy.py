"""`plus proxy` as a process of its own, between real clients and a real upstream."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest
from support.hostile import HOSTILE
from support.personalized import profile_of
from support.running import ENVIRONMENT
from support.upstream import upstream

from plus.profiles.saving import save_user
from plus.profiles.store import Store

KEY = "sk-upstream-0123456789abcdef"
TOKEN = "token-of-the-shop-0123"
ASK = [{"role": "user", "content": "Which secret tea?"}]


@contextmanager
def proxying(folder: Path, url: str, *arguments: str):
    """(process, address, log file) of a proxy that listens."""
    log = folder / f"log-{time.monotonic_ns()}"
    environment = ENVIRONMENT | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url}
    command = [sys.executable, "-m", "plus", "proxy", "--port", "0", "--store", str(folder / "p.db"), *arguments]
    with log.open("w") as file, subprocess.Popen(command, env=environment, stderr=file, stdout=file) as process:
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"listening on (\S+),", log.read_text())):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield process, found[1], log
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(40)


def where(address: str) -> tuple[str, int]:
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    return host, int(port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("proxy")
    with Store(path / "p.db") as store:
        for name, text in (("ann", "Likes cats."), ("bob", "Likes dogs."), ("zoë", "Likes ❤️.")):
            save_user(store, name, text, 0)
    (path / "tokens").write_text(f"shop {TOKEN}\n\nblog another-token-456789\n")
    return path


@pytest.fixture(scope="module")
def running(folder):
    """One proxy for all tests that leave it alive: (upstream, address, log)."""
    with upstream() as server, proxying(folder, server.url, "--tokens", str(folder / "tokens")) as (_, address, log):
        yield server, address, log


@pytest.fixture
def server(running):
    running[0].forget()
    return running[0]


@pytest.fixture
def client(running):
    with openai.OpenAI(api_key=TOKEN, base_url=running[1], max_retries=1) as made:
        yield made


def test_the_official_client_is_personal_through_the_proxy(client, server):
    made = client.chat.completions.create(model="m", messages=ASK, extra_headers={"X-Plus-User": "ann"}, seed=3)
    assert made.choices[0].message.content == "Tea is fine."
    client.responses.create(model="m", input="Tea?", safety_identifier="bob")
    pieces = client.chat.completions.create(model="m", messages=ASK, user="ann", stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "Tea is fine."
    with client.responses.stream(model="m", input="Tea?", safety_identifier="zoë") as stream:
        assert stream.get_final_response().output_text == "Tea is fine."
    assert list(map(profile_of, server.asked)) == ["Likes cats.", "Likes dogs.", "Likes cats.", "Likes ❤️."]
    assert [model.id for model in client.models.list()] == ["m"]
    assert server.asked[0]["seed"] == 3 and server.asked[0]["messages"][-1] == ASK[0]
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert not [name for headers in server.headers for name in headers if name == "x-plus-user"]
    assert (
        server.asked[0]["safety_identifier"] == server.asked[2]["safety_identifier"] and "user" not in server.asked[2]
    )
    assert not any(re.search(rb'"(ann|bob|zo\\u00eb)"', raw) for raw in server.raw), "no raw id leaves"


def test_curl_streams_through_it(running, server):
    body = json.dumps({"model": "m", "messages": ASK, "stream": True})
    command = ["curl", "-sN", f"{running[1]}/chat/completions", "-H", f"Authorization: Bearer {TOKEN}"]
    command += ["-H", "Content-Type: application/json", "-H", "X-Plus-User: zoë", "-d", body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.count("data: ") == 7 and done.stdout.endswith("data: [DONE]\n\n")
    assert profile_of(server.asked[0]) == "Likes ❤️."


def test_another_client_library_works_through_it_unchanged(running, server):
    """pydantic-ai: an agent with a tool and a structured answer, whole and streamed, on both protocols."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async def run() -> list[str]:
        inner = openai.AsyncOpenAI(api_key=TOKEN, base_url=running[1], default_headers={"X-Plus-User": "ann"})
        async with inner:
            provider = OpenAIProvider(openai_client=inner)
            chat, responses = OpenAIChatModel("m", provider=provider), OpenAIResponsesModel("m", provider=provider)
            found = [
                (await Agent(model, system_prompt="You sell tea.").run("Which?")).output for model in (chat, responses)
            ]
            async with Agent(chat).run_stream("Which?") as stream:
                found.append("".join([piece async for piece in stream.stream_text(delta=True)]))
            return found

    assert asyncio.run(run()) == ["Tea is fine."] * 3
    assert [profile_of(body) for body in server.asked] == ["Likes cats."] * 3
    assert server.asked[0]["messages"][0]["content"].startswith("You sell tea.")


def test_an_upstream_without_responses_says_so_and_chat_completions_go_on(client):
    with pytest.raises(openai.NotFoundError, match="Not Found"):
        client.responses.create(model="m-chat-only", input="Tea?", user="ann")
    assert client.chat.completions.create(model="m-chat-only", messages=ASK, user="ann").choices


def test_requests_that_name_nobody_are_forwarded_byte_for_byte_and_unknown_ids_as_hashes(running, server):
    raw = b'{ "model":"m","messages" : [{"role":"user","content":"\\ud800 \\u00e9"}], "x":1.0 }'
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    assert httpx2.post(f"{running[1]}/chat/completions", content=raw, headers=headers).status_code == 200
    assert server.raw == [raw]
    named = raw.replace(b', "x"', b', "user":"nobody", "metadata":{"user_id":"nobody","plan":"free"}, "x"')
    assert httpx2.post(f"{running[1]}/chat/completions", content=named, headers=headers).status_code == 200
    sent = server.asked[1]
    assert b"nobody" not in server.raw[1] and sent["metadata"] == {"user_id": sent["user"], "plan": "free"}
    assert len(sent.pop("user")) == 32 and sent.pop("metadata") and sent == json.loads(raw)


def test_tokens_paths_and_requests_that_are_none_are_refused(running, server):
    address, right = running[1], {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    plain = httpx2.Client()

    def post(body, headers=right, path="/chat/completions"):
        return plain.post(address + path, content=body, headers=headers)

    for headers in ({}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": b"Bearer \xe9"}):
        assert post(b"{}", {**headers, "Content-Type": "application/json"}).status_code == 401
        assert plain.get(address + "/models", headers=headers).status_code == 401
    assert [post(body).status_code for body in (b"", b"{", b"[]", b"[" * 100_000, b"\xff")] == [400] * 5
    assert post(b"{}", {**right, "Content-Type": "text/plain"}).status_code == 415
    assert post(b"{}", right, "/../../etc/passwd").status_code == 404
    assert httpx2.get(address.removesuffix("/v1") + "/healthz").json() == {"status": "ok"}
    assert server.paths == []
    for body in (b'{"model":"m"}', b'{"model":"m","messages":7}', b'{"model":"m","messages":[7,null]}'):
        post(body, {**right, "X-Plus-User": "ann"})  # The upstream is asked, or says what it misses; we go on.
    assert httpx2.get(address.removesuffix("/v1") + "/healthz").status_code == 200


def test_an_upstream_out_of_order_is_handed_on_or_one_line(client, running, server, folder):
    call = {"messages": ASK, "user": "ann"}
    assert client.chat.completions.create(model="p-limited", **call).choices, "429 with Retry-After"
    assert client.chat.completions.create(model="p-slow", **call).choices
    plain = client.with_options(max_retries=0)
    for model, wanted in (
        ("p-500", openai.InternalServerError),
        ("p-401", openai.AuthenticationError),
        ("p-404", openai.NotFoundError),
    ):
        with pytest.raises(wanted, match="out of order"):
            plain.chat.completions.create(model=model, **call)
    with pytest.raises(openai.APIError, match="broke off"):
        list(plain.chat.completions.create(model="p-cut", stream=True, **call))
    with pytest.raises((json.JSONDecodeError, openai.OpenAIError)):
        plain.chat.completions.create(model="p-malformed", **call)
    assert client.chat.completions.create(model="p-strict-no-system", **call).choices
    assert [m["role"] for m in server.asked[-1]["messages"]] == ["user"] and profile_of(
        server.asked[-1]
    ) == "Likes cats."
    with proxying(folder, "http://127.0.0.1:9/v1") as (_, address, _log):
        alone = openai.OpenAI(api_key="any", base_url=address, max_retries=0)
        with pytest.raises(openai.InternalServerError, match="the upstream cannot be reached") as caught:
            alone.chat.completions.create(model="m", **call)
        assert caught.value.status_code == 502
        rebound = httpx2.get(address + "/models", headers={"Host": "evil.example"})
        assert rebound.status_code == 400, "without tokens it answers to loopback names only"


def test_hostile_ids_and_headers_change_no_structure(running, server, capsys):
    """As the header's raw bytes and as the field; header splitting is refused before a request exists."""
    host, port = running[1].removeprefix("http://").removesuffix("/v1").split(":")
    body = {"model": "m", "messages": ASK}
    arrived, plain = 0, httpx2.Client(headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    for number, text in enumerate(HOSTILE):
        before = len(server.asked)
        value = text.encode("utf-8", "replace")
        data = json.dumps(body).encode()
        with socket.create_connection((host, int(port)), timeout=20) as wire:
            wire.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\n"
                b"Authorization: Bearer "
                + TOKEN.encode()
                + b"\r\nContent-Length: %d\r\nX-Plus-User: %s\r\n\r\n%s" % (len(data), value, data)
            )
            status = int((wire.recv(65536) or b"HTTP/1.1 0").split()[1])
        assert status in (200, 0, 400, 401, 415), (status, text)
        assert len(server.asked) - before == (status == 200)
        arrived += status == 200
        if number % 4 == 0:
            plain.post(f"{running[1]}/chat/completions", content=json.dumps({**body, "user": text}))
    plain.close()
    assert arrived > 50
    names = {tuple(sorted(headers)) for headers in server.headers}
    assert len(names) <= 2, names  # With and without the `accept` that only one of the two clients sends.
    assert all(request["messages"] == ASK for request in server.asked)
    assert set(server.paths) == {"/v1/chat/completions"}
    with capsys.disabled():
        print(f"{len(HOSTILE)} hostile headers: {arrived} arrived with the same structure, the others were refused")


async def isolated(server, address: str, users: int, requests: int) -> int:
    """Requests of random users, 50 at a time and in random order, one in ten cancelled before an answer and one in ten
    in the middle of it; returns how many arrived,
    each with its own user's summary and no other's."""
    order = [number % users for number in range(requests)]
    random.Random(0).shuffle(order)

    async def worker(client: openai.AsyncOpenAI) -> None:
        while order:
            number = order.pop()
            turn = len(order) % 10
            ask = [{"role": "user", "content": f"I am number {number}."}]
            call = client.chat.completions.create(
                model="m-drip" if turn in (0, 1) else "m", messages=ask, user=f"u{number}", stream=turn != 2
            )
            try:
                made = await asyncio.wait_for(call, 0.02 if turn == 0 else 60)
            except TimeoutError:
                continue  # Cancelled before an answer.
            if turn == 1:
                await made.close()  # In the middle of it.
            elif turn != 2:
                assert "".join([p.choices[0].delta.content or "" async for p in made]) == "Tea is fine."

    async with openai.AsyncOpenAI(api_key=TOKEN, base_url=address, max_retries=0) as client:
        await asyncio.gather(*[worker(client) for _ in range(50)])
    for body in server.asked:
        number = body["messages"][-1]["content"].removeprefix("I am number ").removesuffix(".")
        assert profile_of(body) == f"Likes number {number} best."
    assert len({body["safety_identifier"] for body in server.asked}) == users
    return len(server.asked)


def isolating(tmp_path, users: int, requests: int, *arguments: str) -> int:
    with Store(tmp_path / "p.db") as store:
        for number in range(users):
            save_user(store, f"u{number}", f"Likes number {number} best.", 0)
    with upstream() as server, proxying(tmp_path, server.url, *arguments) as (_, address, log):
        arrived = asyncio.run(isolated(server, address, users, requests))
        assert "a fault of plus" not in log.read_text()
    return arrived


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_users_with_fifty_requests_each_in_random_order_with_cancellations(tmp_path, capsys):
    arrived = isolating(tmp_path, 200, 10_000)
    with capsys.disabled():
        print(f"{arrived:,} of 10,000 requests arrived, each with its own user's summary and no other's")
    assert arrived >= 9_000


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_thousand_mixed_and_cancelled_requests_of_a_hundred_users_in_one_and_two_processes(
    workers, tmp_path, capsys
):
    arrived = isolating(tmp_path, 100, 2_000, "--workers", workers)
    with capsys.disabled():
        print(f"{workers} workers: {arrived:,} of 2,000 arrived, 0 with another's summary")
    assert arrived >= 1_800


@pytest.mark.slow  # It loads the sentence model in a process of its own.
def test_with_a_gate_unrelated_prompts_go_without_the_summary(folder):
    """The real sentence model, in the proxy's own process."""
    with upstream() as server, proxying(folder, server.url, "--gate", "0.15") as (_, address, log):
        client = openai.OpenAI(api_key="any", base_url=address)
        for text in ("What should my cat eat?", "When did the Berlin wall fall?"):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], user="ann")
    assert list(map(profile_of, server.asked)) == ["Likes cats.", ""]
    assert re.search(r"ended: 1 personalized, 1 gated, \d\d tokens_saved", log.read_text()), log.read_text()
    assert "user" not in server.asked[1] and len(server.asked[1]["safety_identifier"]) == 32


def test_fifty_at_once_each_with_their_own(running, server):
    async def run():
        async with openai.AsyncOpenAI(api_key=TOKEN, base_url=running[1], max_retries=0) as client:

            async def one(number: int) -> None:
                user = ("ann", "bob", "zoë")[number % 3]
                call = client.chat.completions.create(
                    model="m-slow" if number % 2 else "m", messages=[{"role": "user", "content": user}], user=user
                )  # fmt: skip
                await asyncio.wait_for(call, 0.2 if number % 10 == 1 else 60)

            return await asyncio.gather(*map(one, range(50)), return_exceptions=True)

    done = asyncio.run(run())
    assert sum(error is not None for error in done) == 5, done
    likes = {"ann": "Likes cats.", "bob": "Likes dogs.", "zoë": "Likes ❤️."}
    assert len(server.asked) >= 45
    assert all(profile_of(body) == likes[body["messages"][-1]["content"]] for body in server.asked)


def test_an_app_that_goes_away_lets_the_upstream_go(running, server, client):
    before = server.unfinished
    stream = client.chat.completions.create(model="m-drip", messages=ASK, user="ann", stream=True)
    next(iter(stream))
    stream.close()
    deadline = time.monotonic() + 10
    while server.unfinished == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.unfinished == before + 1


def test_too_many_at_once_are_told_so_and_a_stop_lets_open_answers_end(folder):
    with upstream() as server, proxying(folder, server.url, "--max_connections", "2") as (process, address, _):
        idle = [socket.create_connection(where(address)) for _ in range(10)]
        client = openai.OpenAI(api_key="any", base_url=address, max_retries=0)
        call = {"model": "m-drip", "messages": ASK, "user": "ann", "stream": True}
        first, second = (client.chat.completions.create(**call) for _ in range(2))
        with pytest.raises(openai.InternalServerError, match="as many requests as it may") as caught:
            client.chat.completions.create(**call)
        assert caught.value.status_code == 503 and caught.value.response.headers["retry-after"] == "1"
        assert httpx2.get(address.removesuffix("/v1") + "/healthz").status_code == 200, (
            "it counts requests to the model"
        )
        second.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                assert client.models.list().data
                break
            except openai.InternalServerError:
                time.sleep(0.05)
        for wire in idle:
            wire.close()
        process.send_signal(signal.SIGTERM)
        assert "".join(p.choices[0].delta.content or "" for p in first) == "Tea is fine."
        client.close()
        assert process.wait(20) in (0, -signal.SIGTERM, 143)


def test_the_log_has_a_line_a_request_and_no_text_user_or_key(running, client):
    client.chat.completions.create(model="m", messages=ASK, user="zoë")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="m-400", messages=ASK, extra_headers={"X-Plus-User": "ann"})
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong-key").models.list()
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(model="m-cut", messages=ASK, user="ann", stream=True))
    lines = running[2].read_text()
    assert re.search(r"POST /v1/chat/completions app=shop status=200 first_byte_ms=\d+", lines)
    assert "app=- status=401" in lines and "Traceback" not in lines
    for secret in (KEY, TOKEN, "secret tea", "Likes", "ann", "zoë", "Ignore all", "wrong-key"):
        assert secret not in lines, secret


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--host", "0.0.0.0"], {}, "every machine that reaches it could use your key; give --tokens FILE"),
        ([], {"OPENAI_API_KEY": ""}, "no key for the upstream; set OPENAI_API_KEY"),
        (["--upstream", "ftp://x"], {}, "'ftp://x' is no http address"),
        (["--upstream", "http://host:abc"], {}, "'http://host:abc' is no http address; give one as https://HOST/v1"),
        (["--upstream", "http://"], {}, "'http://' is no http address"),
        (["--upstream", "http://localhost:8787/v1", "--port", "8787"], {}, "is this proxy itself; give --upstream"),
        (["--tokens", "TOKENS"], {}, "entry 1 of TOKENS is not NAME TOKEN"),
        (["--store", "/nowhere/p.db"], {}, "p.db"),
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_start_is_one_line(arguments, environment, expected, folder, plus_here, monkeypatch):
    monkeypatch.chdir(folder)
    Path("TOKENS").write_text("shop short-secret\n")
    for name, value in {"OPENAI_API_KEY": KEY, **environment}.items():
        monkeypatch.setenv(name, value)
    status, out, err = plus_here("proxy", "--store", folder / "p.db", "--port", "0", *arguments)
    assert (status, out) == (2, "") and expected in err and len(err.strip().splitlines()) == 1
    assert (
        "short-secret" not in err
        and KEY not in err
        and os.environ["OPENAI_API_KEY"] == environment.get("OPENAI_API_KEY", KEY)
    )


def test_a_port_in_use_and_a_store_of_a_newer_version_are_one_line(folder, tmp_path, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = plus_here("proxy", "--store", folder / "p.db", "--port", port)
    assert status == 2 and f"cannot listen on 127.0.0.1 port {port}" in err and "another --port" in err
    Store(tmp_path / "new.db").close()
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("PRAGMA user_version = 1000")
    status, _, err = plus_here("proxy", "--store", tmp_path / "new.db", "--port", "0")
    assert status == 2 and "was written by a newer plus" in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_requests_take_no_more_memory_than_the_first_thousand(folder, capsys):
    import psutil

    async def thousand(client: httpx2.AsyncClient, address: str) -> None:
        left = list(range(1000))

        async def worker() -> None:
            while left:
                body = {"model": "m", "messages": ASK, "user": ("ann", "nobody")[left.pop() % 2]}
                assert (await client.post(f"{address}/chat/completions", json=body)).status_code == 200

        await asyncio.gather(*[worker() for _ in range(10)])

    async def run(process: psutil.Process, server, address: str) -> list[int]:
        used = []
        async with httpx2.AsyncClient(timeout=60) as client:
            for _ in range(10):
                await thousand(client, address)
                used.append(process.memory_info().rss)
                server.forget()
        return used

    with upstream() as server, proxying(folder, server.url) as (child, address, _):
        process = psutil.Process(child.pid)
        used = asyncio.run(run(process, server, address))
        seconds = sum(process.cpu_times()[:2])
    with capsys.disabled():
        print(f"MiB by thousand {[round(rss / 2**20, 1) for rss in used]}, {seconds / 10:.1f} CPU ms a request")
    assert used[-1] <= used[0] + 2**20
