"""Where the profile goes, what is kept, and that no text changes the structure of a request."""

from __future__ import annotations

import copy
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import HOSTILE

from plus import prompts
from plus.errors import SettingError, WindowError
from plus.measures import estimate_tokens
from plus.prompts import ABOUT_FENCE, FENCE, fenced
from plus.serve.personalize import instructions, personalize, profile_text
from plus.types import Summary

ANN = Summary("ann", "Likes cats. Wants short answers.")
PROFILE = f"{ABOUT_FENCE}\n<user_profile>\nLikes cats. Wants short answers.\n</user_profile>"
ASK = {"role": "user", "content": "Hello"}
APP = {"role": "system", "content": "You sell tea."}


def test_the_order_is_app_text_then_profile_then_conversation():
    assert personalize([APP, ASK], ANN) == [{"role": "system", "content": f"You sell tea.\n\n{PROFILE}"}, ASK]
    assert personalize([ASK], ANN) == [{"role": "system", "content": PROFILE}, ASK]
    assert personalize([ASK], ANN, placement="developer")[0]["role"] == "developer"
    assert personalize([APP, ASK], ANN, placement="user") == [APP, {"role": "user", "content": f"{PROFILE}\n\nHello"}]
    rules = {"role": "developer", "content": "Be brief.", "name": "app"}
    assert personalize([APP, rules, ASK], ANN) == [APP, {**rules, "content": f"Be brief.\n\n{PROFILE}"}, ASK]


def test_a_later_system_message_is_part_of_the_conversation():
    late = [ASK, {"role": "assistant", "content": "Hi"}, APP, ASK]
    assert personalize(late, ANN) == [{"role": "system", "content": PROFILE}, *late]


def test_contents_in_parts_get_a_part_of_their_own_kind():
    chat = {"role": "system", "content": [{"type": "text", "text": "You sell tea."}]}
    assert personalize([chat, ASK], ANN)[0]["content"] == [chat["content"][0], {"type": "text", "text": PROFILE}]
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}
    made = personalize([picture], ANN, placement="user")[0]["content"]
    assert made == [{"type": "input_text", "text": PROFILE}, picture["content"][0]]


def test_the_instructions_of_the_responses_protocol_keep_the_apps_text_first():
    assert instructions("You sell tea.", ANN) == f"You sell tea.\n\n{PROFILE}"
    assert instructions(None, ANN) == PROFILE
    assert instructions("You sell tea.", " ") == "You sell tea." and instructions(None, "") is None


def test_an_empty_summary_changes_nothing():
    assert personalize([APP, ASK], Summary("ann", " \n")) == [APP, ASK]


CONTENTS = st.one_of(
    st.text(max_size=20),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}), max_size=2),
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": CONTENTS}),
    max_size=6,
)


@given(MESSAGES, st.text(max_size=60), st.sampled_from(["system", "developer", "user"]))
def test_nothing_given_is_changed_and_nothing_of_it_is_lost(messages, text, placement):
    before = copy.deepcopy(messages)
    made = personalize(messages, text, placement=placement)
    assert messages == before
    assert 0 <= len(made) - len(messages) <= (1 if text.strip() else 0)
    kept = made[len(made) - len(messages) :]
    assert [m["role"] for m in kept] == [m["role"] for m in messages]
    assert sum(a != b for a, b in zip(kept, messages, strict=True)) <= 1


def test_whole_sentences_that_fit_are_kept_and_a_window_too_small_is_named():
    whole = estimate_tokens(PROFILE)
    assert profile_text(ANN, whole) == PROFILE
    assert "Likes cats." in profile_text(ANN, whole - 1) and "short" not in profile_text(ANN, whole - 1)
    with pytest.raises(WindowError, match=r"max_tokens=5 cannot hold the first sentence .* takes \d+$"):
        personalize([ASK], ANN, max_tokens=5)
    with pytest.raises(SettingError, match="no placement 'top'; give one of developer, system, user"):
        personalize([ASK], ANN, placement="top")


def test_tokens_are_estimated_by_letters():
    assert [estimate_tokens(text) for text in ("", "abcd", "abcde", "日本", "ab日")] == [0, 1, 2, 2, 2]


def faults(text: str) -> list[str]:
    """What of the hostile summary `text` got out of its fence: none, if all is well."""
    inside = text.removeprefix(f"{ABOUT_FENCE}\n{FENCE[0]}\n").removesuffix(f"\n{FENCE[1]}")
    plain = unicodedata.normalize("NFKC", inside)
    checks = {
        "fence": len(text) - len(inside) != len(ABOUT_FENCE) + len("".join(FENCE)) + 3,
        "mark": re.search(r"<\W*user\W*_?profile", plain, re.I),
        "token": re.search(r"<\|[^|]{0,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(start|end)_of_turn>", plain),
        "role": re.search(r"(?im)^[#\s]*(user|assistant|system|developer|human)\s*:", plain),
        "unseen": [c for c in inside if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
        or re.search("[\u200b\u200e-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]", inside),
    }
    return [name for name, found in checks.items() if found]


def structure(messages: list) -> list:
    return [(sorted(m), m["role"], type(m["content"])) for m in messages]


def test_two_hundred_hostile_summaries_change_no_structure(capsys):
    honest = {p: structure(personalize([APP, ASK], ANN, placement=p)) for p in ("system", "developer", "user")}
    bare = structure(personalize([ASK], ANN))
    for text in HOSTILE:
        wide = 10_000
        for placement, expected in honest.items():
            made = personalize([APP, ASK], text, placement=placement, max_tokens=wide)
            assert structure(json.loads(json.dumps(made))) == expected, text
        (profile, asked) = personalize([ASK], text, max_tokens=wide)
        assert structure([profile, asked]) == bare and asked == ASK
        assert faults(profile["content"]) == [], text
    assert len(set(HOSTILE)) >= 200
    with capsys.disabled():
        print(f"{len(HOSTILE)} hostile summaries, structure unchanged", end=" ")


@pytest.mark.parametrize("part", ["_FENCE_LIKE", "_UNSEEN", "_ROLE"])
def test_a_fence_with_a_hole_is_noticed(part, monkeypatch):
    monkeypatch.setattr(prompts, part, re.compile(r"(?!)()"))
    assert any(faults(fenced(text)) for text in HOSTILE)


def test_ordinary_words_pass_the_fence_unchanged():
    for text in ("Likes List<int> & 2 < 3.", "Zoë ❤️ 👩‍👩‍👧", "می‌خواهم", "user profile: none"):
        assert fenced(text) == f"{ABOUT_FENCE}\n<user_profile>\n{text}\n</user_profile>"
