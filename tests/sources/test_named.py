"""Loaders of real people's choices: what is kept, what is counted, and that nothing leaks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import ROOT

from plus.errors import SourceError
from plus.resources import shipped
from plus.sources import llmfao, polis, ukpconvarg1
from plus.sources.contexts import context_and_later
from plus.sources.splits import split_users
from plus.types import Dropped, Event, Preference, Reaction

EVENTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.one_of(st.none(), st.integers(0, 20))), max_size=30, unique_by=lambda e: e[0]
)


@given(EVENTS, st.integers(0, 5), st.floats(0.1, 0.9), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_a_context_is_older_than_all_that_follows_and_the_order_of_rows_is_irrelevant(rows, seed, share, rng):
    events = [Event(str(name), "message", "", None if time is None else float(time)) for name, time in rows]
    context, later = context_and_later(events, seed, share)
    assert sorted(event.id for event in context + later) == sorted(event.id for event in events), "nothing is lost"
    if all(event.time is not None for event in events) and later:
        assert max(event.time for event in context) < min(event.time for event in later)
    rng.shuffle(events)
    assert context_and_later(events, seed, share) == (context, later)


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=60), st.integers(0, 9))
def test_users_are_dealt_whole_and_the_same_way_from_any_order(users, seed):
    one = split_users(users, seed)
    assert one == split_users(sorted(users, reverse=True), seed)
    assert set(one) == users
    counts = {name: list(one.values()).count(name) for name in ("train", "validation", "test")}
    assert counts["test"] == round(len(users) * 0.3)
    assert counts["validation"] == round(len(users) * 0.1)


def write_polis(folder: Path, votes: list[tuple[int, str, str, str]]) -> Path:
    folder.mkdir()
    (folder / "summary.csv").write_text('topic,Tea or coffee?\nurl,x\nconversation-description,"two\nlines"\n')
    rows = [{"comment-id": str(n), "comment-body": f"Statement {n}"} for n in range(8)]
    with (folder / "comments.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "comment-id", "voter-id", "vote"])
        writer.writerows(votes)
    return folder


def test_polis_on_a_worked_conversation(tmp_path):
    """Voter a: six votes, one of them changed later, one pass; voter b: a single vote."""
    votes = [
        (1000, "0", "a", "1"), (2000, "1", "a", "-1"), (3000, "2", "a", "1"), (3500, "0", "a", "-1"), (4000, "3", "a", "1"),
        (5000, "4", "a", "-1"), (6000, "5", "a", "0"), (500, "6", "b", "1"), (700, "99", "b", "1"),
    ]  # fmt: skip
    users = polis.load(write_polis(tmp_path / "c", votes), context_share=0.6)
    # By time a's decided votes are 1-, 2+, 0- (changed), 3+, 4-; three fifths of five is the context.
    assert [(e.content.completion, e.content.label) for e in users.histories["a"].events] == [
        ("Statement 1", False),
        ("Statement 2", True),
        ("Statement 0", False),
    ]
    assert [example.target for example in users.examples] == [
        Preference("Tea or coffee?", "Statement 3", "Statement 4")
    ]
    assert users.histories["b"].events[0].content == Reaction("Tea or coffee?", "Statement 6", True)
    assert dict(users.dropped) == {
        "passes, which neither agree nor disagree": 1,
        "votes replaced by a later one of the same voter": 1,
        "votes on a statement that comments.csv does not have": 1,
        "users with a single vote, which leaves nothing to predict": 1,
    }
    assert "(first: votes.csv row 10)" in "".join(users.dropped.lines())


@pytest.mark.parametrize(
    ("vote", "complaint"),
    [(("1000", "0", "a", "yes"), "votes.csv row 2: vote is 'yes'; it must be -1, 0 or 1"), (("soon", "0", "a", "1"), "votes.csv row 2: timestamp is 'soon'")],
)  # fmt: skip
def test_polis_names_the_row_that_cannot_be_read(tmp_path, vote, complaint):
    with pytest.raises(SourceError, match=complaint):
        polis.load(write_polis(tmp_path / "c", [vote]))


@pytest.mark.parametrize(("module", "name"), [(polis, "polis_sample"), (llmfao, "llmfao_sample")])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_shipped_samples_load_without_a_leak(module, name, seed):
    users = module.load(shipped(name), seed=seed)
    assert users == module.load(shipped(name), seed=seed)
    assert len(users.split("train")) > 30
    assert len(users.users("test")) >= 5
    assert not set(users.users("train")) & set(users.users("test"))
    for example in users.examples:
        for event in example.history.events:
            seen = (
                {event.content.completion}
                if isinstance(event.content, Reaction)
                else {event.content, event.content.swapped()}
            )
            assert not seen & {example.target, example.target.chosen, example.target.rejected}
        assert example.target.chosen != example.target.rejected


def test_llmfao_counts_what_it_leaves_out(tmp_path):
    pairs = [
        {"id": 0, "text": "Q", "result_x": "left answer", "result_y": "right answer"},
        {"id": 1, "text": "Q", "result_x": "same", "result_y": "same"},
        {"id": 2, "text": "Q2", "result_x": "", "result_y": "b"},
        {"id": 3, "text": "Q3", "result_x": "a", "result_y": "b"},
    ]
    judged = [
        ("0", "w", "left"),
        ("1", "w", "left"),
        ("2", "w", "right"),
        ("3", "w", "right"),
        ("0", "v", "tie"),
        ("9", "v", "left"),
        ("0", "v", "up"),
        ("0", "u", "right"),
    ]
    (tmp_path / "pairs-crowd.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (tmp_path / "crowd-comparisons.csv").write_text(
        "id,worker,winner\n" + "\n".join(",".join(row) for row in judged) + "\n"
    )
    users = llmfao.load(tmp_path)
    contents = {event.content for event in users.histories["w"].events} | {e.target for e in users.examples}
    assert contents == {
        Preference("Q", "left answer", "right answer"),
        Preference("Q2", "b", ""),
        Preference("Q3", "b", "a"),
    }
    assert sum(users.dropped.values()) == 5
    assert users.dropped["judgments whose chosen answer equals the rejected one"] == 1
    assert users.dropped["users with a single choice, which leaves nothing to predict"] == 1


def test_every_polis_conversation_and_llmfao_load_whole_where_the_data_is_at_hand():
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the full data sets are not beside this clone; the samples in data/ are tested above")
    users = llmfao.load(data / "llmfao")
    assert len(users.histories) == 124 - 0
    assert users.dropped["ties, which choose neither answer"] == 3471
    judgments = llmfao.judgments_of(data / "llmfao", Dropped())
    assert sum(map(len, judgments.values())) == 5460
    assert sum(len(past) >= 20 for past in judgments.values()) == 56, "those whom the reference lines are about"
    reasons = ukpconvarg1.load(data / "ukpconvarg1")
    assert reasons.dropped["judgments that call both arguments equal"] == 19_105
    assert len(reasons.examples) > 25_000
    for folder in sorted((data / "polis").glob("*/")):
        assert polis.load(folder).users("test"), folder
