"""Summaries of users' own choices: of a file, one line a user, or of a store, under people's edits."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from plus.errors import ModelError, RunError
from plus.jsonl import read_json, write_jsonl
from plus.progress import SILENT, Screen
from plus.recipes.stores import open_store
from plus.types import Dropped

if TYPE_CHECKING:
    from plus.models.embeddings import Encode
    from plus.profiles.adding import Added
    from plus.profiles.store import Store
    from plus.profiles.update import AgainstAnew, StreamingSummarizer, SummaryFile, UpdateCounts
    from plus.profiles.versions import Similar
    from plus.serve.capture import Outgoing
    from plus.types import Scorer, Summarizer, UserHistory

SHOWN = 64  # users between two looks of the progress bar
ALIKE = 0.85  # cosine similarity from which two sentences say the same: close rewordings only (notebooks/LOG.md)


@dataclass(frozen=True)
class SummarizeResult:
    """Result of summarizing a file of choices.

    summaries: user_id -> summary, in the order of the file; with `resume` those of unchanged users too.
    unchanged: users who were skipped. failed: users the endpoint did not answer for, by reason.
    cut: histories that did not fit the window, by reason. dropped: rows that could not be used.
    """

    summaries: Mapping[str, str]
    unchanged: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, int] = field(default_factory=dict)
    dropped: Dropped = field(default_factory=Dropped)


@dataclass(frozen=True)
class UpdateResult:
    """Result of updating a store: user_id -> new summary, the events added, counts, and scores on held-out choices.

    added: None when no choices were given. counts, scores: None when no user had new choices.
    """

    summaries: Mapping[str, str]
    added: Added | None = None
    counts: UpdateCounts | None = None
    scores: AgainstAnew | None = None


def summarize(
    run: str | Path,
    choices: str | Path | TextIO,
    output: str | Path | None = None,
    resume: bool = False,
    model: str | None = None,
    on_summary: Callable[[str, str], None] | None = None,
    screen: Screen = SILENT,
) -> SummarizeResult:
    """Summarize every user of a file of past choices.

    run: a run folder, or the base URL of an OpenAI-compatible endpoint with its `model`.
    choices: JSON lines of user_id, prompt, chosen, rejected (or completion, label).
    output: JSON lines to write, a new file; `resume` goes on with one and skips users whose history has not changed.
    on_summary: is given each user_id and summary as it is written. Raises SourceError, ModelError and RunError.
    """
    from plus.profiles.update import SummaryFile, written

    # 1. The histories, and the users among them who need a new summary.
    _refuse_existing(output, resume)
    histories, dropped = _readable(choices)
    maker, start = _engine(str(run), model)
    texts: dict[str, str] = {}
    failed: Mapping[str, int] = {}
    cut: Mapping[str, int] = {}
    with closing(SummaryFile(Path(output))) if output is not None else nullcontext() as file:
        changed = _Changed(histories, file, maker)
        # 2. Each text goes to the file and to the caller as soon as it is written. The model is loaded for the first.
        todo = iter(changed)
        if first := next(todo, None):
            with screen.loading("loading the model"):
                engine = start()
            with screen.bar("users") as show, _rare_collection():
                for number, (history, text) in enumerate(written(chain([first], todo), engine), start=1):
                    if file is None:
                        texts[history.user_id] = text
                    else:
                        file.add(history, text, maker)
                    if on_summary is not None:
                        on_summary(history.user_id, text)
                    if number % SHOWN == 0 or number == changed.count:
                        show(number, len(histories) - changed.unchanged, {})
            failed, cut = getattr(engine, "failed", failed), engine.cut
        known: Mapping[str, str] = texts if file is None else file.of(histories)
        written_in_all = len(known) if file is None else len(file.summaries)
    # 3. What could not be done, and what there is now.
    for line in dropped.lines():
        screen.say(f"left out: {line}")
    if changed.unchanged:
        screen.say(f"{changed.unchanged:,} users are unchanged since their summary was written")
    for why, count in failed.items():
        screen.say(f"left out: {count:,} users for whom the endpoint gave {why}; --resume tries them again")
    for what, count in cut.items():
        screen.say(f"cut: {count:,} {what}")
    if output is not None:
        screen.say(f"{written_in_all:,} summaries in {output}")
    return SummarizeResult(known, changed.unchanged, failed, cut, dropped)


def summarize_requests(
    url: str,
    choices: str | Path | TextIO,
    model: str | None,
    output: Path | None = None,
    resume: bool = False,
    screen: Screen = SILENT,
) -> list[Outgoing]:
    """Make the requests that `summarize` would send to an endpoint, and send none.

    output: with `resume`, users who are unchanged in this file are left out. Raises as `summarize` does.
    """
    from plus.profiles.update import SummaryFile
    from plus.serve.capture import Caught
    from plus.serve.endpoint import EndpointSummarizer

    _refuse_existing(output, resume)
    histories, _ = _histories(choices, screen)
    maker, _ = _engine(url, model)
    with closing(SummaryFile(output)) if output is not None and output.exists() else nullcontext() as file:
        changed = _Changed(histories, file, maker)
        todo = list(changed)
    if changed.unchanged:
        screen.say(f"{changed.unchanged:,} users are unchanged since their summary was written")
    caught = Caught()
    for _ in EndpointSummarizer(url, model or "", concurrency=1, http_client=caught.client).stream(todo):
        pass  # Every answer is empty.
    return caught.outgoing


def update(
    run: str | Path,
    choices: str | Path | TextIO | None = None,
    store: Store | str | Path | None = None,
    held_out: float = 0.2,
    past_events: int | None = None,
    output: str | Path | None = None,
    screen: Screen = SILENT,
    model: str | None = None,
) -> UpdateResult:
    """Add choices to a store and summarize every user with new ones, under people's edits, locks and bans.

    run: folder of the run whose models are used, or the base URL of an endpoint with its `model`. choices: JSON
    lines as for `summarize`; default: those of the store. store: a store, its file or a run folder; default: the
    one in your data folder. held_out: share of the new choices that no summary reads, for scoring. past_events: how
    many of a user's newest events are read; default: as many as the run learned on. output: a new file for the new
    summaries. Raises SourceError, ModelError, RunError and ProfileError.
    """
    from plus.profiles.store import Store
    from plus.sources.histories import entries

    _refuse_existing(output)
    _engine(str(run), model)  # Refused before anything is written.
    with nullcontext(store) if isinstance(store, Store) else open_store(store, True, screen) as opened:
        # 1. New choices.
        added = None
        if choices is not None:
            dropped = Dropped()
            found = entries(Path(choices) if isinstance(choices, str) else choices, dropped)
            added = opened.add_events(found, held_out)
            for line in dropped.lines():
                screen.say(f"left out: {line}")
            screen.say(f"{added.added:,} new events, {added.known:,} known, {added.refused:,} refused (forgotten)")
        # 2. New summaries.
        result = _updated(opened, run, model, added, past_events, screen)
    if output is not None:
        write_jsonl(Path(output), ({"user_id": user, "summary": text} for user, text in result.summaries.items()))
        screen.say(f"{len(result.summaries):,} summaries in {output}")
    return result


def _updated(
    store: Store, run: str | Path, model: str | None, added: Added | None, past_events: int | None, screen: Screen
) -> UpdateResult:
    """Summarize the users with new events, and say what changed."""
    from plus.profiles import runs
    from plus.profiles import update as updating

    waiting = updating.stale(store)
    if not waiting:
        screen.say("nobody has new choices")
        return UpdateResult({}, added)
    # 1. The run, known to the store from now on; or an endpoint, which has no reward model.
    summarizer: Summarizer
    scorer: Scorer | None = None
    if is_address(str(run)):
        from plus.serve.endpoint import EndpointSummarizer

        summarizer, name, run_hash = EndpointSummarizer(str(run), model or ""), model or "", ""
    else:
        with screen.loading("loading the run"):
            from plus.models.run import load
        folder = Path(run)
        loaded, name, run_hash = load(folder), folder.name, runs.run_hash(folder)
        summarizer, scorer = loaded.summarizer, loaded.reward_model
        store.add_run(folder, run_hash, name)
        past_events = past_events or runs.events_read(folder)
    if past_events:
        screen.say(f"reads the newest {past_events} events of each user")
    # 2. The summaries, and their scores beside those of the model's texts alone.
    counts = updating.UpdateCounts()
    with screen.status(f"summarizing {len(waiting):,} users"):
        alike = similar_statements(screen.say)
        made = updating.update(store, summarizer, counts, name, run_hash, alike, past_events)
        done = list(made)
        scores = updating.against_anew(store, scorer, done) if scorer else updating.AgainstAnew()
    # 3. The report.
    screen.say(
        f"{counts.updated:,} summaries updated, {counts.unchanged:,} unchanged, "
        f"{counts.blocked:,} sentences kept out, {counts.forgotten:,} users forgotten meanwhile"
    )
    if counts.failed:
        screen.say(f"left as they are: {counts.failed:,} users without an answer; the same command tries them again")
    if counts.own:
        screen.say(f"our own summaries were taken out of {counts.own:,} events: they are no evidence")
    if scores.choices:
        screen.say(
            f"on {scores.choices:,} held-out choices: accuracy {scores.accuracy_updated:.3f} as updated, "
            f"{scores.accuracy_anew:.3f} summarized anew without edits"
        )
    return UpdateResult({one.user_id: one.text for one in done}, added, counts, scores)


def similar_statements(say: Callable[[str], None]) -> Similar | None:
    """Return a comparison of two sentences by their embeddings; None where the extra `embed` is not installed.

    The model is loaded when the first ban meets the first sentence. Where it cannot be had, only equal words are kept
    out, and `say` is told.
    """
    # Looked for without importing it: that takes seconds.
    from importlib.util import find_spec

    if find_spec("sentence_transformers") is None:
        return None

    @cache
    def model() -> Encode | None:
        from plus.models.embeddings import minilm

        try:
            return minilm()
        except ModelError as error:
            say(f"forbidden statements are kept out by their words only: {error}")
            return None

    @cache
    def similar(sentence: str, forbidden: str) -> bool:
        if (embed := model()) is None:
            return False
        one, two = embed([sentence, forbidden])
        return float(one @ two / (one.norm() * two.norm())) >= ALIKE

    return similar


def _refuse_existing(output: str | Path | None, resume: bool = False) -> None:
    if output is not None and Path(output).exists() and not resume:
        raise RunError(
            f"{output} exists and nothing is overwritten; give another --output, or --resume to go on with this one"
        )


def _histories(choices: str | Path | TextIO, screen: Screen) -> tuple[dict[str, UserHistory], Dropped]:
    from plus.sources.histories import read_histories

    histories, dropped = read_histories(Path(choices) if isinstance(choices, str) else choices)
    for line in dropped.lines():
        screen.say(f"left out: {line}")
    return histories, dropped


def _readable(choices: str | Path | TextIO) -> tuple[Mapping[str, UserHistory], Dropped]:
    """Open the histories of a file: one by one where it is JSON lines, so that it may be larger than the memory."""
    from plus.sources.histories import UserLines, read_histories

    source = Path(choices) if isinstance(choices, str) else choices
    if isinstance(source, Path) and source.is_file() and source.suffix in (".jsonl", ".ndjson"):
        lines = UserLines(source)
        return lines, lines.dropped
    return read_histories(source)


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for circles of objects rarely: rows hold none, and the looks take a third of the time of reading them."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Changed:
    """Histories whose users need a new summary, read one by one. unchanged, count: users skipped and yielded so far."""

    def __init__(self, histories: Mapping[str, UserHistory], file: SummaryFile | None, maker: str) -> None:
        self.histories, self.file, self.maker = histories, file, maker
        self.unchanged = self.count = 0

    def __iter__(self) -> Iterator[UserHistory]:
        for history in self.histories.values():
            if self.file is not None and self.file.unchanged(history, self.maker):
                self.unchanged += 1
            elif history.events:  # Not one whose lines cannot be used.
                self.count += 1
                yield history


def is_address(run: str) -> bool:
    """Tell an endpoint's address from a run folder."""
    return run.startswith(("http://", "https://"))


def _engine(run: str, model: str | None) -> tuple[str, Callable[[], StreamingSummarizer]]:
    """Name a summarizer for the hash of each line, and how to start it: only when there is something to write."""
    from plus.profiles.update import fingerprint
    from plus.prompts import INSTRUCTION

    # 1. An endpoint is known by its address and model.
    if is_address(run):
        if model is None:
            raise ModelError(f"{run} may serve several models; say which with --model")
        name = model

        def connect() -> StreamingSummarizer:
            from plus.serve.endpoint import EndpointSummarizer

            return EndpointSummarizer(run, name)

        return repr((run, model, INSTRUCTION)), connect

    # 2. A run folder by its weights and windows.
    def open_run() -> StreamingSummarizer:
        from plus.models.run import load

        return load(run).summarizer

    folder = Path(run)
    config = folder / "config.json"
    if not (folder / "summarizer").is_dir() or not config.exists():
        open_run()  # Raises with what is wrong.
    settings = read_json(config)
    windows = [settings.get(key) for key in ("max_prompt_length", "max_completion_length")]
    return fingerprint(folder / "summarizer", *windows, INSTRUCTION), open_run
