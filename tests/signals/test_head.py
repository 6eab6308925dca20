"""The trained classifier: that it was measured on turns apart from its own, how it does, and what it returns."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import pytest
import torch
from support.logs import write
from support.running import data_of, plus
from support.talks import LABELS, macro_f1, turns

from plus.errors import ModelError
from plus.jsonl import read_jsonl
from plus.models.embeddings import Embeddings, minilm
from plus.resources import shipped
from plus.signals import fit_head as training
from plus.signals.features import TurnContext
from plus.signals.head import CLASSES, SignalHead, features
from plus.signals.rubrics import DISSATISFIED, SATISFIED
from plus.types import Turn

FOLDER = shipped("signals")
SAME_WORDS, SAME_MEANING = 0.7, 0.95  # from which a turn is another's near-duplicate


@pytest.fixture(scope="module")
def embeddings():
    try:
        return Embeddings(minilm())
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def head(embeddings):
    return SignalHead.load(embeddings.encode)


def shingles(text: str) -> set[str]:
    """The words, and each two that stand together; characters of scripts without spaces."""
    words = re.findall(r"[a-z0-9']+|[^\W\d_a-z]", text.lower())
    return {*words, *map(" ".join, pairwise(words))}


def jaccard(one: set[str], two: set[str]) -> float:
    return len(one & two) / max(1, len(one | two))


@pytest.mark.slow
def test_the_test_turns_are_apart_by_author_words_and_meaning(embeddings):
    """No author in common; no test turn is a training turn, nor nearly one, by words or by the sentence model."""
    test, turns = read_jsonl(FOLDER / "test.jsonl"), read_jsonl(FOLDER / "turns.jsonl")
    assert len(test) >= 400 and not {row["author"] for row in test} & {row["author"] for row in turns}
    assert {row["rubric"] for row in test} == {*SATISFIED, *DISSATISFIED, "none"}
    known = [shingles(row["text"]) for row in turns]
    alike = {row["text"] for row in test for other in known if jaccard(shingles(row["text"]), other) >= SAME_WORDS}
    assert not alike
    unit = torch.nn.functional.normalize
    nearest = (
        unit(embeddings.vectors([row["text"] for row in test]), dim=1)
        @ unit(embeddings.vectors([row["text"] for row in turns]), dim=1).T
    ).max(1)
    # The sentence model reads English: other languages are near each other whatever they say.
    near = [
        (row["text"], turns[place]["text"])
        for row, cosine, place in zip(test, nearest.values, nearest.indices.tolist(), strict=True)
        if cosine >= SAME_MEANING and row["author"] not in ("polyglot",)
    ]
    assert not near


def test_a_planted_near_duplicate_would_be_noticed():
    assert (
        jaccard(shingles("Thank you, this helps me a great deal!"), shingles("thank you this helps me a great deal"))
        >= SAME_WORDS
    )
    assert (
        jaccard(shingles("谢谢你"), shingles("谢谢你")) == 1 and jaccard(shingles("谢谢你"), shingles("写一首诗")) == 0
    )


def test_written_turns_of_other_authors(head, embeddings, capsys):
    """Macro-F1 of satisfied / dissatisfied / none with the confusion table; `unsure` counts as a miss."""
    rows = training.test_rows(FOLDER)
    talks = [
        [Turn("user", row.context.asked[-1]), Turn("assistant", row.context.answer), Turn("user", row.context.text)]
        for row in rows
    ]
    found = [of[-1] for of in head(talks)]
    table = {(true, got): 0 for true in LABELS for got in (*LABELS, "unsure")}
    for row, one in zip(rows, found, strict=True):
        table[row.label, one.label] += 1
    score = macro_f1(table)
    rubric = [
        one.evidence and row.rubric in {name for *_, name in one.evidence}
        for row, one in zip(rows, found, strict=True)
        if one.label == row.label != "none"
    ]
    with capsys.disabled():
        right = f"{sum(map(bool, rubric))}/{len(rubric)}"
        print(f"\ntrained head, {len(rows)} turns: macro-F1 {score:.3f}; rubric right {right}")
        for true in LABELS:
            print(f"  {true:<13}", {got: table[true, got] for got in (*LABELS, "unsure")})
    assert score > LEAST


LEAST = 0.66  # 0.706 measured when the head was shipped: unsure counts as a miss


def test_what_stands_around_a_turn_counts(head, embeddings):
    """The same words are a complaint where the model then says sorry, and nothing where it goes on."""

    def seen(after: str) -> TurnContext:
        return TurnContext(
            "the second one has a red roof", ["Describe two houses."], "The first is big. The second is blue.", after
        )

    dissatisfied = head.probabilities(
        [seen("I apologize for the mistake! You're right."), seen("Here is a story about it.")], embeddings
    )[:, CLASSES.index("dissatisfied")]
    assert dissatisfied[0] > dissatisfied[1] + 0.1


def test_probabilities_and_spans(head):
    found = head(
        [
            turns("Thanks!", "?", "Thank you so much, that was great!", "x", "Write a poem about rivers."),
            [],
            turns("Hi"),
        ]
    )
    assert [len(one) for one in found] == [3, 0, 1]
    first, thanks, task = found[0]
    assert (first.label, first.probability) == ("none", 1.0), "nothing was answered yet"
    assert (thanks.label, task.label) == ("satisfied", "none") and 0.5 < thanks.probability < 1
    assert "gratitude" in [rubric for *_, rubric in thanks.evidence]
    assert all(0 <= start < end <= 34 for start, end, _ in thanks.evidence)


def test_rows_are_drawn_from_every_turn_and_repeatably():
    rows = training.training_rows(FOLDER, seed=3, copies=1)
    assert rows == training.training_rows(FOLDER, seed=3, copies=1) != training.training_rows(FOLDER, seed=4, copies=1)
    assert not [row for row in rows if re.search(r"\{\w+2?\}", row.context.text) and "{t" in row.context.text]
    after = Counter(
        "sorry" in row.context.after.lower() or "apolog" in row.context.after.lower()
        for row in rows
        if row.label == "satisfied"
    )
    assert after[True] < 0.1 * after[False]


def test_a_head_learns_what_is_planted_and_is_measured_on_authors_it_has_not_seen():
    """Two classes of vectors by a fixed encoder: learned from four authors, told on the fifth."""

    def encode(lines: list[str]) -> torch.Tensor:
        return torch.stack([torch.eye(8)[["good", "bad", "task"].index(line.split()[0])] for line in lines])

    rows = [
        training.LabelledTurn(f"author {number % 5}", rubric, TurnContext(f"{word} {number}", ["task q"], "task a"))
        for number in range(60)
        for word, rubric in (("good", "praise"), ("bad", "style"), ("task", "none"))
    ]  # fmt: skip
    weights, unseen = training.fit(rows, Embeddings(encode))
    assert (unseen.argmax(1) == [CLASSES.index(row.label) for row in rows]).all()
    assert weights["classes"].shape == (3, features([rows[0].context], Embeddings(encode)).shape[1] + 1)


def test_a_head_for_something_else_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"classes": torch.zeros(3, 4)}, tmp_path / "h.safetensors", {"classes": json.dumps(["a", "b"])})
    with pytest.raises(ModelError, match="make one with scripts/make_signals"):
        SignalHead.load(lambda lines: torch.zeros(len(lines), 3), tmp_path / "h.safetensors")


def test_the_command_uses_it_where_it_is_named_and_says_so(tmp_path, head):
    write(
        tmp_path / "c.jsonl",
        [
            {
                "conversation": [
                    {"role": one.role, "content": one.content} for one in turns("Hi", "Hello", "No, that is wrong.")
                ]
            }
        ],
    )
    made = data_of(plus("signals", tmp_path / "c.jsonl", "--engine", "trained", "--json").stdout)
    assert made["engine"] == "trained" and [one["label"] for one in made["turns"]] == ["none", "dissatisfied"]
