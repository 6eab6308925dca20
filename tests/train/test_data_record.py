"""A run knows whom it was trained on: the same data, grown data, other data, and damage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.audit.leak_check import leak_check
from plus.errors import RunError
from plus.sources.contexts import build
from plus.sources.splits import Plan
from plus.train import data_record
from plus.types import Event, Population, Preference


def log(users: dict[str, int], seed: int = 0) -> dict[str, list[Event]]:
    """So many choices of each user, the first ones the same however many there are."""
    rng = {user: random.Random(f"{seed}-{user}") for user in users}
    return {
        user: [
            Event(f"{user}-{n}", "choice", Preference(f"q{n}?", f"yes {rng[user].random()}", "no"), time=float(n))
            for n in range(count)
        ]
        for user, count in users.items()
    }


def population(users: dict[str, int], seed: int = 0, plan: Plan | None = None) -> Population:
    return build("log", log(users, seed), plan or Plan())


def kept(folder, people: Population) -> Population:
    """What `admit` makes of `people` for a run whose record lies in `folder`; what was said is in its name."""
    lines: list[str] = []
    found = data_record.admit(folder, people, lines.append)
    assert len(lines) <= 1
    return found


def test_the_record_comes_back_and_holds_no_text(tmp_path):
    people = population({"ann": 3, "bob": 4, "carol": 5})
    data_record.write(tmp_path, data_record.record(people))
    assert data_record.read(tmp_path) == data_record.record(people)
    raw = (tmp_path / data_record.FILE).read_text()
    assert "yes" not in raw and len(raw.splitlines()) == 3
    assert data_record.compare(data_record.record(people), people).same
    assert data_record.read(tmp_path / "none") is None, "a run of a plus that kept no record"


def test_grown_data_are_counted_by_users_and_events(tmp_path):
    before = data_record.record(population({"ann": 3, "bob": 4, "carol": 5}))
    found = data_record.compare(before, population({"ann": 3, "bob": 6, "dora": 7}))
    assert (found.new_users, found.new_events) == (1, 2 + 7) and (found.gone_users, found.gone_events) == (1, 5)
    assert (found.known_users, found.known_events) == (3, 12) and not found.same and not found.other
    assert "1 users and 9 events are new, 1 of 3 users and 5 of 12 events are gone" in found.line()


def test_other_data_are_refused_with_the_remedy(tmp_path):
    data_record.write(tmp_path, data_record.record(population({"ann": 3, "bob": 4})))
    for other in (population({"xan": 3, "yod": 4}), population({"ann": 3, "bob": 4}, seed=1)):
        with pytest.raises(RunError, match="trained on other data; give those, or train a new run"):
            kept(tmp_path, other)


def test_a_damaged_record_names_its_line(tmp_path):
    (tmp_path / data_record.FILE).write_text('{"user_id": "ann", "split": "train", "events": "1234567"}\n')
    with pytest.raises(RunError, match=r"data.jsonl line 1 is no line of a run's record"):
        data_record.read(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 60), st.integers(2, 6), min_size=4, max_size=25),
    st.dictionaries(st.integers(0, 90), st.integers(0, 6), max_size=40),
    st.sampled_from([0, 1, 42]),
)
def test_no_trained_user_is_ever_tested_however_the_file_grows(tmp_path_factory, first, more, seed):
    """Planted: the split by rank of a few users moves when they become many; the record holds it."""
    folder, plan = tmp_path_factory.mktemp("run"), Plan(seed=seed)
    before = population({f"u{user}": count for user, count in first.items()}, plan=plan)
    known = data_record.record(before)
    data_record.write(folder, known)
    grown = {user: first.get(user, 0) + more.get(user, 0) for user in first.keys() | more.keys()}
    after = kept(folder, population({f"u{user}": max(2, count) for user, count in grown.items()}, plan=plan))
    tested = set(after.users("test"))
    assert not tested & data_record.trained_users(known)
    assert set(before.users("test")) & set(after.users("train")) == set(), "and nobody tested is trained on by a resume"
    assert leak_check(after, trained=data_record.trained_users(known)).trained_user == 0


def test_the_leak_check_counts_test_choices_of_trained_users():
    """Planted: a population whose split says test of users whom the run was trained on."""
    people = population({f"u{number}": 6 for number in range(30)})
    tested = people.split("test")
    someone = tested[0].history.user_id
    found = leak_check(people, trained={someone})
    assert found.trained_user == sum(example.history.user_id == someone for example in tested) == found.total
