"""What a program with a base URL does besides: other routes, keys, headers, leaving early, being rude."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import openai
import pytest
from serve.test_proxy import ASK, KEY, TOKEN, proxying, where
from support.personalized import profile_of
from support.running import ENVIRONMENT
from support.upstream import upstream

from plus.errors import SettingError
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.incoming import read_tokens
from plus.serve.listen import ProxySettings, open_socket, open_sockets

HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("relay")
    with Store(path / "p.db") as store:
        save_user(store, "mia", "Bakes bread.", 0)
        save_user(store, "zoë", "Keeps bees.", 0)
    (path / "tokens").write_text(f"shop {TOKEN}\nkiosk token-of-the-kiosk-1 mia,tom\n")
    (path / "tokens").chmod(0o600)
    return path


@pytest.fixture(scope="module")
def running(folder):
    arguments = ["--tokens", str(folder / "tokens"), "--user_header", "X-OpenWebUI-User-Id"]
    arguments += ["--origin", "https://app.example", "--workers", "2"]
    with upstream() as server, proxying(folder, server.url, *arguments) as (process, address, log):
        yield server, address, log, process


@pytest.fixture
def server(running):
    running[0].forget()
    return running[0]


def post(address: str, path: str, body: object, headers: dict | None = None) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body)
    return httpx2.post(f"{address}/{path}", content=content, headers=HEADERS | (headers or {}), timeout=60)


@pytest.mark.parametrize(
    "path",
    ["embeddings", "completions", "moderations", "audio/speech", "chat/completions/x", "embeddings?api-version=7"],
)
def test_other_routes_are_handed_on_with_their_query(path, running, server):
    found = post(running[1], path, {"model": "m", "input": "tea", "user": "mia"})
    assert found.status_code == 200 and found.json()["path"] == f"/v1/{path}" == server.paths[0]
    assert len(server.asked[0]["user"]) == 32 and b"mia" not in server.raw[0]
    assert found.headers["x-request-id"] == "r7" and found.headers["x-own"] == "kept", "the answer's headers are kept"
    assert "set-cookie" not in found.headers and found.headers["openai-processing-ms"] == "12"


def test_gets_keep_an_encoded_slash_and_leave_no_route(running, server):
    for path, status in (("models/org%2Fname", 200), ("responses/r1", 200), ("models/../files", 404), ("files", 404)):
        with socket.create_connection(where(running[1]), timeout=20) as wire:
            head = f"GET /v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            wire.sendall(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            said = b""
            while piece := wire.recv(65536):
                said += piece
        assert int(said.split()[1]) == status, (path, said)
        assert status == 200 or b"it serves /v1/ and one of audio, chat" in said
    assert server.paths == ["/v1/models/org%2Fname", "/v1/responses/r1"]


def test_forms_pass_untouched_unless_they_name_a_user_or_come_from_a_page(running, server):
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
    assert post(running[1], "audio/transcriptions", body, form).status_code == 200 and server.raw == [body]
    named = body.replace(b'"model"', b'"user"')
    refused = post(running[1], "images/edits", named, form)
    assert refused.status_code == 400 and "leave it out" in refused.text
    page = post(running[1], "audio/transcriptions", body, form | {"Origin": "https://evil.example"})
    assert page.status_code == 415 and len(server.raw) == 1


def test_the_key_goes_as_the_app_gave_its_token(running, server):
    plain = {"Content-Type": "application/json"}
    for name in ("api-key", "x-api-key"):
        body = json.dumps({"model": "m", "messages": ASK})
        found = httpx2.post(f"{running[1]}/chat/completions", content=body, headers=plain | {name: TOKEN})
        assert found.status_code == 200
        sent = server.headers[-1]
        assert sent[name] == KEY and "authorization" not in sent and TOKEN not in str(sent)
    assert httpx2.post(f"{running[1]}/models", headers={"api-key": "wrong"}).status_code == 401


def test_anthropics_messages_are_personal_and_errors_have_their_shape(running, server):
    body = {"model": "claude", "max_tokens": 5, "messages": ASK, "metadata": {"user_id": "mia"}}
    assert post(running[1], "messages", body, {"anthropic-version": "2023-06-01"}).status_code == 200
    assert "Bakes bread." in server.asked[0]["system"] and server.asked[0]["messages"] == ASK
    assert len(server.asked[0]["metadata"]["user_id"]) == 32 and server.headers[0]["anthropic-version"] == "2023-06-01"
    assert post(running[1], "messages/count_tokens", body).status_code == 200
    assert "Bakes bread." in server.asked[1]["system"], "the profile is counted too"
    refused = post(running[1], "messages", body, {"X-Plus-User": "tom"})
    said = {
        "type": "invalid_request_error",
        "message": "the request names two different users, in headers or fields; name one",
    }
    assert refused.json() == {"type": "error", "error": said} and refused.status_code == 400


def test_the_user_is_in_any_header_that_was_named_and_none_of_them_leaves(running, server):
    body = {"model": "m", "messages": ASK}
    for name, value in (
        ("X-OpenWebUI-User-Id", b"mia"), ("X-Plus-User", b"mia"), ("X-Plus-User", "zoë".encode()),
        ("X-Plus-User", "zoë".encode("latin-1")), ("X-Plus-User", b"zo%C3%AB"), ("X-Other", b"mia"),
    ):  # fmt: skip
        httpx2.post(f"{running[1]}/chat/completions", json=body, headers=[*HEADERS.items(), (name, value)])
    assert list(map(profile_of, server.asked)) == [*["Bakes bread."] * 2, *["Keeps bees."] * 3, ""]
    assert not any(b"mia" in str(headers).encode() for headers in server.headers)


def test_a_token_may_be_for_some_users_alone(running, server):
    body = {"model": "m", "messages": ASK}
    kiosk = {"Authorization": "Bearer token-of-the-kiosk-1"}
    assert post(running[1], "chat/completions", body, kiosk | {"X-Plus-User": "mia"}).status_code == 200
    assert post(running[1], "chat/completions", body, kiosk).status_code == 200
    refused = post(running[1], "embeddings", {**body, "user": "zo\u00eb"}, kiosk)
    assert refused.status_code == 403 and "may not name this user" in refused.text and len(server.asked) == 2


def test_named_pages_may_ask(running):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
        found = httpx2.options(f"{running[1]}/chat/completions", headers={"Origin": origin, **asks})
        assert (found.headers.get("access-control-allow-origin") == origin) is allowed
        assert (found.status_code == 200) is allowed


def test_metrics_are_summed_over_workers_and_name_nobody(running, server):
    address = running[1].removesuffix("/v1") + "/metrics"
    assert httpx2.get(address).status_code == 401

    def value(name: str) -> int:
        return int(re.search(rf"^{re.escape(name)} (\d+)$", httpx2.get(address, headers=HEADERS).text, re.MULTILINE)[1])

    name = 'plus_proxy_outcomes_total{outcome="personalized"}'
    before, all_before = value(name), value("plus_proxy_requests_total")
    for _ in range(6):
        assert post(running[1], "chat/completions", {"model": "m", "messages": ASK, "user": "mia"}).status_code == 200
    assert value(name) == before + 6 and value("plus_proxy_requests_total") == all_before + 6
    assert "mia" not in httpx2.get(address, headers=HEADERS).text


def test_hup_reads_the_tokens_anew_in_every_worker(running, folder, server):
    _, address, log, process = running
    old, body = (folder / "tokens").read_text(), {"model": "m", "messages": ASK}
    new = {"Authorization": "Bearer token-that-is-new-1"}
    assert post(address, "chat/completions", body, new).status_code == 401
    (folder / "tokens").write_text(old + "new token-that-is-new-1\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.read_text().count("tokens read anew: 3") == 2)
    assert {post(address, "chat/completions", body, new).status_code for _ in range(8)} == {200}
    (folder / "tokens").write_text("broken\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.read_text().count("the old ones stay: entry 1") == 2)
    assert post(address, "chat/completions", body, new).status_code == 200
    (folder / "tokens").write_text(old)


def wait_for(true, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert true()


def test_a_worker_that_dies_is_replaced(running, server):
    _, address, _, process = running
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    first = children.read_text().split()
    time.sleep(2)  # One that ends sooner would end again.
    os.kill(int(first[0]), signal.SIGKILL)
    wait_for(lambda: len(found := children.read_text().split()) == 2 and first[0] not in found)
    assert {post(address, "chat/completions", {"model": "m", "messages": ASK}).status_code for _ in range(6)} == {200}


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_before_the_first_byte_frees_the_upstream(stream, running, server):
    before = server.unfinished
    body = json.dumps({"model": "m-wait", "messages": ASK, "user": "mia", "stream": stream}).encode()
    with socket.create_connection(where(running[1])) as wire:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.sendall(head.encode() + body)
        wait_for(lambda: server.asked)
    wait_for(lambda: server.unfinished == before + 1, 4)
    wait_for(lambda: "status=499" in running[2].read_text())


def test_a_broken_stream_of_responses_ends_with_an_error_of_its_protocol(running):
    client = openai.OpenAI(api_key=TOKEN, base_url=running[1], max_retries=0)
    *_, last = client.responses.create(model="m-cut", input="Tea?", user="mia", stream=True)
    assert last.type == "error" and last.message == "the upstream's answer broke off"
    said = post(running[1], "responses", {"model": "m-cut", "input": "Tea?", "stream": True}).text
    event = json.loads(said.rsplit("event: error\ndata: ", 1)[1])
    assert event["type"] == "error" and event["code"] == "502" and event["sequence_number"] == 3


def test_a_request_that_only_fails_with_the_summary_is_sent_as_it_was(folder):
    """A window that the summary overflows, and a server that refuses unknown fields without naming them."""
    with upstream() as server, proxying(folder, server.url) as (_, address, log):
        client = openai.OpenAI(api_key="any", base_url=address, max_retries=0)
        for _ in range(2):
            assert client.chat.completions.create(model="m-window", messages=ASK, user="mia").choices
            assert client.chat.completions.create(model="m-mute", messages=ASK, user="mia").choices
    window = [profile_of(body) for body in server.asked if body["model"] == "m-window"]
    assert window == ["Bakes bread.", "Bakes bread.", ""] * 2
    mute = [(profile_of(body), "prompt_cache_key" in body) for body in server.asked if body["model"] == "m-mute"]
    assert mute == [("Bakes bread.", True), ("Bakes bread.", False), ("Bakes bread.", False)], "it is learned"
    assert re.search(r"ended: 2 personalized, 2 resent", log.read_text()), log.read_text()


def test_a_proxy_of_the_environment_never_sees_what_goes_to_this_machine(folder, monkeypatch):
    with upstream() as server, upstream() as company:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setitem(ENVIRONMENT, name, company.url.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setitem(ENVIRONMENT, name, "")
            monkeypatch.delenv(name, raising=False)
        with proxying(folder, server.url) as (_, address, log):
            assert post(address, "chat/completions", {"model": "m", "messages": ASK, "user": "mia"}).status_code == 200
            assert "through the proxy" not in log.read_text()
        assert len(server.asked) == 1 and company.paths == [] and company.asked == []
    monkeypatch.setenv("http_proxy", company.url.removesuffix("/v1"))
    shown = ProxySettings("http://me:hunter2@model.example/v1", KEY)
    assert shown.route() == f"http://model.example/v1 through the proxy {company.url.removesuffix('/v1')}"
    assert "key and summaries go to model.example in clear text" in shown.warnings()[0]
    assert "hunter2" not in shown.route() + str(shown.warnings())


def test_a_deleted_store_is_503_and_nothing_of_it_leaves(tmp_path):
    with Store(tmp_path / "p.db") as store:
        save_user(store, "mia", "Bakes bread.", 0)
    with upstream() as server, proxying(tmp_path, server.url) as (_, address, _log):
        body = {"model": "m", "messages": ASK, "user": "mia"}
        assert post(address, "chat/completions", body).status_code == 200
        for file in tmp_path.glob("p.db*"):
            file.unlink()
        refused = post(address, "chat/completions", body)
        assert refused.status_code == 503 and "plus doctor" in refused.text and len(server.asked) == 1
        plain = {"model": "m", "messages": ASK}
        assert post(address, "chat/completions", plain).status_code == 200, "nobody is named: nothing is read"


def test_nobody_named_is_refused_and_said_once_where_so_set(folder):
    with upstream() as server, proxying(folder, server.url, "--on_unknown", "error") as (_, address, log):
        for body in ({}, {"user": 42}, {"user": "eve"}):
            assert post(address, "chat/completions", {"model": "m", "messages": ASK, **body}).status_code == 404
        assert server.asked == []
    assert log.read_text().count("a request names no user") == 1 and "2 unnamed" in log.read_text()


@pytest.mark.slow  # It waits for the deadline of idle callers.
def test_a_thousand_idle_callers_stop_nobody(folder):
    with upstream() as server, proxying(folder, server.url, "--max_connections", "20") as (_, address, _log):
        crowd = [socket.create_connection(where(address)) for _ in range(1000)]
        for wire in crowd[500:]:
            wire.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: lo")
        body = {"model": "m", "messages": ASK, "user": "mia"}
        assert post(address, "chat/completions", body).status_code == 200
        time.sleep(12)
        closed = 0
        for wire in crowd:
            wire.settimeout(0.01)
            with suppress(OSError):
                closed += wire.recv(10) == b""
            wire.close()
        assert closed == 1000 and post(address, "chat/completions", body).status_code == 200


@pytest.mark.slow
def test_a_body_of_empty_objects_stops_nobody_and_takes_no_memory(folder, capsys):
    import psutil

    with upstream() as server, proxying(folder, server.url) as (process, address, _):
        body = b'{"model":"m","user":"mia","messages":[],"x":[' + b"{}," * (20 * 2**20) + b"1]}"
        raw = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

        def send(head: bytes) -> None:
            with socket.create_connection(where(address), timeout=60) as wire, suppress(OSError):
                wire.sendall(raw + head + b"\r\n\r\n" + body)
                wire.recv(1000)

        worst = 0.0
        for head in (b"Content-Length: %d" % len(body), b"Content-Length: %d" % (30 * 2**20)):
            thread = threading.Thread(target=send, args=(head,))
            thread.start()
            while thread.is_alive():
                began = time.monotonic()
                assert httpx2.get(address.removesuffix("/v1") + "/healthz", timeout=60).status_code == 200
                worst = max(worst, time.monotonic() - began)
        peak = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024
        assert psutil.pid_exists(process.pid) and server.asked == []
    with capsys.disabled():
        print(f"60 MiB of empty objects: others waited {worst:.2f} s at most, {peak:.0f} MiB at most")
    assert peak < 300


def test_a_token_file_is_checked_line_by_line(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("shop token-of-the-shop-01\nblog token-of-the-blog-01 ann,bob\n")
    tokens, users = read_tokens(file)
    assert tokens[hashlib.sha256(b"token-of-the-shop-01").digest()] == "shop" and users == {"blog": {"ann", "bob"}}
    for text, message in (
        ("shop short", "entry 1 of .* is not NAME TOKEN"),
        (
            "shop token-of-the-shop-01\nblog token-of-the-shop-01",
            "entry 2 .* gives blog the token of shop",
        ),
        ("shop token-of-the-shop-01 a b", "entry 1"),
        ("\n", "holds no token"),
    ):
        file.write_text(text)
        with pytest.raises(SettingError, match=message) as caught:
            read_tokens(file)
        assert "token-of" not in str(caught.value)


@pytest.mark.parametrize(
    ("upstream_", "port"), [("http://127.0.0.1:8787/v1", 8787), ("http://localhost/v1", 80), ("http://0.0.0.0:9/v1", 9)]
)
def test_an_upstream_that_is_the_proxy_itself_is_refused(upstream_, port):
    with pytest.raises(SettingError, match="is this proxy itself"):
        ProxySettings(upstream_, KEY, port=port)


def test_pieces_of_a_stream_do_not_wait_for_the_app_to_acknowledge_the_one_before():
    """Linux hands the listener's option on; asyncio sets it only on sockets that name their protocol."""
    with open_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems deal no connections")
def test_connections_that_come_at_once_are_dealt_to_all_workers_and_the_port_is_nobody_elses():
    """With one socket for both, of 200 connections one of two workers took up to 197."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(one) for one in open_sockets("127.0.0.1", 0, 2)]
        place = listeners[0].getsockname()
        for _ in range(200):
            stack.enter_context(socket.create_connection(place))
        taken = [0, 0]
        for number, listener in enumerate(listeners):
            listener.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    stack.enter_context(listener.accept()[0])
                    taken[number] += 1
        assert sum(taken) == 200 and min(taken) >= 50, taken
        for workers in (1, 2):
            with pytest.raises(SettingError, match="cannot listen"):
                open_sockets("127.0.0.1", place[1], workers)


def test_a_token_file_that_others_may_read_is_warned_about(folder):
    settings = ProxySettings("https://api.example/v1", KEY, tokens=folder / "tokens")
    assert settings.warnings() == []
    (folder / "tokens").chmod(0o644)
    assert "other users of this machine may read" in settings.warnings()[0]
    (folder / "tokens").chmod(0o600)
