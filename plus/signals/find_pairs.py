"""Preference pairs of a store: the job of `plus pairs`, with stated preferences and a held-out sample.

with plus.Store("profiles.db") as store:
    report = plus.pairs(store, "pairs.jsonl")
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.errors import SourceError
from plus.profiles import schema
from plus.profiles.store import Store
from plus.progress import SILENT, Screen
from plus.signals.find import Engine, EngineName, choose_engine, writers
from plus.signals.pairs import Complaint, Pair, Rewriter, Talk, deduplicate, from_events, from_talk
from plus.types import Event, Preference, Split, Turn

if TYPE_CHECKING:
    from plus.models.embeddings import Encode

ANSWER_TOKENS = 1024  # the most that a rewritten answer or a checklist reply may have
SAME = 0.95  # cosine from which two prompts are one


@dataclass(frozen=True)
class Rewriting:
    """Counts of a model that writes new answers: complaints without one by reason, and requests (None: no cache)."""

    dropped: Mapping[str, int]
    sent: int | None


@dataclass(frozen=True)
class PairsReport:
    """Result of a search for pairs.

    pairs, splits: the pairs that weigh enough, and the split of each (None where none was asked for).
    complaints: number of rejected answers that no accepted one followed. too_light: number of pairs left out.
    preferences: user -> statements of the user about answers, where they were asked for.
    """

    pairs: tuple[Pair, ...]
    splits: tuple[Split | None, ...]
    engine: Engine
    complaints: int
    too_light: int
    rewriting: Rewriting | None = None
    preferences: Mapping[str, tuple[str, ...]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert the report to the JSON object that `plus pairs --json` prints; the pairs are counted only."""
        kinds = Counter(pair.kind for pair in self.pairs)
        users = {pair.user_id for pair in self.pairs}
        engine, rewriting, preferences = self.engine, self.rewriting, self.preferences
        facts = {
            "pairs": len(self.pairs),
            "users": len(users),
            "kinds": dict(kinds),
            "engine": engine.name,
            "claims left out": dict(engine.dropped) if engine.dropped else None,
            "requests sent": engine.replies.sent if engine.replies else None,
            "replies known": engine.replies.known if engine.replies else None,
            "complaints without a better answer": self.complaints,
            "not rewritten": dict(rewriting.dropped) if rewriting else None,
            "requests sent to rewrite": rewriting.sent if rewriting else None,
            "left out, too light": self.too_light,
            "users with stated preferences": len(preferences) if preferences is not None else None,
        }
        return {name: value for name, value in facts.items() if value is not None}


def find_pairs(
    store: Store,
    output: str | Path | None = None,
    engine: EngineName = "rules",
    model: str | None = None,
    rewrite_model: str | None = None,
    base_url: str | None = None,
    cache: str | Path | None = None,
    min_weight: float = 0.2,
    held_out: int = 0,
    preferences: str | Path | None = None,
    screen: Screen = SILENT,
) -> PairsReport:
    """Turn the feedback in a store into preference pairs, each with its evidence and a weight.

    output: a new JSONL file of rows that `plus train` takes.
    engine, model, base_url, cache: the engine that labels turns, as in `find_signals`.
    rewrite_model: a model at `base_url` that states the preferences behind complaints, writes new answers to them and
        checks these.
    min_weight: pairs of less weight are left out. held_out: pairs in split test, spread over all subjects; the others
    are then in split train. preferences: a new JSONL file of {user_id, preferences}, a checklist for a judge.
    Raises SourceError for a file that exists, and the errors of the engines.
    """
    refuse_existing(output, preferences)
    # 1. Pairs of answers in the log, and complaints that no better answer followed.
    chosen = choose_engine(engine, model, base_url, cache, screen)
    with screen.status("reading feedback"):
        found, complaints = collect(store, chosen)
    # 2. New answers to those complaints.
    rewriting = None
    if rewrite_model is not None:
        writer_of, replies = writers(rewrite_model, base_url, cache, ANSWER_TOKENS)
        rewriter = Rewriter(writer_of)
        with screen.status(f"writing answers to {len(complaints):,} complaints"):
            found += rewriter.pairs(complaints)
        rewriting = Rewriting(rewriter.dropped, replies.sent if replies is not None else None)
    # 3. What users said they want, from all pairs; then those that weigh enough, and their splits.
    stated = None
    if preferences is not None:
        stated = all_preferences(store, found)
        _write_new(preferences, ({"user_id": user_id, "preferences": list(of)} for user_id, of in stated.items()))
    kept = [pair for pair in found if pair.weight >= min_weight]
    splits = _splits(kept, held_out, screen)
    if output is not None:
        _write_new(output, (pair.row(split) for pair, split in zip(kept, splits, strict=True)))
    too_light = len(found) - len(kept)
    return PairsReport(tuple(kept), tuple(splits), chosen, len(complaints), too_light, rewriting, stated)


def refuse_existing(*paths: str | Path | None) -> None:
    """Check that no output file exists. Raises SourceError that names the first that does."""
    for path in paths:
        if path is not None and Path(path).exists():
            raise SourceError(f"{path} is there already and is not overwritten; give another name")


def collect(store: Store, engine: Engine) -> tuple[list[Pair], list[Complaint]]:
    """Collect the pairs and the unresolved complaints of every user, one user at a time."""
    pairs: list[Pair] = []
    complaints: list[Complaint] = []
    for user_id in list(store.users()):
        talks = user_talks(store, user_id)
        labels = engine.label([talk.turns for talk in talks], [user_id] * len(talks))
        of_user = list(from_events(user_id, _choices_and_reactions(store, user_id)))
        for talk, signals in zip(talks, labels, strict=True):
            revised, unresolved = from_talk(talk, signals)
            of_user += revised
            complaints += unresolved
        pairs += deduplicate(of_user)
    return pairs, complaints


def user_talks(store: Store, user_id: str) -> list[Talk]:
    """Read a user's conversations. Messages without a conversation are left out: the next one may belong elsewhere."""
    turns: dict[str, list[Turn]] = {}
    times: dict[str, float | None] = {}
    for _, kind, time, session, _, content, _ in store.event_rows(user_id):
        exchange = schema.decode_content(content) if kind == "message" and session else ""
        if isinstance(exchange, tuple):
            turns.setdefault(session, []).extend(exchange)
            times[session] = time
    return [Talk(user_id, session, tuple(of_session), times[session]) for session, of_session in turns.items()]


def stated_preferences(store: Store, user_id: str, pairs: Iterable[Pair] = ()) -> tuple[str, ...]:
    """List what a user said about answers: remarks in the store, then preferences of the user's `pairs`, each once.

    This is the checklist of a user-guided evaluation (WildFeedback, step 4).
    """
    found = store.event_rows(user_id)
    remarks = [schema.decode_content(content) for _, kind, _, _, _, content, _ in found if kind == "remark"]
    texts = [text for text in remarks if isinstance(text, str)]
    texts += [point for pair in pairs if pair.user_id == user_id for point in pair.preferences]
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


def all_preferences(store: Store, pairs: Iterable[Pair]) -> dict[str, tuple[str, ...]]:
    """Map each user who said something about answers to the stated preferences."""
    of_user: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_user.setdefault(pair.user_id, []).append(pair)
    found = {user_id: stated_preferences(store, user_id, of_user.get(user_id, ())) for user_id in list(store.users())}
    return {user_id: stated for user_id, stated in found.items() if stated}


def sample_prompts(prompts: Sequence[str], count: int, encode: Encode, clusters: int = 70, seed: int = 0) -> list[int]:
    """Choose at most `count` prompts of all subjects, without near-duplicates (WildFeedback, step 4); returns places.

    Prompts are clustered by their sentence embeddings. Taken are the nearest of each cluster to its centre, then the
    second nearest, and so on; the places are in ascending order. `clusters` is lowered to the number of distinct
    prompts. Deterministic.
    """
    if not prompts or count <= 0:
        return []
    import numpy as np
    from sklearn.cluster import KMeans
    from torch.nn.functional import normalize

    from plus.models.embeddings import Embeddings

    vectors_ND = normalize(Embeddings(encode).vectors(prompts), dim=1).numpy().astype(np.float64)
    distinct = len(np.unique(vectors_ND.round(6), axis=0))
    made = KMeans(min(clusters, distinct), n_init=3, random_state=seed).fit(vectors_ND)
    distance_N = np.linalg.norm(vectors_ND - made.cluster_centers_[made.labels_], axis=1)
    # Order by rank in the own cluster, then by cluster.
    sizes: Counter[int] = Counter()
    order: list[tuple[int, int, int]] = []  # (rank in its cluster, cluster, place)
    for place in np.argsort(distance_N, kind="stable").tolist():
        cluster = int(made.labels_[place])
        order.append((sizes[cluster], cluster, place))
        sizes[cluster] += 1
    kept: list[int] = []
    for _, _, place in sorted(order):
        if len(kept) < count and (not kept or (vectors_ND[kept] @ vectors_ND[place]).max() < SAME):
            kept.append(place)
    return sorted(kept)


def _choices_and_reactions(store: Store, user_id: str) -> Iterator[tuple[str, Event]]:
    """Yield (session, event) of a user's choices and reactions, in order of arrival."""
    for event_id, kind, time, session, source, content, _ in store.event_rows(user_id):
        if kind in ("choice", "reaction"):
            yield session, Event(event_id, kind, schema.decode_content(content), time, source)


def _splits(pairs: Sequence[Pair], held_out: int, screen: Screen) -> list[Split | None]:
    """Put `held_out` pairs of all subjects into split test and the others into train; None for all when it is 0."""
    if not held_out:
        return [None] * len(pairs)
    from plus.models.embeddings import minilm

    prompts = [pair.event.content.prompt for pair in pairs if isinstance(pair.event.content, Preference)]
    chosen = set(sample_prompts(prompts, held_out, minilm()))
    if len(chosen) < held_out:
        screen.say(f"{len(chosen):,} pairs held out of {held_out:,}: there are no more that differ")
    return ["test" if place in chosen else "train" for place in range(len(pairs))]


def _write_new(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines to a file that must not exist: one that appeared in the meantime is not overwritten."""
    with Path(path).open("x", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
