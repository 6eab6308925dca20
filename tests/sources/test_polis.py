"""Polis votes: rows kept and counted, and shipped samples that do not leak."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.running import ROOT

from plus.errors import SourceError
from plus.resources import shipped
from plus.sources import llmfao, polis, ukpconvarg1
from plus.types import Dropped, Preference, Reaction


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
        (1000, "0", "a", "1"),
        (2000, "1", "a", "-1"),
        (3000, "2", "a", "1"),
        (3500, "0", "a", "-1"),
        (4000, "3", "a", "1"),
        (5000, "4", "a", "-1"),
        (6000, "5", "a", "0"),
        (500, "6", "b", "1"),
        (700, "99", "b", "1"),
    ]
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
    [
        (("1000", "0", "a", "yes"), "votes.csv row 2: vote is 'yes'; it must be -1, 0 or 1"),
        (("soon", "0", "a", "1"), "votes.csv row 2: timestamp is 'soon'"),
    ],
)
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
