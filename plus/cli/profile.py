"""`plus profile`: read what is stored about a user, and what a summary is worth on the user's own choices."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.show import results, say, visible
from plus.cli.stores import (
    STATUSES,
    AsJson,
    Output,
    RunFolder,
    Shape,
    StoreFile,
    User,
    load_run,
    open_store,
    print_facts,
    print_rows,
    shape_of,
)

if TYPE_CHECKING:
    from plus.profiles.attribution import Attribution, SentenceValue
    from plus.profiles.store import Store
    from plus.profiles.versions import Version

app = typer.Typer(
    no_args_is_help=True, help=f"Read, edit, prove and undo the summaries about users. {STATUSES}", epilog=STATUSES
)
Number = Annotated[int | None, typer.Option("--version", help="A version's number. Default: the current one.")]
Limit = Annotated[int | None, typer.Option(help="How many users at most. Default: 50 in a table, else all.", min=1)]
Full = Annotated[bool, typer.Option("--full", help="As one line of JSON that plus import takes back whole.")]
Older = Annotated[int | None, typer.Argument(help="Default: the version before.")]
Newer = Annotated[int | None, typer.Argument(help="Default: the current version.")]
Against = Annotated[int | None, typer.Option(help="A version to compare with. Default: the one before.")]


def list_users(store: StoreFile = None, limit: Limit = None, output: Output = "table", as_json: AsJson = False) -> None:
    """List every user with a summary: its version, who wrote it, how much was read, and its text.

    Example: plus profile list --store runs/demo-0
    """
    from itertools import islice

    from plus.profiles.rows import profiles

    with open_store(store) as opened:
        shape = shape_of(output, as_json)
        limit = limit or (50 if shape == "table" else None)
        rows = (_line(profile.version) for profile in profiles(opened))
        print_rows(islice(rows, limit), shape, name="users")
        # A table says how many it leaves out.
        count = opened.number(opened.sql.count_shown)
        if limit is not None and count > limit:
            say(f"{limit} of {count:,} users; --limit shows more, -o jsonl all")


def show(
    user: User, version: Number = None, store: StoreFile = None, output: Output = "table", as_json: AsJson = False
) -> None:
    """Show a summary, sentence by sentence, with the ids that the other verbs take.

    As Markdown it ends with the version's number, by which plus profile edit --from sees that somebody was faster.

    Example: plus profile show ann
    """
    from plus.profiles import versions

    with open_store(store) as opened:
        found, shape = version_of(opened, user, version), shape_of(output, as_json)
        print_version(opened, found, shape)
        if shape == "md":
            print(versions.mark(found))


def history(user: User, store: StoreFile = None, output: Output = "table", as_json: AsJson = False) -> None:
    """List every version of a summary, oldest first: who wrote it, when, from how much, its score.

    Example: plus profile history ann
    """
    with open_store(store) as opened:
        rows = [{**_line(found), "note": found.note} for found in opened.history(user)]
        shown = [{key: value for key, value in row.items() if key != "user_id"} for row in rows]
        print_rows(shown, shape_of(output, as_json), user, "versions")


def diff(
    user: User,
    older: Older = None,
    newer: Newer = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Show the difference between two versions, a sentence a line.

    Example: plus profile diff ann 1 3
    """
    from plus.profiles import versions

    # 1. The two versions.
    with open_store(store) as opened:
        two = version_of(opened, user, newer)
        before = [found for found in opened.history(user) if found.version < two.version]
        one = opened.version(user, older) if older is not None else before[-1] if before else None
        text = versions.diff(one, two.text, f"version {two.version}")
    # 2. Their difference, for programs or for people.
    shape = shape_of(output, as_json)
    if shape in ("json", "jsonl"):
        print_facts({"user_id": user, "older": one.version if one else 0, "newer": two.version, "diff": text}, shape)
    elif shape == "md":
        print(visible(f"```diff\n{text}\n```"))
    else:
        results.print(visible(text) or "no difference", markup=False, soft_wrap=True)


def events(
    user: User, limit: Limit = None, store: StoreFile = None, output: Output = "table", as_json: AsJson = False
) -> None:
    """List every event that is stored about a user, as it came: what a summary reads, and what is held out.

    Example: plus profile events ann
    """
    from itertools import islice

    with open_store(store) as opened:
        shape = shape_of(output, as_json)
        found = (_event(row, shape in ("json", "jsonl")) for row in opened.event_rows(user))
        print_rows(islice(found, limit or (50 if shape == "table" else None)), shape, user, "events")


def export(
    user: User, full: Full = False, store: StoreFile = None, output: Output = "md", as_json: AsJson = False
) -> None:
    """Print everything that is stored about a user: summary, rules, every version and event, exported files.

    With --full as one line of JSON, which plus import takes back whole (plus export --format full: of all users).

    Example: plus profile export ann > ann.md
    """
    from plus.profiles import export as exporting
    from plus.profiles import person

    with open_store(store) as opened:
        if full:
            exporting.export(opened, "full", Path("-"), [user], stdout=sys.stdout.buffer)
            return
        found, shape = person.held(opened, user), shape_of(output, as_json)
    if shape in ("json", "jsonl"):
        print_facts(found, shape)
    else:
        print(visible("\n".join(person.page(found))))


def score(
    user: User,
    against: Against = None,
    run: RunFolder = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Score a summary on the user's held-out choices by accuracy and log-likelihood, beside the version before.

    After an edit it lists the choices that flipped.

    Example: plus profile score ann
    """
    from plus.profiles import attribution

    with open_store(store) as opened:
        found = attribution.compare(opened, user, lambda: load_run(opened, run)[0].reward_model, against).to_json()
    shape = shape_of(output, as_json)
    if shape in ("json", "jsonl"):
        print_facts(found, shape)
    else:
        _print_score(found, shape)


def why(
    user: User, run: RunFolder = None, store: StoreFile = None, output: Output = "table", as_json: AsJson = False
) -> None:
    """Show each sentence's worth: held-out log-likelihood with it minus without it, what it says alone, its sources.

    Example: plus profile why ann
    """
    from plus.profiles import attribution

    with open_store(store) as opened:
        found = attribution.explain(opened, user, lambda: load_run(opened, run)[0].reward_model)
    _print_why(user, found, shape_of(output, as_json))


def version_of(store: Store, user: str, number: int | None) -> Version:
    """Return a version, by default the current one. Raises UnknownUserError where the user has none."""
    from plus.errors import UnknownUserError

    found = store.version(user, number) if number is not None else store.current(user)
    if found is None:
        raise UnknownUserError(
            f"{user!r} has no summary yet; plus summarize RUN --update writes one, or plus profile edit"
        )
    return found


def print_version(store: Store, version: Version | None, shape: Shape) -> None:
    """Print a version with its user's rules: the result of every verb that changes one."""
    from plus.profiles.rows import Profile, to_row

    if version is None:
        say("done; there is no summary yet")
    elif shape == "table":
        _print_table(store, version)
    elif shape == "md":
        print(visible(version.text))
    else:
        rules, user = store.rules(version.user_id), store.user(version.user_id)
        print_facts(to_row(Profile(version, rules, user.next_sentence, paused=bool(user.paused))), shape)


def _print_table(store: Store, version: Version) -> None:
    """A row a sentence, then the rules, then notes for its owner."""
    from plus.profiles.text_filters import flags

    # 1. The sentences.
    rules, user = store.rules(version.user_id), store.user(version.user_id)
    rows = [
        {
            "id": s.id, "sentence": s.text, "by": s.origin, "since": f"version {s.since}",
            "locked": "yes" if s.text in rules.lock else "", "paused": "yes" if rules.pauses(s.text) else "",
        }
        for s in version.sentences
    ]  # fmt: skip
    title = f"{version.user_id}, version {version.version}, {_when(version.created)}"
    print_rows(rows, "table", title) if rows else results.print(visible(f"{title}: empty"), markup=False)
    # 2. The rules that show in no sentence.
    for kind, texts in (("forbidden", rules.forbid), ("removed by hand", rules.removed)):
        for text in texts:
            results.print(visible(f"{kind}: {text}"), markup=False, soft_wrap=True)
    # 3. Reasons to act.
    if user.paused:
        say("paused: it is kept, no program gets it and no update changes it; plus profile resume USER")
    if user.last_event > user.read_upto:
        say("there are events that this summary has not read; plus summarize RUN --update")
    for flag in flags(version.text):
        say(f"look at it: {flag.replace('_', ' ')} in the text (kept as text, escaped where a model reads it)")


def _line(version: Version) -> dict[str, Any]:
    return {
        "user_id": version.user_id, "version": version.version, "by": version.origin, "when": _when(version.created),
        "events": len(version.evidence), "accuracy": version.score and version.score.get("accuracy"),
        "text": version.text,
    }  # fmt: skip


def _event(row: tuple[Any, ...], full: bool) -> dict[str, Any]:
    from plus.profiles.schema import parsed

    name, kind, time, session, source, content, held_out = row
    what = parsed(content)
    if not full:
        when = _when(time or 0.0)
        return {"id": name, "kind": kind, "when": when, "held out": "yes" if held_out else "", "what": _words(what)}
    return {
        "id": name, "kind": kind, "time": time, "session_id": session, "source": source, "held_out": bool(held_out),
        "content": what,
    }  # fmt: skip


def _words(what: Any) -> str:
    """An event's content in one line for a table."""
    if isinstance(what, list):
        return " | ".join(f"{role}: {text}" for role, text in what)
    if isinstance(what, dict):
        return "; ".join(f"{key}: {value}" for key, value in what.items() if key != "earlier")
    return str(what)


def _when(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M") if created else ""


def _print_score(found: Mapping[str, Any], shape: Shape) -> None:
    before = found.get("before")
    rows = [] if before is None else [_score_row(before)]
    print_rows([*rows, _score_row(found)], shape, f"{found['user_id']}: {found['score']['choices']} held-out choices")
    for flip in found.get("flipped", ()):
        side = "right" if flip["after"] > flip["before"] else "wrong"
        line = f"flipped to {side}: {flip['prompt']} chose: {flip['chosen']} over: {flip['rejected']}"
        results.print(visible(line), markup=False, soft_wrap=True)


def _score_row(found: Mapping[str, Any]) -> dict[str, Any]:
    score = found["score"]
    low, high = score["accuracy_interval"]
    worst, best = score["log_likelihood_interval"]
    return {
        "version": found["version"], "accuracy": f"{score['accuracy']:.3f} [{low:.3f}, {high:.3f}]",
        "log-likelihood a choice": f"{score['log_likelihood']:.3f} [{worst:.3f}, {best:.3f}]",
    }  # fmt: skip


def _print_why(user: str, found: Attribution, shape: Shape) -> None:
    full = shape in ("json", "jsonl")
    title = f"{user}: log-likelihood of {found.choices} held-out choices, with the sentence minus without"
    print_rows([_why_row(one, full) for one in found.sentences], shape, title, "sentences")
    if not found.reads_whole:
        say(
            "this reward model predicts worse from the whole summary than from one sentence of it: "
            "it was trained on shorter ones, so sentences are ranked by what each says alone"
        )
    idle = [one.id for one in found.sentences if one.effect() == one.effect(False) == "nothing"]
    if shape == "table" and idle:
        say(f"{', '.join(idle)}: changes nothing that can be measured here")


def _why_row(one: SentenceValue, full: bool) -> dict[str, Any]:
    """A sentence's row: numbers for programs, or text with the three choices that it explains best."""
    if full:
        events: Any = [{"event": name, "gain": gain and round(gain, 4)} for name, gain in one.events]
    else:
        events = ", ".join(name if gain is None else f"{name} ({gain:+.2f})" for name, gain in one.events[:3])
    worth = round(one.worth, 4) if full else f"{one.worth:+.3f}"
    return {
        "id": one.id, "worth": worth, "sentence": one.text, "by": one.origin, "since": one.since, "from": events,
    }  # fmt: skip
