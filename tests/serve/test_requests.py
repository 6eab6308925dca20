"""A request about a user is a function of the request, the profile and the known refusals."""

from __future__ import annotations

import pytest

from plus.serve.requests import Profile, personal_request, refused_parts
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
