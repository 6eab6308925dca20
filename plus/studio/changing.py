"""Changes of a person's summary: words, locks, bans, pauses, versions. Each says which version it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from plus.errors import ConflictError, PlusError
from plus.profiles import attribution, decisions, saving, versions
from plus.profiles.erase import erase_sentence
from plus.profiles.versions import Edit, Version
from plus.studio.access import RefusedError
from plus.studio.reading import about, open_part, sentence_of
from plus.studio.studio import remember
from plus.studio.visit import Person, Visit, diff_lines


def edit_form(visit: Visit) -> Response:
    """Show the form that changes a sentence."""
    current, sentence = sentence_of(visit, visit.person())
    return _form(visit, {"kind": "edit", "id": sentence.id, "words": sentence.text, "base": current.version})


def remove_form(visit: Visit) -> Response:
    """Ask how a sentence is to be removed: from the text, or from everything that is stored."""
    current, sentence = sentence_of(visit, visit.person())
    return open_part(visit, "remove.html", {"kind": "remove", "id": sentence.id, "base": current.version})


def effect(visit: Visit) -> Response:
    """Show what new words would do to held-out choices, before they are saved."""
    person, name, words, base = visit.person(), *_fields(visit)
    part: dict[str, Any] = {"kind": "edit", "id": name, "words": words, "base": base}
    try:
        old = visit.store.version(person.user_id, base) if base else None
        change = _edited(old, name, words)
        part["effect"] = attribution.foresee(visit.store, person.user_id, change.text, visit.studio.scorer, old)
    except PlusError as error:
        part["missing"] = str(error)
    return _form(visit, part)


def save(visit: Visit) -> Response:
    """Save a sentence's new words, or a new sentence; of two edits at once the second is shown the first."""
    person, name, words, base = visit.person(), *_fields(visit)
    if not words.strip():
        raise RefusedError(400, "no_words")
    old = visit.store.version(person.user_id, base) if base else None
    try:
        change = _edited(old, name, words)
        saving.save_user(visit.store, person.user_id, change.text, base, change.keep, change.gone)
    except ConflictError as error:
        return _conflict(visit, person, name, words, old, error)
    return visit.back(f"/u/{person.number}", "saved" if name else "added", f"sentence-{name}" if name else "add")


def remove(visit: Visit) -> Response:
    """Take a sentence out of the text, or out of everything that is stored."""
    person, name = visit.person(), visit.request.path_params["sentence"]
    base = _base(visit)
    if visit.form.get("how") == "erase":
        with visit.store.transaction():
            saving.check_base(visit.store, person.user_id, base)
        receipt = erase_sentence(visit.store, person.user_id, name).as_dict()
        remember(visit.studio.receipts, receipt["sha256"], receipt)
        return visit.back(f"/receipts/{receipt['sha256']}", "erased")
    old = visit.store.version(person.user_id, base)
    change = versions.edit(old, {}, [], [name])
    saving.save_user(visit.store, person.user_id, change.text, base, change.keep, change.gone)
    return visit.back(f"/u/{person.number}", "removed")


def lock(visit: Visit) -> Response:
    """Keep a sentence word for word in every later summary, or no longer."""
    on = visit.form.get("on") == "1"

    def change(current: Version | None, user_id: str) -> None:
        decisions.lock(visit.store, user_id, versions.find(current, visit.request.path_params["sentence"]), on)

    return _change(visit, change, "locked" if on else "unlocked")


def forbid(visit: Visit) -> Response:
    """Ban a statement: a sentence of the summary, or the words of the form."""
    name, words = visit.form.get("sentence", ""), visit.form.get("words", "")

    def change(current: Version | None, user_id: str) -> None:
        decisions.forbid(visit.store, user_id, versions.find(current, name).text if name else words)

    return _change(visit, change, "forbidden")


def allow(visit: Visit) -> Response:
    """Lift a ban."""
    return _change(
        visit, lambda _, user_id: decisions.allow(visit.store, user_id, visit.form.get("words", "")), "allowed"
    )


def pause(visit: Visit) -> Response:
    """Keep everything about the person, or one sentence, and use none of it; or use it again."""
    on, name, person = visit.form.get("on") == "1", visit.form.get("sentence", ""), visit.person()
    change = decisions.pause if on else decisions.resume
    if name:
        return _change(visit, lambda _, user_id: change(visit.store, user_id, name), "put_aside" if on else "put_back")
    if bool(visit.store.user(person.user_id).paused) != on:
        change(visit.store, person.user_id)
    return visit.back(f"/u/{person.number}", "paused" if on else "unpaused")


def restore(visit: Visit) -> Response:
    """Show an older version again; nothing is taken out of the history."""
    person, number = visit.person(), _number(visit, "version")
    saving.restore(visit.store, person.user_id, number, _base(visit))
    return visit.back(f"/u/{person.number}", "restored")


def _change(visit: Visit, change: Callable[[Version | None, str], None], said: str) -> Response:
    """Change a person's rules, if the text is still the one that they saw."""
    person = visit.person()
    with visit.store.transaction():
        change(saving.check_base(visit.store, person.user_id, _base(visit)), person.user_id)
    return visit.back(f"/u/{person.number}", said)


def _edited(old: Version | None, name: str, words: str) -> Edit:
    """Reword a sentence of a version, or add one where no name is given."""
    return versions.edit(old, {name: words} if name else {}, [] if name else [words], [])


def _form(visit: Visit, part: dict[str, Any]) -> Response:
    return open_part(visit, "edit.html", {"effect": None, "missing": "", **part})


def _conflict(
    visit: Visit, person: Person, name: str, words: str, old: Version | None, error: ConflictError
) -> Response:
    """Show both texts side by side: nothing was written, and nothing is lost."""
    shown = about(visit, person)
    current = shown["current"]
    theirs = next((one for one in current.sentences if one.id == name), None) if current else None
    before = next((one.text for one in old.sentences if one.id == name), "") if old else ""
    return visit.show(
        "conflict.html",
        409,
        **shown,
        name=name if theirs else "",
        words=words,
        theirs=theirs,
        was=before,
        diff=diff_lines(error.diff),
    )


def _fields(visit: Visit) -> tuple[str, str, int]:
    return visit.form.get("sentence", ""), visit.form.get("words", "").strip(), _base(visit)


def _base(visit: Visit) -> int:
    return _number(visit, "base")


def _number(visit: Visit, name: str) -> int:
    found = visit.form.get(name, "")
    if not (found.isascii() and found.isdecimal() and len(found) < 16):
        raise RefusedError(400, "no_form")
    return int(found)
