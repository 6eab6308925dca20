"""Which placement a model heeds: the probes, against servers that heed by a rule."""

from __future__ import annotations

import json

import pytest
from support.llama_server import MODEL, llama_server, smollm2_file
from support.running import data_of
from support.upstream import upstream

from plus.serve.wording import ARMS, PLACES, QUESTIONS, WISHES, Arm, measure, request

__all__ = ["llama_server", "smollm2_file"]
MET = ("Certainly, it is.", "IT IS.", "It is.", "- one\n- two", "Le ciel est bleu et la mer aussi.", "Aye, Captain.",
       "As a cat does.", "Yes \u2728")  # fmt: skip
LONG = "The sky looks blue because air scatters the short waves of light more than the long ones. " * 3


@pytest.mark.parametrize("number", range(len(WISHES)))
def test_a_rule_passes_what_meets_its_wish_and_no_plain_answer(number):
    assert WISHES[number].is_met(MET[number]) and not WISHES[number].is_met(LONG) and not WISHES[number].is_met("")


def test_a_model_that_heeds_one_place_is_seen_to():
    def heeds_newest_turn(messages):
        return next(
            (met for wish, met in zip(WISHES, MET, strict=True) if wish.summary in messages[-1]["content"]), LONG
        )

    found = {arm.name: (arm.met, arm.probes) for arm in measure(heeds_newest_turn)}
    probes = len(WISHES) * len(QUESTIONS)
    assert found.pop("last_user, fence") == found.pop("last_user, about") == (probes, probes)
    assert set(found.values()) == {(0, probes)} and len(found) == len(ARMS) - 2


def test_anothers_summary_meets_no_wish():
    other = next(arm for arm in ARMS if arm.other)
    for number, wish in enumerate(WISHES):
        text = json.dumps(request(other, number, "Why?"))
        assert wish.summary not in text and WISHES[(number + 1) % len(WISHES)].summary in text


@pytest.mark.parametrize("how", ["fence", "about"])
def test_in_the_newest_turn_every_earlier_byte_is_the_same(how):
    plain = request(Arm(None, None), 0, "Why?")
    for place in PLACES:
        made = request(Arm(place, how), 0, "Why?")
        changed = [number for number, pair in enumerate(zip(plain, made, strict=True)) if pair[0] != pair[1]]
        assert changed == {"system": [0], "user": [1], "last_user": [3]}[place]


def test_the_command_prints_a_row_an_arm_and_shows_what_it_sends(plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with upstream() as server:
        arguments = ("wording", "--model", "m", "--base_url", server.url, "--json")
        status, out, _ = plus_here(*arguments, "--dry-run")
        assert status == 0 and not server.asked and len(data_of(out)["requests"]) == 8 * 24
        _, out, _ = plus_here(*arguments)
    rows = data_of(out)["arms"]
    assert [row["summary"] for row in rows] == [arm.name for arm in ARMS] and len(server.asked) == 8 * 24
    assert {(row["heeded"], row["of"]) for row in rows} == {(3, 24)}, "its one answer is short"


@pytest.mark.slow
def test_a_real_small_model_heeds_some_placement_more_than_none(llama_server, plus_here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    status, out, err = plus_here("wording", "--model", MODEL, "--base_url", llama_server, "--workers", "1", "--json")
    assert status == 0, err
    found = {row["summary"]: row["heeded"] for row in data_of(out)["arms"]}
    assert max(found.values()) > found["no summary"]
