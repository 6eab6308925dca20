"""Whose judgment and whose words: a thumb is the user's only where it says so, and no user gets another's words."""

from __future__ import annotations

import json

import pytest
from support.ingesting import contents, read, read_rows, said
from support.logs import CAT, PROMPT, langfuse_observation, langfuse_score, langfuse_trace, write

from plus.errors import SourceError
from plus.feedback.reactions import Votes, parse_thumb, score_name


def scored(*scores: dict) -> list[dict]:
    """A trace and scores on it, a minute apart."""
    return [langfuse_trace("t9"),
            *(langfuse_score(at=f"2024-05-29 13:5{n}:00", **score) for n, score in enumerate(scores))]  # fmt: skip


@pytest.mark.parametrize(
    ("score", "label", "why"),
    [
        ({"name": "user-feedback", "value": 1}, True, ""),
        ({"name": "userThumbs", "value": "down"}, False, ""),
        ({"name": "coherence", "value": 1}, None, "scores that are not the user's ('coherence')"),
        ({"name": "thumbs", "value": 1, "source": "EVAL"}, None, "scores of an evaluator ('thumbs')"),
        ({"name": "good answer?", "value": 0, "source": "ANNOTATION"}, None, "scores of reviewers ('good answer')"),
        ({"name": "rating", "value": 4}, None, "reactions that are neither yes nor no"),
    ],
)
def test_a_score_is_a_thumb_only_where_its_name_and_source_say_so(tmp_path, score, label, why):
    counts, found = read_rows(tmp_path, *scored(score))
    assert [one.label for one in contents(found, "reaction")] == ([] if label is None else [label])
    assert [reason for reason in counts.dropped if "turns" not in reason] == ([why] if why else [])


def test_a_score_of_another_name_overrules_no_thumb_and_the_last_thumb_counts(tmp_path):
    up, down = {"name": "user-feedback", "value": 1}, {"name": "user-feedback", "value": 0}
    counts, found = read_rows(tmp_path, *scored(down, up, {"name": "toxicity", "value": 0}))
    assert [one.label for one in contents(found, "reaction")] == [True]
    assert counts.dropped["reactions that a later one overrules"] == 1
    assert counts.dropped["scores that are not the user's ('toxicity')"] == 1
    assert (counts.rows, counts.used) == (4, 2), "the trace and one score of four rows were used"


def test_a_name_of_ones_own_is_a_thumb_where_it_is_given(tmp_path):
    rows = scored({"name": "Smiley (v2)", "value": 0})
    assert not contents(read_rows(tmp_path, *rows)[1], "reaction")
    found = read_rows(tmp_path, *rows, thumbs=frozenset([score_name("smiley v2")]))[1]
    assert [one.label for one in contents(found, "reaction")] == [False]


def test_scores_inside_a_row_have_the_same_rule(tmp_path):
    inside = [{"name": "faithfulness", "value": 1}, {"name": "feedback", "value": 0, "comment": "no"},
              {"key": "user_score", "score": 1}]  # fmt: skip
    counts, found = read_rows(tmp_path, langfuse_trace(scores=inside), langfuse_trace("t2", scores={"accuracy": 0}))
    assert [one.label for one in contents(found, "reaction")] == [True]
    assert counts.dropped["scores that are not the user's ('faithfulness')"] == 1
    assert counts.dropped["scores that are not the user's ('accuracy')"] == 1


def test_one_of_five_is_no_thumb_up_wherever_on_the_scale_the_log_begins(tmp_path):
    rows = [{"messages": [{**PROMPT, "content": f"{n}?"}, CAT], "rating": rating} for n, rating in enumerate((1, 1, 4))]
    counts, found = read_rows(tmp_path, *rows)
    assert not contents(found, "reaction")
    assert counts.dropped["labels and ratings that are no thumb ('rating')"] == 3
    late = [{"name": "rating", "value": value, "trace": f"t{n}"} for n, value in enumerate((1, 0, 5))]
    traces = [langfuse_trace(f"t{n}") for n in range(3)]
    counts, found = read_rows(tmp_path, *traces, *(langfuse_score(**one) for one in late))
    assert not contents(found, "reaction") and counts.dropped["reactions that are neither yes nor no"] == 3


def test_with_minus_one_on_the_scale_zero_is_a_pass():
    votes = Votes()
    votes.see("label", -1)
    assert [votes.vote("label", value) for value in (1, 0, -1, "up", True)] == [True, None, False, True, True]
    assert [parse_thumb(value) for value in ("👍", "thumbsDown", "+1", 0, 7, None)] == [
        True,
        False,
        True,
        False,
        None,
        None,
    ]


def test_the_label_of_a_row_is_a_thumb_on_its_last_answer(tmp_path):
    rows = [{"user_id": "u", "messages": [PROMPT, {**CAT, "content": text}], "label": label}
            for text, label in (("A cat.", True), ("A wolf.", False), ("A bat.", "maybe"))]  # fmt: skip
    counts, found = read_rows(tmp_path, *rows)
    assert [(one.completion, one.label) for one in contents(found, "reaction")] == [
        ("A cat.", True),
        ("A wolf.", False),
    ]
    assert counts.dropped["labels and ratings that are no thumb ('label')"] == 1


@pytest.mark.parametrize(
    "stated",
    [{"userId": "lea"}, {"metadata": {"userId": "lea"}}, {"metadata": '{"user_id": "lea"}'}, {"user": {"id": "lea"}},
     {"user": {"user_id": "lea", "name": "L"}}, {"user.id": "lea"}, {"safety_identifier": "lea"}],
)  # fmt: skip
def test_the_user_is_found_where_logs_say_it(tmp_path, stated):
    _, found = read_rows(tmp_path, {**stated, "messages": [PROMPT, CAT]}, user_id="ann")
    assert [entry.user_id for entry in found] == ["lea"]


def test_a_column_of_ones_own_says_whose_a_row_is(tmp_path):
    rows = [{"who": {"key": name}, "user": "proxy", "messages": [PROMPT, CAT]} for name in ("lea", "tim")]
    _, found = read_rows(tmp_path, *rows, user_column="who.key")
    assert [entry.user_id for entry in found] == ["lea", "tim"]


def test_no_profile_gets_the_rows_of_several(tmp_path):
    rows = [{"customer_id": name, "messages": [{**PROMPT, "content": f"I am {name}"}, CAT]} for name in ("lea", "tim")]
    with pytest.raises(SourceError, match=r"'customer_id' names another user .*--user_id_column customer_id.*'ann'"):
        read_rows(tmp_path, *rows, user_id="ann")
    _, found = read_rows(tmp_path, *rows, user_column="customer_id")
    assert [entry.user_id for entry in found] == ["lea", "tim"]
    # The second name comes after the sample: its rows are left out and counted, not given to ann.
    counts, found = read_rows(tmp_path, *[rows[0]] * 120, rows[1], user_id="ann")
    assert "I am tim" not in str(found)
    assert sum(count for why, count in counts.dropped.items() if "names another user" in why) == 1
    # Two files of one user each are as bad.
    for name, row in zip(("a", "b"), rows, strict=True):
        write(tmp_path / f"{name}.jsonl", [row])
    with pytest.raises(SourceError, match="names another user"):
        read(tmp_path / "a.jsonl", tmp_path / "b.jsonl", user_id="ann")


def test_an_observation_has_the_user_and_session_of_its_trace_and_is_the_same_exchange(tmp_path):
    observation = {**langfuse_observation("o1", "t1", ""), "session_id": None}
    other = {**langfuse_observation("o2", "t2", ""), "session_id": None}
    lone = langfuse_trace("t2", user="lea", input=None, output=None)
    write(tmp_path / "a.jsonl", [observation, other])
    write(tmp_path / "b.jsonl", [langfuse_trace("t1", user="lea"), lone])
    counts, found = read(tmp_path, user_id="ann")
    assert {(entry.user_id, entry.session_id) for entry in found} == {("lea", "s1")}
    assert said(found) == [("Name a bird.", "A tit."), ("Name a pet.", "A cat.")]
    assert counts.dropped["observations inside a trace, which is read at its root"] == 2


def test_tools_templates_and_inner_calls_are_no_user(tmp_path):
    def observation(name: str, kind: str, asked: object, answer: object, parent: str | None = None) -> dict:
        return {"id": name, "traceId": "t", "type": kind, "userId": "lea", "parentObservationId": parent,
                "input": asked, "output": answer}  # fmt: skip

    rows = [
        observation("o1", "SPAN", "{'q': 'pets'}", "[1]"),
        observation("o2", "AGENT", {"input": "Name a pet."}, {"output": "A cat."}),
        observation("o3", "GENERATION", [{"role": "user", "content": "Context: none. Question: pet"}], "pets", "o2"),
        observation("o4", "TOOL", "pets", "cat", "o2"),
    ]
    for order in (rows, rows[::-1]):
        counts, found = read_rows(tmp_path, *order)
        assert said(found) == [("Name a pet.", "A cat.")]
        assert (counts.rows, counts.used, sum(counts.dropped.values())) == (4, 1, 3)


def test_a_download_of_one_trace_is_the_trace(tmp_path):
    trace = langfuse_trace("t1", user="lea", input=json.dumps(json.dumps("Name a pet.")), output='"A cat."')
    (tmp_path / "trace.json").write_text(
        json.dumps({"trace": trace, "observations": [langfuse_observation("o", "t1")]})
    )
    counts, found = read(tmp_path / "trace.json")
    assert said(found) == [("Name a pet.", "A cat.")] and found[0].user_id == "lea" and counts.rows == 2


def test_ids_that_look_alike_stay_apart_and_are_told_and_numbers_are_texts(tmp_path):
    names = ["José", "Jose\u0301", "ann", "ann ", "Ann", "7", 7, "007"]
    rows = [{"user_id": name, "messages": [{**PROMPT, "content": f"{n}?"}, CAT]} for n, name in enumerate(names)]
    counts, found = read_rows(tmp_path, *rows)
    assert len({entry.user_id for entry in found}) == 7
    told = counts.repaired
    assert told["user ids that look alike, kept apart"] == 4
    assert told.first["user ids that look alike, kept apart"] == "log0.jsonl line 2: 'Jose\u0301' beside 'José'"
    assert told["user ids that are a number here and text there, taken for one user"] == 1
