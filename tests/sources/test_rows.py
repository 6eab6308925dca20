"""Rows of every shape, and every way in which a row can be no row."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trl.data_utils import extract_prompt

from plus.sources.fields import MAX_CHARACTERS, UnusableError, turns_of
from plus.sources.rows import content_id, read_content, read_row
from plus.types import Preference, Reaction, Turn

HELLO = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
ASK = {"role": "user", "content": "Cats or dogs?"}
CATS, DOGS = {"role": "assistant", "content": "Cats."}, {"role": "assistant", "content": "Dogs."}
PAIR = Preference("Cats or dogs?", "Cats.", "Dogs.")
LATER = Preference("Cats or dogs?", "Cats.", "Dogs.", (Turn("user", "Hello."), Turn("assistant", "Hi.")))
GOOD = {"user_id": "ann", "prompt": "p", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("row", "shape", "pair"),
    [
        (
            {"prompt": "Cats or dogs?", "chosen": "Cats.", "rejected": "Dogs."},
            "standard preference, explicit prompt",
            PAIR,
        ),
        (
            {"chosen": "Say: cats", "rejected": "Say: dogs"},
            "standard preference, implicit prompt",
            Preference("Say:", " cats", " dogs"),
        ),
        (
            {"prompt": [*HELLO, ASK], "chosen": [CATS], "rejected": [DOGS]},
            "conversational preference, explicit prompt",
            LATER,
        ),
        (
            {"chosen": [*HELLO, ASK, CATS], "rejected": [*HELLO, ASK, DOGS]},
            "conversational preference, implicit prompt",
            LATER,
        ),
        # UltraFeedback: a text prompt beside whole dialogues, which TRL takes for implicit.
        (
            {"prompt": "Cats or dogs?", "chosen": [ASK, CATS], "rejected": [ASK, DOGS]},
            "conversational preference, implicit prompt",
            PAIR,
        ),
        ({"prompt": [ASK], "chosen": "Cats.", "rejected": "Dogs."}, "conversational preference, explicit prompt", PAIR),
        # One message instead of a list, as SynthesizeMe has it.
        ({"prompt": [ASK], "chosen": CATS, "rejected": DOGS}, "conversational preference, explicit prompt", PAIR),
    ],
)
def test_the_four_shapes_of_trl_and_their_relatives(row, shape, pair):
    assert read_content(row) == (shape, pair)


def test_reactions_and_conversations():
    assert read_content({"prompt": "p", "completion": "c", "label": "TRUE"}) == ("reactions", Reaction("p", "c", True))
    told = {"prompt": [*HELLO, ASK], "completion": [CATS], "label": 0}
    assert read_content(told)[1] == Reaction("Cats or dogs?", "Cats.", False, LATER.earlier)
    shape, turns = read_content({"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Yo."}]})
    assert (shape, turns) == ("unlabelled conversations", (Turn("user", "Hi."), Turn("assistant", "Yo.")))


@pytest.mark.parametrize(
    ("role", "is_"),
    [("human", "user"), ("GPT", "assistant"), ("model", "assistant"), ("bot", "assistant"), ("chatbot", "assistant"),
     ("developer", "system")],
)  # fmt: skip
def test_role_names_are_read(role, is_):
    assert turns_of([{"role": role, "content": "x"}], "prompt")[0].role == is_


texts = st.text(st.sampled_from("ab c."), min_size=1, max_size=8)


@given(texts, texts, texts)
def test_implicit_texts_are_cut_where_trl_cuts_them(prompt, one, two):
    row = {"chosen": f"{prompt}{one}", "rejected": f"{prompt}{two}"}
    theirs = extract_prompt(row)
    if (
        row["chosen"][0] != row["rejected"][0]
        or row["chosen"].startswith(row["rejected"])
        or row["rejected"].startswith(row["chosen"])
    ):
        return  # TRL reads index -1 there, or cuts one letter early.
    try:
        _, pair = read_content(row)
    except UnusableError:
        assert not theirs["chosen"].strip() or not theirs["rejected"].strip()
    else:
        assert {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} == theirs


@given(st.lists(st.sampled_from([*HELLO, ASK]), max_size=4))
def test_implicit_dialogues_are_cut_where_trl_cuts_them(before):
    row = {"chosen": [*before, ASK, CATS], "rejected": [*before, ASK, DOGS]}
    theirs = extract_prompt(row)
    _, pair = read_content(row)
    turns = turns_of(theirs["prompt"], "prompt")
    assert (*pair.earlier, Turn("user", pair.prompt)) == turns
    assert [{"role": "assistant", "content": pair.chosen}] == theirs["chosen"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": "  "}, "rows with an empty answer"),
        ({"chosen": "b"}, "rows whose chosen answer equals the rejected one"),
        ({"chosen": [["a"]]}, "rows whose 'chosen' is neither text nor a list of messages"),
        ({"chosen": 7}, "rows whose 'chosen' is neither text nor a list of messages"),
        ({"chosen": "x" * (MAX_CHARACTERS + 1)}, "rows with more than 1,000,000 characters in 'chosen'"),
        ({"chosen": "\ud800"}, "rows whose 'chosen' is no valid Unicode"),
        (
            {"prompt": [{"role": "tool", "content": "x"}]},
            "rows whose 'prompt' has a role other than system, user or assistant",
        ),
        ({"prompt": [{"content": "x"}]}, "rows whose 'prompt' has a message without a role"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "rows whose 'prompt' has a message with parts that are no text",
        ),
        ({"prompt": HELLO}, "rows whose prompt does not end with the user's turn"),
        ({"user_id": None}, "rows without a 'user_id'"),
        ({"user_id": ["a"]}, "rows whose 'user_id' is neither text nor a whole number"),
        ({"user_id": True}, "rows whose 'user_id' is neither text nor a whole number"),
        ({"user_id": float("nan")}, "rows whose 'user_id' is neither text nor a whole number"),
        ({"rejected": None}, "rows with neither {chosen, rejected}, {completion, label} nor {messages}"),
        ({"timestamp": "last week"}, "rows whose timestamp cannot be read"),
        ({"timestamp": True}, "rows whose timestamp cannot be read"),
        (
            {"prompt": None, "chosen": [ASK, CATS, ASK], "rejected": [ASK, DOGS, ASK]},
            "rows whose dialogues differ in more than the last answer",
        ),
    ],
)
def test_what_is_no_row_says_why_and_nothing_of_the_row(change, reason):
    with pytest.raises(UnusableError) as error:
        read_row({**GOOD, **change})
    assert str(error.value) == reason


def test_numbers_and_texts_name_one_user():
    assert {read_row({**GOOD, "user_id": value}).user_id for value in (7, "7", 7.0)} == {"7"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "user", "true", "\ud800", "2020-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), inner, max_size=2)
    ),
    max_leaves=6,
)
columns = st.sampled_from(
    ["user_id", "prompt", "chosen", "rejected", "completion", "label", "messages", "timestamp", "id", "split"]
)


@given(st.dictionaries(columns, json_values))
def test_anything_is_a_row_or_has_a_reason(row):
    reason = ""
    try:
        read = read_row(row)
    except UnusableError as error:
        reason = str(error)
    if reason:
        assert reason.startswith("rows")
    else:
        assert read.user_id and read.shape
        json.dumps([read.user_id, content_id(read.user_id, read.event)])
