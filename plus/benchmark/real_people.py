"""Real people dealt into the folds that the benchmark tests, each in the way that its data allow."""

from __future__ import annotations

from pathlib import Path

from plus.datasets import SYNTHETIC
from plus.errors import SettingError
from plus.sources import llmfao, polis, ukpconvarg1
from plus.sources.folds import Events, Fold, by_topics, by_users, by_users_and_answers, within_users
from plus.types import Dropped, Preference

MIN_VOTES = 12
PAIRS = 40  # targets of a Polis voter, who has hundreds of (agreed, disagreed) pairs


def polis_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """New voters in three folds: on statements that the training voters saw, and on statements held out."""
    votes = polis.votes_of(data_dir, dropped)
    few = sum(len(of_voter) < MIN_VOTES for of_voter in votes.values())
    if few:
        dropped.add(f"voters with fewer than {MIN_VOTES} votes that agree or disagree", "", few)
    kept: Events = {voter: of_voter for voter, of_voter in votes.items() if len(of_voter) >= MIN_VOTES}
    name = f"polis/{data_dir.resolve().name}"
    return [*by_users(name, kept, 3, pairs=PAIRS), *by_users_and_answers(name, kept, 3, pairs=PAIRS)]


def llmfao_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """The same workers (those with 20 or more decided judgments), new workers, and new prompts."""
    judgments = llmfao.judgments_of(data_dir, dropped)
    return [
        *within_users("llmfao", judgments, 5),
        *by_users("llmfao", judgments, 3),
        *by_topics("llmfao", judgments, 3),
    ]


def ukpconvarg1_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """The published protocol: the `crowdsample` rows, one of the 32 sides of a topic left out at a time."""
    judgments = ukpconvarg1.judgments_of(data_dir, dropped, crowdsample=True)
    choices: Events = {
        user: [event for event in past if isinstance(event.content, Preference)] for user, past in judgments.items()
    }
    return by_topics("ukpconvarg1", choices, 32)


PEOPLE = {"llmfao": llmfao_folds, "polis": polis_folds, "ukpconvarg1": ukpconvarg1_folds}
SHOWN_IN_PAIRS = {
    "llmfao": llmfao.first_won,
    "ukpconvarg1": ukpconvarg1.first_won,
}  # Polis shows one statement at a time.


def load(name: str, data_dir: str | Path | None, dropped: Dropped) -> list[Fold]:
    """The folds of a data set of real people. Raises SettingError."""
    if name not in PEOPLE:
        raise SettingError(
            f"--dataset_name is {name!r}; plus benchmark takes {', '.join(sorted(PEOPLE))}, and synthetic {', '.join(SYNTHETIC)}"
        )
    if data_dir is None:
        raise SettingError(f"plus benchmark --dataset_name {name} reads files; give their folder with --data_dir")
    return PEOPLE[name](Path(data_dir), dropped)
