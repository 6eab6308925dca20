"""The official client, knowing the user, against a real server that speaks the protocol and misbehaves."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
import traceback

import openai
import pydantic
import pytest
from support.hostile import HOSTILE
from support.personalized import KEY, Known, profile_of
from support.upstream import upstream

from plus.errors import SettingError, UnknownUserError, WindowError
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.client import AsyncPersonalizedOpenAI, PersonalizedOpenAI
from plus.serve.requests import Personalizer, StoreFile

ASK = [{"role": "user", "content": "Which tea?"}]
APP = {"role": "system", "content": "You sell tea."}


PROFILES = Known(ann="Likes cats.", bob="Likes dogs.")


@pytest.fixture
def server():
    with upstream() as running:
        yield running


@pytest.fixture
def client(server):
    with PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url, max_retries=2), PROFILES) as made:
        yield made


def test_chat_completions_hold_the_users_profile_and_ids_that_are_hashes(client, server):
    for user in ("ann", "bob", "ann"):
        made = client.chat.completions.create(user_id=user, model="m", messages=[APP, *ASK], temperature=0.5, seed=3)
    assert made.choices[0].message.content == "Tea is fine."
    assert list(map(profile_of, server.asked)) == ["Likes cats.", "Likes dogs.", "Likes cats."]
    ann, bob, again = server.asked
    assert ann == again and ann["temperature"] == 0.5 and ann["seed"] == 3 and ann["messages"][1:] == ASK
    assert ann["messages"][0]["content"].startswith("You sell tea.\n\n")
    ids = [body[name] for body in (ann, bob) for name in ("safety_identifier", "prompt_cache_key")]
    assert len(set(ids)) == 4 and all(len(value) == 32 for value in ids)
    assert "ann" not in json.dumps(server.headers) and not any(b'"ann"' in raw for raw in server.raw)
    assert client.counts["personalized"] == 3


def test_responses_hold_it_in_instructions_or_after_the_apps_text_in_the_input(client, server):
    client.responses.create(user_id="ann", model="m", input="Which tea?", instructions="You sell tea.")
    client.responses.create(user_id="ann", model="m", input="Which tea?")
    made = client.responses.create(user_id="ann", model="m", input=[{**APP, "role": "developer"}, *ASK])
    assert made.output_text == "Tea is fine."
    assert [profile_of(body) for body in server.asked] == ["Likes cats."] * 3
    assert server.asked[0]["instructions"].startswith("You sell tea.\n\n") and server.asked[0]["input"] == "Which tea?"
    assert "instructions" not in server.asked[2] and server.asked[2]["input"][1:] == ASK


def test_a_request_about_an_unknown_user_has_the_very_bytes_of_the_plain_client(client, server):
    request = {"model": "m", "messages": [APP, *ASK], "user": "x", "extra_body": {"top_k": 3}}
    client.chat.completions.create(user_id="nobody", **request)
    client.chat.completions.create(**request)
    openai.OpenAI(api_key=KEY, base_url=server.url).chat.completions.create(**request)
    assert server.raw[0] == server.raw[1] == server.raw[2]
    assert client.counts["unknown"] == 1
    strict = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), PROFILES, on_unknown="error")
    with pytest.raises(UnknownUserError, match="there is no summary of user 'nobody'"):
        strict.chat.completions.create(user_id="nobody", **request)
    assert len(server.raw) == 3
    with pytest.raises(SettingError, match="a user_id is text, not int"):
        client.chat.completions.create(user_id=7, **request)


def test_what_the_app_says_itself_stands(client, server):
    own = {"safety_identifier": "s", "prompt_cache_key": "k", "user": "u"}
    client.chat.completions.create(user_id="ann", model="m", messages=iter(ASK), **own)
    assert {name: server.asked[0][name] for name in own} == own
    assert server.asked[0]["messages"][1:] == ASK


def test_streams_tools_structured_outputs_and_raw_responses_pass_and_stay_personal(client, server):
    class Order(pydantic.BaseModel):
        tea: str

    call = {"user_id": "ann", "model": "m", "messages": ASK}
    pieces = client.chat.completions.create(**call, stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "Tea is fine."
    tools = [{"type": "function", "function": {"name": "brew", "parameters": {"type": "object", "properties": {}}}}]
    assert client.chat.completions.create(**call, tools=tools).choices[0].message.tool_calls[0].function.name == "brew"
    assert client.chat.completions.parse(**call, response_format=Order).choices[0].message.parsed == Order(tea="green")
    raw = client.chat.completions.with_raw_response.create(**call)
    assert raw.status_code == 200 and raw.parse().choices
    assert client.with_raw_response.chat.completions.create(**call).status_code == 200
    with client.chat.completions.with_streaming_response.create(**call) as response:
        assert b"Tea is fine." in response.read()
    with client.chat.completions.stream(**call) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Tea is fine."
    assert client.with_options(timeout=7).chat.completions.create(**call).choices
    ask = {"user_id": "ann", "model": "m", "input": "Which tea?"}
    assert client.responses.create(**ask, stream=True).__next__().type == "response.created"
    with client.responses.stream(**ask) as stream:
        assert stream.get_final_response().output_text == "Tea is fine."
    assert client.copy(max_retries=0).responses.with_raw_response.create(**ask).status_code == 200
    assert len(server.asked) == 11
    assert [profile_of(body) for body in server.asked] == ["Likes cats."] * 11
    assert server.asked[1]["tools"] == tools
    assert [model.id for model in client.models.list()] == ["m"]


def test_the_async_form_does_the_same(server):
    async def run():
        async with AsyncPersonalizedOpenAI(openai.AsyncOpenAI(api_key=KEY, base_url=server.url), PROFILES) as client:
            call = {"user_id": "bob", "model": "m-no-ids", "messages": ASK}
            async with client.chat.completions.stream(**call) as stream:
                assert (await stream.get_final_completion()).choices
            pieces = [p async for p in await client.chat.completions.create(**call, stream=True)]
            assert len(pieces) == 6
            assert (await client.chat.completions.with_raw_response.create(**call)).status_code == 200
            async with client.chat.completions.with_streaming_response.create(**call) as response:
                assert b"Tea" in await response.read()
            made = await client.with_options(timeout=9).responses.create(user_id="bob", model="m", input="Tea?")
            assert made.output_text == "Tea is fine."

    asyncio.run(run())
    assert [profile_of(body) for body in server.asked] == ["Likes dogs."] * 6
    assert ["safety_identifier" in body for body in server.asked] == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("model", "placement", "sent"),
    [
        ("no-ids", "system", [("system", {"safety_identifier", "prompt_cache_key"}), ("system", {"prompt_cache_key"})]),
        ("strict", "system", [("system", {"safety_identifier", "prompt_cache_key"}), ("system", set())]),
        (
            "strict-no-developer",
            "developer",
            [("developer", {"safety_identifier", "prompt_cache_key"}), ("developer", set()), ("system", set())],
        ),
        (
            "strict-no-system",
            "developer",
            [
                ("developer", {"safety_identifier", "prompt_cache_key"}),
                ("developer", set()),
                ("system", set()),
                ("user", set()),
            ],
        ),
    ],
)
def test_what_a_server_refuses_is_left_out_and_remembered(server, model, placement, sent):
    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), PROFILES, placement=placement)
    with client.chat.completions.stream(user_id="ann", model=model, messages=ASK) as stream:
        assert stream.get_final_completion().choices
    client.chat.completions.create(user_id="bob", model=model, messages=ASK)
    found = [
        (b["messages"][0]["role"], {f for f in ("safety_identifier", "prompt_cache_key") if f in b})
        for b in server.asked
    ]
    assert found == [*sent, sent[-1]], "the second request begins where the first one ended"
    assert list(map(profile_of, server.asked)) == [*["Likes cats."] * len(sent), "Likes dogs."]
    assert client.counts["personalized"] == 2


def test_a_refusal_of_the_apps_own_fields_is_the_apps(client, server):
    with pytest.raises(openai.BadRequestError, match="safety_identifier"):
        client.chat.completions.create(user_id="ann", model="no-ids", messages=ASK, safety_identifier="mine")
    # Without the added field, then as it was given: the app's error is about its own request.
    assert [set(body) - {"model", "messages"} for body in server.asked] == [
        {"safety_identifier", "prompt_cache_key"}, {"safety_identifier"}, {"safety_identifier"},
    ]  # fmt: skip
    assert list(map(profile_of, server.asked)) == ["Likes cats.", "Likes cats.", ""]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(user_id="ann", model="m-400", messages=ASK)
    client.chat.completions.create(user_id="ann", model="m", messages=ASK)
    assert "safety_identifier" in server.asked[-1], "nothing is learned from a request that never went through"


def test_a_summary_that_does_not_fit_leaves_the_request_plain_and_is_counted(server):
    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), PROFILES, max_tokens=3)
    client.chat.completions.create(user_id="ann", model="m", messages=ASK)
    assert server.asked == [{"model": "m", "messages": ASK}]
    assert client.counts == {"personalized": 0, "too_long": 1}


def test_a_server_out_of_order_is_the_clients_own_error_without_key_or_summary(client, server, caplog):
    call = {"user_id": "ann", "messages": ASK}
    started = time.perf_counter()
    assert client.chat.completions.create(model="m-limited", **call).choices
    assert time.perf_counter() - started >= 0.2, "Retry-After is the official client's"
    assert client.chat.completions.create(model="m-slow", **call).choices
    errors = []
    for model, wanted in (
        ("m-500", openai.InternalServerError),
        ("m-401", openai.AuthenticationError),
        ("m-404", openai.NotFoundError),
    ):
        with caplog.at_level(logging.INFO), pytest.raises(wanted) as caught:
            client.with_options(max_retries=0).chat.completions.create(model=model, **call)
        errors.append(caught.value)
    with pytest.raises(openai.APITimeoutError) as caught:
        client.with_options(timeout=0.1, max_retries=0).chat.completions.create(model="m-slow", **call)
    errors.append(caught.value)
    with pytest.raises((json.JSONDecodeError, openai.OpenAIError)) as caught:
        client.chat.completions.create(model="m-malformed", **call)
    errors.append(caught.value)
    with pytest.raises(Exception, match=r"(?i)closed|incomplete|disconnected|peer|connection") as caught:
        list(client.chat.completions.create(model="m-cut", stream=True, **call))
    errors.append(caught.value)
    shown = "".join("".join(traceback.format_exception(error)) for error in errors) + caplog.text + repr(client)
    shown += repr(client.chat.completions) + repr(client.chat.completions.create)
    assert KEY not in shown and "Likes cats" not in shown
    assert {profile_of(body) for body in server.asked} == {"Likes cats."}


def test_hostile_summaries_and_ids_change_no_structure_upstream(client, server, capsys):
    """Each text as the summary of the user whose id it is; half of them with the app's text before."""
    hostile = PersonalizedOpenAI(
        openai.OpenAI(api_key=KEY, base_url=server.url), Known({text: text for text in HOSTILE}), max_tokens=10_000
    )
    for number, text in enumerate(HOSTILE):
        hostile.chat.completions.create(user_id=text, model="m", messages=[APP, *ASK] if number % 2 else ASK)
    shapes = {
        (tuple(body), tuple((*m, m["role"]) for m in body["messages"]), frozenset(headers))
        for text, body, headers in zip(HOSTILE, server.asked, server.headers, strict=True)
        if "\ud800" not in text  # No id: no store can hold it, so the request went out plain.
    }
    assert len(shapes) == 1, shapes
    with capsys.disabled():
        print(f"{len(HOSTILE)} hostile summaries and ids, one structure upstream")
    assert len(server.asked) == len(HOSTILE) and all(body["messages"][-1] == ASK[0] for body in server.asked)
    assert (
        len({body.get("safety_identifier") for body in server.asked})
        == len({t for t in HOSTILE if "\ud800" not in t}) + 1
    )


def isolated(server, users: int, requests: int, cancelled: float) -> int:
    """Requests of random users, 50 at a time, some cancelled; returns how many arrived, each with its own user's."""
    profiles = Known({f"u{n}": f"Likes number {n} best." for n in range(users)})
    rng = random.Random(0)

    async def one(client, gate, user: int) -> None:
        kind = rng.choice(["m", "m-drip"])
        ask = [{"role": "user", "content": f"I am number {user}."}]
        async with gate:
            if rng.random() < 0.5:
                made = await client.chat.completions.create(user_id=f"u{user}", model=kind, messages=ask, stream=True)
                async for _ in made:
                    pass
            else:
                await client.responses.create(user_id=f"u{user}", model="m", input=ask[0]["content"])

    async def run() -> None:
        gate = asyncio.Semaphore(50)
        inner = openai.AsyncOpenAI(api_key=KEY, base_url=server.url, max_retries=0)
        async with AsyncPersonalizedOpenAI(inner, profiles, salt=b"own") as client:
            tasks = [asyncio.create_task(one(client, gate, rng.randrange(users))) for _ in range(requests)]
            for task in tasks:
                if rng.random() < cancelled:
                    asyncio.get_running_loop().call_later(rng.random() * 2, task.cancel)
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [e for e in done if isinstance(e, Exception)], done
        assert sum(isinstance(e, asyncio.CancelledError) for e in done) > 0

    asyncio.run(run())
    for body in server.asked:
        asked = body["messages"][-1]["content"] if "messages" in body else body["input"]
        number = asked.removeprefix("I am number ").removesuffix(".")
        assert profile_of(body) == f"Likes number {number} best."
        assert body["safety_identifier"] == Personalizer(profiles, b"own").hashed("safety_identifier", f"u{number}")
    return len(server.asked)


def test_every_request_holds_its_own_users_summary(server):
    assert isolated(server, users=200, requests=150, cancelled=0.2) > 80


@pytest.mark.slow
def test_two_hundred_users_with_fifty_requests_each(server):
    assert isolated(server, users=200, requests=10_000, cancelled=0.1) > 8_000


def test_many_threads_read_one_store(server, tmp_path):
    path = tmp_path / "p.db"
    with Store(path) as store:
        for number in range(8):
            save_user(store, f"u{number}", f"Likes number {number}.", 0)
    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=server.url), StoreFile(path))
    call = client.chat.completions.create
    threads = [
        threading.Thread(target=lambda n=n: call(user_id=f"u{n}", model="m", messages=ASK, user=f"{n}"))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {body["user"]: profile_of(body) for body in server.asked} == {f"{n}": f"Likes number {n}." for n in range(8)}


def longest_first(rows):
    """A reward model that reads what it is given: likes what the summary names, and says who it was."""
    return [float(summary.split()[-1].rstrip(".") in answer) for summary, _, answer in rows]


class Several:
    """An upstream whose choices differ: n answers, one naming each animal, one of them a call of a tool."""

    ANSWERS = ("Fish swim.", "I saw dogs.", "I saw cats.", None)


@pytest.fixture
def several():
    """A real server that gives as many choices as it is asked for."""
    import json as json_
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json_.loads(self.rfile.read(int(self.headers["Content-Length"])))
            choices = [
                {
                    "index": n,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": Several.ANSWERS[n % 4]},
                }
                for n in range(body.get("n", 1))
            ]
            data = json_.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_best_of_n_is_the_answer_that_the_users_reward_model_prefers(several):
    inner = openai.OpenAI(api_key=KEY, base_url=several)
    client = PersonalizedOpenAI(inner, PROFILES, rewards=longest_first)
    for user, best in (("ann", "I saw cats."), ("bob", "I saw dogs.")):
        made = client.chat.completions.create(user_id=user, model="m", messages=ASK, n=4, rank="plus")
        assert made.choices[0].message.content == best and made.choices[0].plus_reward == 1.0
        assert {choice.index for choice in made.choices} == {0, 1, 2, 3}, "the others stay reachable"
        assert made.choices[-1].message.content is None, "a call of a tool has no text to rank"
    made = client.chat.completions.create(user_id="nobody", model="m", messages=ASK, n=4, rank="plus")
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3], "nothing is known: the server's order"
    made = client.chat.completions.create(user_id="ann", model="m", messages=ASK, n=4)
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3]

    async def run():
        async with AsyncPersonalizedOpenAI(
            openai.AsyncOpenAI(api_key=KEY, base_url=several), PROFILES, rewards=longest_first
        ) as other:
            return await other.chat.completions.create(user_id="bob", model="m", messages=ASK, n=3, rank="plus")

    assert asyncio.run(run()).choices[0].message.content == "I saw dogs."


def test_what_the_reward_model_cannot_read_keeps_the_servers_order(several):
    def too_long(rows):
        raise WindowError("the window is too small")

    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=several), PROFILES, rewards=too_long)
    made = client.chat.completions.create(user_id="ann", model="m", messages=ASK, n=3, rank="plus")
    assert [choice.index for choice in made.choices] == [0, 1, 2] and client.counts["unranked"] == 1


def test_a_real_reward_model_ranks(several, reward_model):
    client = PersonalizedOpenAI(openai.OpenAI(api_key=KEY, base_url=several), PROFILES, rewards=reward_model.rewards)
    made = client.chat.completions.create(user_id="ann", model="m", messages=[APP, *ASK], n=3, rank="plus")
    rows = [("Likes cats.", "Which tea?", choice.message.content) for choice in made.choices]
    assert [choice.plus_reward for choice in made.choices] == sorted(reward_model.rewards(rows), reverse=True)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"rank": "best"}, "there is no rank='best'"),
        ({"rank": "plus", "stream": True}, "a stream has none; leave out stream or rank"),
        ({"rank": "plus", "user_id": None}, "ranks for a user; give user_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_ranked_is_one_line_and_sends_nothing(call, expected, server):
    inner = openai.OpenAI(api_key=KEY, base_url=server.url)
    client = PersonalizedOpenAI(inner, PROFILES, rewards=longest_first)
    request = {"user_id": "ann", "model": "m", "messages": ASK, "n": 2, **call}
    with pytest.raises(SettingError, match=expected):
        client.chat.completions.create(**request)
    for method in (
        client.chat.completions.with_raw_response.create,
        client.with_raw_response.chat.completions.create,
        client.responses.create,
        client.chat.completions.stream,
    ):
        with pytest.raises(SettingError, match=r"rank='plus' orders the choices of chat\.completions\.create"):
            method(user_id="ann", model="m", messages=ASK, rank="plus")
    with pytest.raises(SettingError, match="needs a reward model; give rewards="):
        PersonalizedOpenAI(inner, PROFILES).chat.completions.create(user_id="ann", model="m", messages=ASK, rank="plus")
    assert server.asked == []
