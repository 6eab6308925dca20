"""The report: planted judges are exposed, accuracy and wins have intervals over users, a second run sends nothing."""

from __future__ import annotations

import json
import random
import re

import pytest
from support.judged import judged_store, persons
from support.running import data_of
from support.upstream import upstream

import plus
from plus.errors import SettingError, SlowReplyError
from plus.judge.panel import Judgment, Seat, Verdict, prompted
from plus.judge.reply_cache import Replies
from plus.judge.report import length_habit, page, position_habit, report
from plus.judge.run import answer_requests, answers, answers_judged, choices_judged, people
from plus.profiles.store import Store
from plus.prompts import NEUTRAL
from plus.serve import fake_server

KEY = "sk-test-0123456789abcdef"


class Model:
    def __init__(self, answer):
        self.answer = answer

    def complete(self, messages):
        return self.answer(messages)


def sides(messages):
    return re.search(r"Answer A:\n(.*?)\n\nAnswer B:\n(.*)", messages[-1]["content"], re.S).groups()


def first(messages):
    """The planted fault: always what stands first."""
    return "A"


def longest(messages):
    """The planted fault: always the longer answer."""
    a, b = sides(messages)
    return "A" if len(a) > len(b) else "B" if len(b) > len(a) else "TIE"


@pytest.fixture(scope="module")
def made():
    crowd = persons()
    panel = {
        "reads": Seat(prompted(lambda user: Model(fake_server.reply))),
        "first": Seat(prompted(lambda user: Model(first))),
        "longest": Seat(prompted(lambda user: Model(longest))),
    }
    written = answers(crowd, lambda user: Model(fake_server.reply))
    return report(choices_judged(crowd, panel), answers_judged(crowd, panel, written))


@pytest.fixture(scope="module")
def judged(made):
    return made.to_json()


def test_planted_judges_are_exposed_and_an_honest_one_is_not(judged, made):
    assert [line.split(":")[0] for line in judged["exposed"]] == ["first", "longest"]
    assert "takes the answer shown first in 1.000" in judged["exposed"][0]
    assert "favours the longer answer" in judged["exposed"][1]
    assert judged["habits"]["reads"]["position"]["mean"] == 0.5 and not judged["habits"]["reads"]["exposed"]
    text = page(made, "Judged", ["a note"])
    assert text.count("**EXPOSED**") == 2 and "lowest" in text


def test_accuracy_by_what_the_judge_is_told_and_the_band(judged):
    reads = judged["accuracy"]["reads"]
    assert reads["summary"]["mean"] == 1.0 and reads["nothing"]["mean"] == 0.5
    assert judged["gains"]["reads"]["summary minus nothing"]["mean"] == 0.5
    assert judged["accuracy"]["first"]["summary"]["mean"] == 0.5, "asked in both orders a habit decides nothing"
    assert judged["bands"]["all judges"]["summary"] == [0.5, 1.0, 3]
    assert judged["bands"]["judges without an exposed habit"]["summary"] == [1.0, 1.0, 1]
    assert reads["summary"]["users"] == 30 and reads["summary"]["targets"] == 120


def test_personalized_answers_win_by_the_judge_that_reads_and_ties_are_counted(judged):
    wins = judged["wins"]["reads"]
    # The stand-in writes from a summary only, and this judge reads the history, which names no liking: all ties.
    assert wins["personalized over default"]["mean"] == 0.5 and judged["habits"]["reads"]["ties"] > 0.5
    crowd = persons(6)
    seat = Seat(prompted(lambda user: Model(fake_server.reply)), compares_by="summary")
    written = answers(crowd, lambda user: Model(fake_server.reply))
    found = report([], answers_judged(crowd, {"r": seat}, written)).to_json()
    assert found["wins"]["r"]["personalized over default"]["mean"] == 1.0
    assert found["wins"]["r"]["personalized over history"]["mean"] == 1.0
    assert found["wins"]["r"]["history over default"]["mean"] == 0.5, "equal answers are a tie"


def judgment(user, straight, turned, longer):
    return Judgment("j", "summary", user, "0", "chosen", "rejected", Verdict(straight, turned), longer)


def test_the_habits_are_the_worked_numbers():
    rows = [judgment(f"u{n}", "first", "second", 1) for n in range(8)]
    rows += [judgment(f"u{n}", "first" if n % 2 else "second", "second" if n % 2 else "first", 0) for n in range(8)]
    gap = length_habit(rows)
    assert gap.mean == pytest.approx(1.0 - 0.5) and gap.low < 0.5 < gap.high
    assert position_habit(rows).mean == 0.5
    assert position_habit([judgment("u", "first", "first", 1), judgment("v", "first", "tie", 1)]).mean == 1.0
    assert length_habit(rows[:12]).targets == 0, "four shorter choices are too few"
    # Right nine times in ten, whatever the length, where users chose the longer answer three times in four: no habit.
    rng = random.Random(1)
    fair = [
        judgment(
            f"u{n % 60}",
            *(("first", "second") if rng.random() < 0.9 else ("second", "first")),
            int(rng.random() < 0.75),
        )
        for n in range(600)
    ]
    assert length_habit(fair).low < 0 < length_habit(fair).high


@pytest.fixture
def store(tmp_path):
    return judged_store(tmp_path)


def test_held_out_choices_are_judged_and_the_past_is_what_is_pasted(store):
    with Store(store) as opened:
        found = people(opened)
    assert [len(person.choices) for person in found] == [2] * 4
    assert "Tell me 0." in found[0].history and "Tell me 1." not in found[0].history


def command(store, folder, url, *more):
    return [
        "judge",
        "--store",
        store,
        "--judge_model",
        "j",
        "--answer_model",
        "m",
        "--base_url",
        url,
        "--output_dir",
        folder,
        *more,
    ]


def test_a_second_run_sends_nothing(store, tmp_path, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = tmp_path / "judged"
    with upstream() as server:  # It answers "Tea is fine." to everything: unclear, and counted.
        asked = command(store, folder, server.url, "--json", "--max_users", "2")
        status, out, err = plus_here(*asked)
        assert status == 0, err
        sent = len(server.asked)
        # 4 choices: 3 told x 3 wordings x 2 orders, a checklist on 2 answers, 4 answers; equal answers ask nobody.
        assert sent == 4 * (18 + 2 + 4) == len((folder / "judgments.jsonl").read_text().splitlines())
        again = plus_here(*asked)
        assert len(server.asked) == sent and f"0 requests sent, {sent} replies were known" in again[2]
    assert data_of(again[1]) == data_of(out)
    assert data_of(out)["habits"]["j, pick"]["unclear"] == pytest.approx(12 / 28)  # 16 ties of equal answers
    assert KEY not in out + err + (folder / "judgments.jsonl").read_text()


def test_the_stand_in_judges_a_store_end_to_end(store, tmp_path, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with fake_server.serving() as url:
        status, out, err = plus_here(*command(store, tmp_path / "judged", url, "--no-checklist"))
    assert status == 0, err
    assert "Whose choice is predicted" in out and "j, evidence" in out
    found = json.loads((tmp_path / "judged" / "report.json").read_text())
    assert found["accuracy"]["j, pick"]["summary"]["mean"] == 1.0
    assert found["accuracy"]["j, pick"]["nothing"]["mean"] == 0.5


def test_the_function_gives_what_the_command_prints(store, tmp_path, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with fake_server.serving() as url, Store(store) as opened:
        found = plus.judge(opened, tmp_path / "called", judge_models=["j"], answer_model="m", base_url=url)
        status, out, _ = plus_here(*command(store, tmp_path / "judged", url, "--json"))
    assert status == 0 and data_of(out) == found.report.to_json()
    assert found.report.accuracy["j, pick"]["summary"].mean == 1.0 and found.sent > 0
    with pytest.raises(SettingError, match="nobody judges"):
        plus.judge(opened, tmp_path / "none")


def test_dry_run_prints_what_would_be_sent(store, tmp_path, plus_here, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with upstream() as server:
        status, out, err = plus_here(*command(store, tmp_path / "judged", server.url, "--dry-run"))
    assert status == 0, err
    assert server.asked == [] and not (tmp_path / "judged").exists()
    assert len([json.loads(line) for line in out.splitlines()]) == 8 * (18 + 2 + 4)
    assert "nothing was sent" in err and "their text is not known yet" in err


def test_a_runs_reward_model_is_a_judge_without_any_endpoint(store, tmp_path, plus_here, base, reward_model):
    run = tmp_path / "run"
    for part, model in (("summarizer", base), ("reward_model", reward_model)):
        model.model.save_pretrained(run / part)
        model.tokenizer.save_pretrained(run / part)
    (run / "config.json").write_text("{}")
    folder = tmp_path / "judged"
    found = plus_here("judge", "--store", store, "--reward_model", "--run", run, "--output_dir", folder, "--json")
    assert found[0] == 0, found[2]
    report = data_of(found[1])["accuracy"]["the run's reward model"]
    assert set(report) == {"summary", "history", "nothing"} and report["summary"]["targets"] == 8
    assert "0 requests sent" in found[2]


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        (["--judge_model", "j"], KEY, "stand behind --base_url, which is missing"),
        ([], KEY, "nobody judges; give --judge_model"),
        (["--judge_model", "j", "--base_url", "http://host:abc"], KEY, "'http://host:abc' is no http address"),
        (
            ["--judge_model", "j", "--base_url", "http://127.0.0.1:9/v1"],
            "",
            "no key for the endpoint; set OPENAI_API_KEY",
        ),
        (["--judge_model", "j", "--base_url", "http://127.0.0.1:9/v1"], KEY, "could not be reached"),
    ],
)
def test_what_cannot_judge_is_one_line(store, tmp_path, arguments, key, expected, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    status, out, err = plus_here("judge", "--store", store, "--output_dir", tmp_path / "judged", *arguments)
    assert (status, out) == (2, "") and expected in err.splitlines()[-1]
    assert KEY not in err and "Traceback" not in err


def test_the_arms_of_a_comparison_differ_by_the_text_about_the_user_alone():
    crowd = persons()
    requests = answer_requests(crowd[0], crowd[0].choices[0], crowd[1].summary)
    assert set(requests) == {"personalized", "history", "another", "default"}
    assert {messages[0]["role"] for messages in requests.values()} == {"system"}
    assert requests["default"][0]["content"] == NEUTRAL and len({str(m[1:]) for m in requests.values()}) == 1
    for name, text in (("personalized", crowd[0].summary), ("another", crowd[1].summary)):
        assert requests[name][0]["content"].startswith(f"{NEUTRAL}\n\n") and text in requests[name][0]["content"]


def test_a_reply_that_does_not_come_in_time_is_unclear_and_asked_again(tmp_path):
    """The planted fault: one judge in three never answers."""
    late = iter([True, False, False] * 1000)

    class Slow(Model):
        def complete(self, messages):
            if next(late):
                raise SlowReplyError("the endpoint could not be reached (APITimeoutError)")
            return super().complete(messages)

    crowd, replies = persons(), Replies(tmp_path / "r.jsonl")
    seat = Seat(prompted(lambda user: replies.of(Slow(first), "m", user), workers=1))
    found = choices_judged(crowd, {"slow": seat})
    said = [said for one in found for said in (one.verdict.straight, one.verdict.turned)]
    assert said.count("unclear") == replies.slow > 0 and said.count("first") == replies.sent
    again = Replies(tmp_path / "r.jsonl")
    choices_judged(crowd, {"slow": Seat(prompted(lambda user: again.of(Model(first), "m", user)))})
    assert again.sent == replies.slow


def test_an_answer_that_did_not_come_is_compared_with_none():
    crowd = persons()
    written = answers(crowd, lambda user: Model(fake_server.reply))
    whole = answers_judged(crowd, {"first": Seat(prompted(lambda user: Model(first)))}, written)
    written[0]["another"] = ""
    fewer = answers_judged(crowd, {"first": Seat(prompted(lambda user: Model(first)))}, written)
    assert len(whole) - len(fewer) == 1 and not [one for one in fewer if "" in (one.one, one.two)]
