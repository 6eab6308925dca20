"""What an app sends: who is named, what stands in the place of the name, and how much memory one caller may take."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from plus.serve import incoming
from plus.serve.incoming import Account, Budget, header_text, parsed, read_body, user_of, without_id, written

NAMES = frozenset({b"x-plus-user", b"x-openwebui-user-id"})


def hashed(text: str) -> str:
    return f"hash of {len(text)}"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ([], {}, None),
        ([(b"x-plus-user", b"mia")], {}, "mia"),
        ([(b"x-openwebui-user-id", b"mia")], {}, "mia"),
        ([(b"x-openwebui-user-email", b"mia")], {}, None),
        ([(b"x-plus-user", b"mia"), (b"x-plus-user", b"mia")], {"user": "mia"}, "mia"),
        ([], {"safety_identifier": "mia"}, "mia"),
        ([], {"user": "mia", "metadata": {"plan": "free"}}, "mia"),
        ([], {"metadata": {"user_id": "mia"}}, "mia"),
        ([], {"user": "", "metadata": "mia"}, None),
        ([], {"user": 7, "safety_identifier": ["mia"]}, None),
    ],
)
def test_a_request_names_somebody_or_nobody(headers, body, expected):
    assert user_of(headers, body, NAMES) == expected


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"x-plus-user", b"mia"), (b"x-plus-user", b"tom")], {}),
        ([(b"x-plus-user", b"mia"), (b"x-openwebui-user-id", b"tom")], {}),
        ([(b"x-plus-user", b"mia")], {"user": "tom"}),
        ([], {"user": "tom", "safety_identifier": "mia"}),
        ([], {"user": "tom", "metadata": {"user_id": "mia"}}),
    ],
)
def test_two_names_that_differ_are_refused(headers, body):
    with pytest.raises(HTTPException, match="two different users") as caught:
        user_of(headers, body, NAMES)
    assert caught.value.status_code == 400


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_percent_encoded_name_is_read_back_whatever_it_is(name):
    assert header_text(quote(name, safe="").encode()) == name


def test_a_name_is_utf_8_or_latin_1():
    assert [header_text(name) for name in ("Zoë".encode(), "Zoë".encode("latin-1"), b"100%", b"a+b")] == [
        "Zoë", "Zoë", "100%", "a+b",
    ]  # fmt: skip


FIELDS = st.dictionaries(
    st.sampled_from(["user", "safety_identifier", "prompt_cache_key", "metadata", "model", "temperature"]),
    st.one_of(
        st.none(), st.just("mia@x.org"), st.text(max_size=5), st.integers(), st.lists(st.just("mia@x.org")),
        st.dictionaries(st.sampled_from(["user_id", "plan"]), st.sampled_from(["mia@x.org", "free", 7, None])),
    ),
)  # fmt: skip


@given(FIELDS)
def test_no_field_that_names_a_user_keeps_the_name(body):
    before = json.dumps(body)
    try:
        user_id = user_of([(b"x-plus-user", b"mia@x.org")], body, NAMES)
    except HTTPException:
        return
    sent = without_id(body, user_id, hashed)
    assert json.dumps(body) == before, "the given one is not changed"
    kept = {name: value for name, value in sent.items() if name not in ("model", "temperature")}
    assert "mia@x.org" not in json.dumps(kept), (body, sent)
    assert sent.keys() == body.keys()
    assert (sent is body) == (sent == body)


def test_what_names_nobody_is_untouched():
    body = {"model": "m", "user": None, "safety_identifier": "", "metadata": {"plan": "free"}}
    assert without_id(body, None, hashed) is body


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (b"", 400, "is no JSON"),
        (b"{", 400, "is no JSON"),
        (b"\xff\xfe", 400, "is no JSON"),
        (b"[" * 100_000, 400, "is no JSON"),
        (b"[]", 400, "must be a JSON object, not list"),
        (b'{"a":NaN}', 400, "NaN is no number"),
        (b'{"a":[-Infinity]}', 400, "-Infinity is no number"),
        (b'{"a":' + b"9" * 5000 + b"}", 400, "a number with too many digits"),
    ],
)
def test_a_body_that_is_no_request_is_one_line(raw, status, message):
    with pytest.raises(HTTPException, match=message) as caught:
        parsed(raw)
    assert caught.value.status_code == status and "\n" not in caught.value.detail


def test_a_number_beyond_json_does_not_leave_and_others_keep_their_value():
    with pytest.raises(HTTPException, match="a number larger than"):
        written(parsed(b'{"a":1e999}'))
    for text in ("1.0", "0.1", "-2.5e-08", "1234567890123456789", "true"):
        assert written(parsed(f'{{"a":{text}}}'.encode())) == f'{{"a":{text}}}'.encode()


def request_of(pieces: list[bytes], headers: dict[str, str] | None = None) -> Request:
    left = list(pieces)

    async def receive():
        if not left:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    named = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": named}, receive)


def refusal_of(request: Request, account: Account) -> int:
    with pytest.raises(HTTPException) as caught:
        asyncio.run(read_body(request, account))
    return caught.value.status_code


def test_a_body_is_limited_before_while_and_as_long_as_it_is_read(monkeypatch):
    budget = Budget()
    piece = b"x" * 2**20
    with Account(budget) as account:
        assert refusal_of(request_of([], {"content-length": str(60 * 2**20)}), account) == 413, "nothing is read"
        assert refusal_of(request_of([piece] * 33), account) == 413, "without a length it is counted"
        assert refusal_of(request_of([b"{}," * 300_000] * 2), account) == 413, "parts take more memory than bytes"
    assert budget.left == incoming.BUDGET, "all of it was given back"
    monkeypatch.setattr(incoming, "BODY_SECONDS", 0.05)
    with Account(budget) as account:
        assert refusal_of(request_of([b"x"]), account) == 408


def test_large_bodies_share_a_budget_and_small_ones_need_none():
    budget = Budget(12 * 2**20)
    with Account(budget) as first:
        first.hold(11 * 2**20)
        with Account(budget) as second:
            assert refusal_of(request_of([b"x" * 2**20]), second) == 503
        assert budget.left == 2**20

        async def small() -> bytes:
            async def receive():
                return {"type": "http.request", "body": b"x" * 1000, "more_body": False}

            request = Request({"type": "http", "method": "POST", "headers": []}, receive)
            with Account(budget) as third:
                return await read_body(request, third)

        assert len(asyncio.run(small())) == 1000
    assert budget.left == 12 * 2**20
