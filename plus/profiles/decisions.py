"""Decisions of a person about a summary: locks, pauses, and statements that are forbidden or allowed again."""

from __future__ import annotations

from plus.errors import ProfileError
from plus.profiles import actions, versions
from plus.profiles.saving import note_change, save_user, set_rule
from plus.profiles.sentences import Sentence, normalized, split
from plus.profiles.store import Store
from plus.profiles.versions import Version, without


def lock(store: Store, user_id: str, sentence: Sentence, on: bool = True) -> None:
    """Lock a sentence, or lift its lock. Raises ProfileError where that changes nothing."""
    with store.transaction():
        if (sentence.text in store.rules(user_id).lock) == on:
            raise ProfileError(f"{sentence.id} of {user_id!r} is {'locked already' if on else 'not locked'}")
        set_rule(store, user_id, "lock", sentence.text, on)
        actions.note(store, "lock" if on else "unlock", user_id, sentence.id)


def pause(store: Store, user_id: str, sentence: str = "") -> None:
    """Keep everything about a user, or one sentence by its id, and use it nowhere.

    No program gets it, and no update changes it. Raises UnknownUserError, and ProfileError where nothing changes.
    """
    _pause(store, user_id, sentence, True)


def resume(store: Store, user_id: str, sentence: str = "") -> None:
    """Use a user's summary, or one sentence of it, again. Raises UnknownUserError, and as `pause`."""
    _pause(store, user_id, sentence, False)


def _pause(store: Store, user_id: str, name: str, on: bool) -> None:
    with store.transaction():
        user, rules = store.user(user_id), store.rules(user_id)
        sentence = versions.find(store.current(user_id), name) if name else None
        is_paused = rules.pauses(sentence.text) if sentence else bool(user.paused)
        if is_paused == on:
            what = f"{name} of {user_id!r}" if name else repr(user_id)
            raise ProfileError(f"{what} is {'paused already' if on else 'not paused'}; nothing was changed")
        if sentence is None:
            store.do(store.sql.pause, (on, user.number))
            note_change(store, user.number)
        elif on:
            set_rule(store, user_id, "paused", sentence.text)
        else:
            for text in [text for text in rules.paused if normalized(text) == normalized(sentence.text)]:
                set_rule(store, user_id, "paused", text, False)
        actions.note(store, "pause" if on else "resume", user_id, name)


def forbid(store: Store, user_id: str, text: str) -> Version | None:
    """Ban a statement, or each of several sentences, take it out of the current version, and return that.

    Raises ProfileError if it is locked, empty, or banned already.
    """
    statements = [text[start:end] for start, end in split(text)]
    banned = {normalized(ban) for ban in store.rules(user_id).forbid}
    if not any(normalized(one) for one in statements):
        raise ProfileError("the statement is empty; give its words, or a sentence's id such as s2")
    if banned.issuperset(map(normalized, statements)):
        raise ProfileError(f"that statement is forbidden already for {user_id!r}; nothing was changed")
    current = None
    with store.transaction():
        for one in statements:
            current = _forbid(store, user_id, one) if normalized(one) else current
        actions.note(store, "forbid", user_id)
    return current


def _forbid(store: Store, user_id: str, text: str) -> Version | None:
    with store.transaction():
        current = store.current(user_id)
        ids = [s.id for s in current.sentences if normalized(s.text) == normalized(text)] if current else []
        if current and ids:
            current = save_user(
                store, user_id, without(current, ids), current.version, gone=ids, note="a statement was forbidden"
            )
            for words in store.rules(user_id).removed:
                if normalized(words) == normalized(text):
                    set_rule(store, user_id, "removed", words, False)  # The ban says it already.
        set_rule(store, user_id, "forbid", text)
    return current


def allow(store: Store, user_id: str, text: str) -> None:
    """Lift the ban of a statement, in any wording that `normalized` equals. Raises ProfileError if there is none."""
    banned = [ban for ban in store.rules(user_id).forbid if normalized(ban) == normalized(text)]
    lifted = store.lift([("sentence", store.fingerprint("sentence", user_id, normalized(text)))])
    if not banned and not lifted:
        raise ProfileError(
            f"that statement is not forbidden for {user_id!r}; plus profile show {user_id} lists what is"
        )
    with store.transaction():
        for ban in banned:
            set_rule(store, user_id, "forbid", ban, False)
        actions.note(store, "allow", user_id)
