"""Edits of a summary told in words: "I moved to Oslo, and stop mentioning my diet".

A model proposes the edit sentence by sentence; what it would do is shown as a difference, with its effect on the user's
held-out choices where there is a reward model. `propose` writes nothing; `accept` does, once a person has said yes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plus.errors import ProfileError
from plus.profiles import attribution, versions
from plus.profiles.attribution import Foreseen
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.profiles.text_filters import flags
from plus.profiles.versions import Version
from plus.prompts import edit_messages
from plus.types import Message, Scorer, Writer

MAX_TOKENS = 1000  # of the model's answer
TIMEOUT = 300.0  # seconds for an answer: a model on a CPU is slow
MAX_CHARACTERS = 1000  # of a new sentence: more is no sentence
_TEXT = {"type": "string"}
_SENTENCE = {
    "type": "object", "properties": {"id": _TEXT, "text": _TEXT}, "required": ["id", "text"],
    "additionalProperties": False,
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {
        "replace": {"type": "array", "items": _SENTENCE}, "add": {"type": "array", "items": _TEXT},
        "remove": {"type": "array", "items": _TEXT},
    },
    "required": ["replace", "add", "remove"], "additionalProperties": False,
}  # fmt: skip
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "edit", "strict": True, "schema": SCHEMA}}


@dataclass(frozen=True)
class Told:
    """Edit that a model proposes: new words by sentence id, sentences to add, ids to remove."""

    replace: Mapping[str, str]
    add: tuple[str, ...]
    remove: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """True where nothing would change."""
        return not (self.replace or self.add or self.remove)


@dataclass(frozen=True)
class Proposal:
    """Proposed edit of version `base` (0: there is none yet), with its difference and its effect.

    text: what programs would get. flags: reasons to look at new words before they are accepted. effect: on the user's
    held-out choices, None without such choices or without a reward model.
    """

    user_id: str
    base: int
    told: Told
    text: str
    diff: str
    flags: tuple[str, ...] = ()
    effect: Foreseen | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        effect = self.effect
        return {
            "user_id": self.user_id, "base": self.base, "replace": dict(self.told.replace), "add": list(self.told.add),
            "remove": list(self.told.remove), "diff": self.diff, "text": self.text, "flags": list(self.flags),
            "before": effect and effect.before.as_dict(), "after": effect and effect.after.as_dict(),
            "flipped": [flip.to_json() for flip in effect.flipped] if effect else [],
        }  # fmt: skip


def messages(store: Store, user_id: str, words: str) -> list[Message]:
    """Build what a model is sent: the sentences that are in use, with their ids, and what the user says.

    Raises UnknownUserError, and ProfileError for no words.
    """
    return _messages(store, user_id, store.in_use(user_id), words)


def _messages(store: Store, user_id: str, used: Version | None, words: str) -> list[Message]:
    if not words.strip():
        raise ProfileError('nothing is said; give it in words, such as "I moved to Oslo"')
    locked = set(store.rules(user_id).lock)
    return edit_messages([(one.id, one.text, one.text in locked) for one in used.sentences] if used else [], words)


def propose(
    store: Store, user_id: str, words: str, writer: Writer, scorer: Callable[[], Scorer | None] = lambda: None
) -> Proposal:
    """Ask a model for the edit that a user's words mean; nothing is written.

    scorer: loads the reward model, where there is one, once it is needed. Raises UnknownUserError, EndpointError, and
    ProfileError for an answer that is no edit of this summary.
    """
    used = store.in_use(user_id)
    told = read_edit(writer.complete(_messages(store, user_id, used, words)), used)
    text = versions.edit(used, told.replace, told.add, told.remove).text
    difference = versions.diff(used, text, "proposed")
    seen = tuple(sorted({flag for new in (*told.replace.values(), *told.add) for flag in flags(new)}))
    found = Proposal(user_id, used.version if used else 0, told, text, difference, seen)
    return found if told.is_empty or used is None else _with_effect(store, found, used, scorer)


def accept(store: Store, proposal: Proposal) -> Version:
    """Save a proposed edit, written by the user.

    Raises ConflictError where the summary was changed since it was proposed, and ProfileError for one that breaks a
    lock or a ban.
    """
    current = store.current(proposal.user_id)
    told = proposal.told
    same = current if current and current.version == proposal.base else None
    change = versions.edit(same, told.replace, told.add, told.remove) if same or not proposal.base else None
    # An edit of an older version is refused by the store, with the change that was made meanwhile.
    text, keep, gone = (change.text, change.keep, change.gone) if change else (proposal.text, {}, ())
    return save_user(store, proposal.user_id, text, proposal.base, keep, gone, note="told in words")


def read_edit(answer: str, version: Version | None) -> Told:
    """Read a model's answer as an edit. Raises ProfileError for one that is no edit of this version."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        found = json.loads(answer[start : end + 1])
    except (ValueError, RecursionError):
        raise _no_edit("it is no JSON object", answer) from None
    if not isinstance(found, dict) or not found.keys() <= SCHEMA["properties"].keys():  # type: ignore[attr-defined]
        raise _no_edit("it has other fields than replace, add and remove", answer)
    replaced, added, removed = (found.get(name) or [] for name in ("replace", "add", "remove"))
    if not (isinstance(replaced, list) and _are_texts(added) and _are_texts(removed)):
        raise _no_edit("its lists hold something else than texts", answer)
    pairs = [(one.get("id"), one.get("text")) if isinstance(one, dict) else (None, None) for one in replaced]
    if not _are_texts([text for pair in pairs for text in pair]):
        raise _no_edit("a sentence to replace has no id or no text", answer)
    known = {one.id: one.text for one in version.sentences} if version else {}
    new = {name: text.strip() for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
    if unknown := sorted({*new, *removed} - known.keys()):
        raise _no_edit(f"there is no sentence {unknown[0]!r}", answer)
    texts = [text.strip() for text in added]
    if any(not text or len(text) > MAX_CHARACTERS for text in (*new.values(), *texts)):
        raise _no_edit(f"a sentence is empty or longer than {MAX_CHARACTERS} characters", answer)
    # What says the same as before is no change, and a sentence that goes is not reworded first.
    new = {name: text for name, text in new.items() if text != known[name] and name not in removed}
    fresh = tuple(dict.fromkeys(text for text in texts if text not in known.values()))
    return Told(new, fresh, tuple(dict.fromkeys(removed)))


def _with_effect(store: Store, found: Proposal, used: Version, scorer: Callable[[], Scorer | None]) -> Proposal:
    model = scorer() if attribution.held_out(store, found.user_id, used) else None
    if model is None:
        return found
    return replace(found, effect=attribution.foresee(store, found.user_id, found.text, lambda: model, used))


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _no_edit(reason: str, answer: str) -> ProfileError:
    shown = " ".join(answer.split())[:60]
    return ProfileError(
        f"the model's answer is no edit of this summary: {reason} ({shown!r}); nothing was written, ask again or use "
        "plus profile edit"
    )
