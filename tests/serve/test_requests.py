"""A request about a user is a function of the request, the profile and the known refusals."""

from __future__ import annotations

import pytest
from support.personalized import Known

from plus.errors import UnknownUserError
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.serve.gate import Gate
from plus.serve.protocols import Profile, personal_request, refused_parts
from plus.serve.requests import Personalizer, StoreFile
from plus.types import Summary

ASK = {"model": "m", "messages": [{"role": "user", "content": "Which tea?"}]}
IDS = {"safety_identifier": "1f", "prompt_cache_key": "2f"}


def profile(**options) -> Profile:
    return Profile(Summary("ann", "Likes cats."), IDS, **options)


@pytest.mark.parametrize(
    ("about", "outcome", "added"),
    [
        (None, "plain", set()),
        (profile(), "personalized", {"safety_identifier", "prompt_cache_key"}),
        (profile(gated=True), "gated", {"safety_identifier", "prompt_cache_key"}),
        (profile(max_tokens=1), "too_long", set()),
    ],
)
def test_each_outcome_says_what_was_added(about, outcome, added):
    given = {**ASK, "messages": list(ASK["messages"])}
    sent, found = personal_request("chat", given, about)
    assert found == outcome and sent.keys() - given.keys() == added
    assert ("Likes cats." in str(sent["messages"])) == (outcome == "personalized")
    assert given == ASK, "the app's own request is not changed"


def test_known_refusals_are_left_out_and_the_role_gives_way():
    sent, _ = personal_request(
        "chat", ASK, profile(placement="developer"), frozenset({"developer", "prompt_cache_key"})
    )
    assert sent["messages"][0]["role"] == "system"
    assert "prompt_cache_key" not in sent and sent["safety_identifier"] == "1f"


def test_a_field_of_the_apps_own_stands_and_is_never_taken_for_a_refused_one():
    own = {**ASK, "prompt_cache_key": "mine"}
    sent, _ = personal_request("chat", own, profile())
    assert sent["prompt_cache_key"] == "mine"
    assert refused_parts(400, "unknown field prompt_cache_key", own, sent, "system") == frozenset()
    assert refused_parts(400, "unknown field safety_identifier", own, sent, "system") == {"safety_identifier"}
    assert refused_parts(422, "Role 'system' is not known", own, sent, "system") == {"system"}
    assert refused_parts(500, "safety_identifier", own, sent, "system") == frozenset()


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("chat", {}),
        ("chat", {"messages": None}),
        ("chat", {"messages": []}),
        ("chat", {"messages": "Which tea?"}),
        ("chat", {"messages": {"role": "user"}}),
        ("chat", {"messages": [{"role": "user", "content": "q"}, 7]}),
        ("responses", {"prompt": {"id": "p"}}),
        ("responses", {"input": 7}),
        ("responses", {"input": ["q"]}),
        ("messages", {"system": "You sell tea."}),
        ("messages", {"messages": ["q"]}),
    ],
)
def test_what_is_no_conversation_stays_what_it_is(kind, request_):
    sent, outcome = personal_request(kind, request_, profile())
    assert sent is request_ and outcome == "plain"


def test_anthropics_messages_have_the_profile_in_the_system_field():
    ask = {"messages": [{"role": "user", "content": "Which tea?"}]}
    block = {"type": "text", "text": "You sell tea.", "cache_control": {"type": "ephemeral"}}
    for app, expected in ((None, str), ("You sell tea.", str), ([block], list)):
        given = ask if app is None else ask | {"system": app}
        sent, outcome = personal_request("messages", given, profile())
        assert outcome == "personalized" and isinstance(sent["system"], expected) and "Likes cats." in str(sent)
        assert sent["messages"] == ask["messages"] and sent.keys() - given.keys() <= {"system"}, "no field of OpenAI's"
        assert app != [block] or sent["system"][0] == block, "the app's cached prefix keeps its bytes"
        again, _ = personal_request("messages", sent, profile())
        assert again == sent
    sent, _ = personal_request("messages", ask | {"system": "You sell tea."}, profile(placement="last_user"))
    assert sent["system"] == "You sell tea." and "Likes cats." in sent["messages"][-1]["content"]


def test_responses_take_the_profile_into_the_turn_where_so_placed():
    for given in ("Which tea?", [{"role": "user", "content": "Which tea?"}]):
        sent, _ = personal_request("responses", {"input": given}, profile(placement="last_user"))
        assert "instructions" not in sent and sent["input"][-1]["content"].endswith("\n\nWhich tea?")


def test_a_refusal_ends_with_the_request_as_the_app_wrote_it():
    personalizer = Personalizer(Known(ann="Likes cats."), b"salt")
    first = personalizer.attempt("chat", "ann", ASK)
    assert first.after_refusal(500, "out of order") is None and first.after_refusal(429, "slow down") is None
    second = first.after_refusal(400, "Bad Request")
    assert second.outcome == "personalized" and second.sent.keys() == ASK.keys(), (
        "without the fields, as none was named"
    )
    last = second.after_refusal(413, "too long")
    assert last.outcome == "resent" and last.sent == ASK and last.after_refusal(400, "too long") is None
    personalizer.accepted(last)
    assert personalizer.counts["resent"] == 1 and personalizer.refused == {}, "nothing is learned from it"
    # A server that was seen to take the fields is not asked again without them.
    personalizer.accepted(first)
    known = personalizer.attempt("chat", "ann", ASK)
    assert known.after_refusal(400, "too long").outcome == "resent"


def test_no_user_is_counted_and_refused_where_so_set():
    personalizer = Personalizer(Known(), b"salt")
    assert personalizer.attempt("chat", None, ASK).outcome == "plain" and personalizer.counts["unnamed"] == 1
    with pytest.raises(UnknownUserError, match="names no user; give a user_id"):
        Personalizer(Known(), b"salt", on_unknown="error").attempt("chat", None, ASK)


def test_ids_are_hashes_under_the_stores_salt(tmp_path):
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
    one, two = (Personalizer(StoreFile(tmp_path / "p.db")) for _ in range(2))
    assert one.hashed("x", "ann") == two.hashed("x", "ann") != one.hashed("y", "ann")
    assert Personalizer(Known()).hashed("x", "ann") != Personalizer(Known()).hashed("x", "ann"), "no store, no salt"
    assert (
        personal_request("chat", ASK, Personalizer(StoreFile(tmp_path / "p.db"), ids=False)._profile("ann", ASK))[
            0
        ].keys()
        == ASK.keys()
    )


def test_the_gate_forgets_its_texts_when_the_store_is_written(tmp_path):
    gate = Gate(lambda texts: [[1.0, len(text)] for text in texts], 0.0)
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
        personalizer = Personalizer(StoreFile(tmp_path / "p.db"), gate=gate)
        assert personalizer.attempt("chat", "ann", ASK).outcome == "personalized"
        assert "Likes cats." in gate._known
        forget_user(store, "ann")
        personalizer.look()
        assert gate._known == {}
