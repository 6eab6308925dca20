"""The panel: verdicts in both orders, several wordings, checklists and reward models; replies kept, asked once."""

from __future__ import annotations

import json
import math
import re

import pytest

from plus.errors import SourceError
from plus.judge.panel import Question, Verdict, by_checklist, by_scorer, prompted, read_verdict
from plus.judge.reply_cache import Replies
from plus.prompts import JUDGES

ASK = Question("ann", "The user likes cats best.", "Say something.", "I saw cats.", "I saw dogs.")


class Scripted:
    """A model that is a function of what stands last in the messages."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def complete(self, messages):
        self.asked.append(messages)
        return self.answer(messages[-1]["content"])


def reader(question):
    first, second = re.search(r"Answer A:\n(.*?)\n\nAnswer B:\n(.*)", question, re.S).groups()
    return "A" if "cats" in first else "B" if "cats" in second else "TIE"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("A", "first"),
        ("**B**", "second"),
        ("TIE", "tie"),
        ("Tie.", "tie"),
        ("A or B", "unclear"),
        ("", "unclear"),
        ("A TIE", "unclear"),
        ("Bananas", "unclear"),
        ("<think>A is short, B is kind</think>B", "second"),
    ],
)
def test_replies_are_read_as_what_they_name(reply, said):
    assert read_verdict(reply) == said


@pytest.mark.parametrize(
    ("straight", "turned", "score", "first"),
    [
        ("first", "second", 1.0, (True, False)),
        ("first", "first", 0.5, (True, True)),
        ("tie", "second", 0.75, (False,)),
        ("unclear", "tie", 0.5, ()),
        ("second", "first", 0.0, (False, True)),
    ],
)
def test_a_verdict_scores_both_orders(straight, turned, score, first):
    verdict = Verdict(straight, turned)
    assert verdict.score == score and verdict.decided == first


@pytest.mark.parametrize("wording", JUDGES)
def test_a_prompted_judge_is_asked_in_both_orders_in_its_wording(wording):
    model = Scripted(reader)
    found = prompted(lambda user_id: model, JUDGES[wording])([ASK, ASK._replace(one="Birds.", two="Fish.")])
    assert found == [Verdict("first", "second"), Verdict("tie", "tie")]
    assert len(model.asked) == 4 and {m[0]["content"] for m in model.asked} == {JUDGES[wording]}


def test_a_checklist_has_no_place_to_favour():
    model = Scripted(lambda text: "1: yes" if "saw cats" in text else "1: no")
    judge = by_checklist(lambda user_id: model)
    assert judge([ASK, ASK._replace(two="I saw cats too, I saw cats.")]) == [
        Verdict("first", "second"),
        Verdict("tie", "tie"),
    ]
    assert len(model.asked) == 4
    assert by_checklist(lambda user_id: Scripted(lambda text: "well"))([ASK]) == [Verdict("unclear", "unclear")]
    assert by_checklist(lambda user_id: model)([ASK._replace(about="")]) == [Verdict("tie", "tie")]


def test_a_reward_model_judges_by_its_margin():
    class Likes:
        def log_likelihood(self, texts, pairs):
            margins = [("cats" in p.chosen) - ("cats" in p.rejected) for p in pairs]
            return [-math.log1p(math.exp(-m)) for m in margins]

    assert by_scorer(Likes())([ASK, ASK._replace(one="x")]) == [Verdict("first", "second"), Verdict("tie", "tie")]


def test_a_question_is_sent_once_for_all_runs(tmp_path):
    file, model = tmp_path / "judgments.jsonl", Scripted(reader)
    for known in (0, 2):
        replies = Replies(file)
        assert file.exists() == bool(known), "made with the first reply: what never asked leaves no file"
        judge = prompted(lambda user_id, replies=replies: replies.of(model, "m", user_id))
        assert judge([ASK])[0].score == 1.0
        assert (replies.sent, replies.known) == (2 - known, known)
    assert len(model.asked) == 2
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["user_id"] for row in rows} == {"ann"} and {row["reply"] for row in rows} == {"A", "B"}
    assert rows[0]["messages"][1]["content"].startswith("About this user: The user likes cats best.")
    file.write_text(file.read_text() + '{"key": "cut o')
    assert len(Replies(file)._replies) == 2 and file.read_text().endswith("}\n")
    file.write_text("no reply\n")
    with pytest.raises(SourceError, match="line 1 is no reply of a model"):
        Replies(file)
