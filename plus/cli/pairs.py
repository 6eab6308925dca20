"""`plus pairs`: preference pairs from the feedback in a store, as rows that `plus train` takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.dry_run import DryRun
from plus.cli.show import notes, print_json, results, say
from plus.cli.signals import REPLY_TOKENS, BaseUrl, Cache, Engine, asking, on_this_machine, show_requests, writers
from plus.cli.stores import AsJson, StoreFile, open_store

if TYPE_CHECKING:
    from plus.profiles.store import Store
    from plus.signals.pairs import Left, Pair
    from plus.types import Split

ANSWER_TOKENS = 1024
JUDGE_TOKENS = 256


def pairs(
    output: Annotated[Path, typer.Option(help="Where the pairs go, as JSONL; never overwritten.")],
    store: StoreFile = None,
    engine: Engine = "auto",
    model: Annotated[
        str | None, typer.Option("--model", help="A model behind --base_url that labels turns instead.")
    ] = None,
    rewrite_model: Annotated[
        str | None,
        typer.Option(help="A model behind --base_url that states the preferences behind complaints, writes new answers under them and checks them."),
    ] = None,
    base_url: BaseUrl = None,
    cache: Cache = None,
    min_weight: Annotated[float, typer.Option(help="Leave out pairs that weigh less.", min=0, max=1)] = 0.2,
    held_out: Annotated[int, typer.Option(help="Mark so many pairs, spread over all subjects, as split test.", min=0)] = 0,
    preferences: Annotated[
        Path | None, typer.Option(help="Write what each user said they want there: rows {user_id, preferences}, a checklist for a judge.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Turn the feedback of ingested logs into preference pairs, each with its evidence and a weight.

    An answer that drew dissatisfaction against the one accepted after it; regenerated and edited branches; thumbs on
    answers to one prompt; choices as they are. Silence is no evidence. With --model and --rewrite_model conversations are sent
    to --base_url, with your OPENAI_API_KEY; else nothing leaves this machine.

    Example: plus pairs --store profiles.db --output pairs.jsonl
    """
    from plus.errors import SourceError

    for path in filter(None, (output, preferences)):
        if path.exists():
            raise SourceError(f"{path} is there already and is not overwritten; give another name")
    with open_store(store) as opened:
        if dry_run:
            _dry_run(opened, model, rewrite_model, base_url, engine, as_json)
            return
        found, left, facts = _found(opened, model, base_url, cache, engine)
        facts["complaints without a better answer"] = len(left)
        if rewrite_model is not None:
            found += _rewritten(left, rewrite_model, base_url, cache, facts)
        kept = [pair for pair in found if pair.weight >= min_weight]
        facts["left out, too light"] = len(found) - len(kept)
        if preferences is not None:
            facts["users with stated preferences"] = _write_preferences(opened, found, preferences)
    splits = _splits(kept, held_out)
    with output.open("x", encoding="utf-8") as file:
        file.writelines(
            json.dumps(pair.row(split), ensure_ascii=False) + "\n" for pair, split in zip(kept, splits, strict=True)
        )
    kinds = Counter(pair.event.source.rpartition(":")[2] or "stated" for pair in kept)
    facts = {"pairs": len(kept), "users": len({pair.user_id for pair in kept}), "kinds": dict(kinds), **facts}
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        results.print(
            f"{name}: {', '.join(f'{count:,} x {kind}' for kind, count in value.items()) if isinstance(value, dict) else value}"
        )


def _found(
    store: Store, model: str | None, base_url: str | None, cache: Path | None, engine: str
) -> tuple[list[Pair], list[Left], dict[str, Any]]:
    """(pairs, complaints that no better answer followed, what is to be said of it); a user at a time."""
    from plus.signals import pairs as of

    asked, replies = asking(model, base_url, cache) if model is not None else (None, None)
    name, labels = (model or "", None) if asked is not None else on_this_machine(engine)
    pairs: list[Pair] = []
    left: list[Left] = []
    with notes.status("reading feedback"):
        for user_id in list(store.users()):
            talks = of.talks(store, user_id)
            turns = [talk.turns for talk in talks]
            found = asked(turns, [user_id] * len(turns)) if asked is not None else labels(turns) if labels else []
            mine = list(of.from_events(user_id, of.events_of(store, user_id)))
            for talk, signals in zip(talks, found, strict=True):
                revised, only_rejected = of.from_talk(talk, signals)
                mine += revised
                left += only_rejected
            pairs += of.once(mine)
    facts: dict[str, Any] = {"engine": name}
    if asked is not None and asked.dropped:
        facts["claims left out"] = dict(asked.dropped)
    if replies is not None:
        facts |= {"requests sent": replies.sent, "replies known": replies.known}
    return pairs, left, facts


def _rewritten(left: list[Left], model: str, base_url: str | None, cache: Path | None, facts: dict[str, Any]) -> list[Pair]:  # fmt: skip
    from plus.signals.rewrite import Rewriter

    writer_of, replies = writers(model, base_url, cache, ANSWER_TOKENS)
    rewriter = Rewriter(writer_of)
    with notes.status(f"writing answers to {len(left):,} complaints"):
        made = rewriter.pairs(left)
    facts["not rewritten"] = dict(rewriter.dropped)
    if replies is not None:
        facts |= {"requests sent to rewrite": replies.sent}
    return made


def _dry_run(store: Store, model: str | None, rewrite_model: str | None, base_url: str | None, engine: str, as_json: bool) -> None:  # fmt: skip
    """What labelling would send; what rewriting would, as far as complaints are known without it."""
    from plus.signals import pairs as of
    from plus.signals.asked_signals import requests_of
    from plus.signals.rewrite import asking as asking_for_preferences

    if model is not None:
        talks = (talk.turns for user_id in list(store.users()) for talk in of.talks(store, user_id))
        show_requests(requests_of(talks), model, base_url, REPLY_TOKENS, as_json)
    elif rewrite_model is not None:
        _, left, _ = _found(store, None, base_url, None, engine)
        show_requests(map(asking_for_preferences, left), rewrite_model, base_url, ANSWER_TOKENS, as_json)
        say(f"then at most {3 * len(left):,} more requests: a new answer to each complaint, and two checks")
    else:
        say("nothing would be sent: no --model and no --rewrite_model")


def _splits(pairs: list[Pair], held_out: int) -> list[Split | None]:
    """A test split of `held_out` pairs over all subjects, by clusters of their prompts; none where none is asked for."""
    if not held_out:
        return [None] * len(pairs)
    from plus.models.embeddings import minilm
    from plus.signals.held_out import sample
    from plus.types import Preference

    prompts = [pair.event.content.prompt for pair in pairs if isinstance(pair.event.content, Preference)]
    chosen = set(sample(prompts, held_out, minilm()))
    if len(chosen) < held_out:
        say(f"{len(chosen):,} pairs held out of {held_out:,}: there are no more that differ")
    return ["test" if place in chosen else "train" for place in range(len(pairs))]


def _write_preferences(store: Store, pairs: Iterable[Pair], path: Path) -> int:
    from plus.signals.pairs import stated

    of_user: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_user.setdefault(pair.user_id, []).append(pair)
    rows = [
        {"user_id": user_id, "preferences": list(said)}
        for user_id in list(store.users())
        if (said := stated(store, user_id, of_user.get(user_id, ())))
    ]
    with path.open("x", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return len(rows)
