"""A person's changes to a text, sentence by sentence; everything else keeps every character."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from plus.errors import ProfileError
from plus.profiles.sentences import Sentence, split
from plus.profiles.versions import Version


@dataclass(frozen=True)
class Edit:
    """The new text, which new words take an old id, and which ids are gone: what `save_user` takes."""

    text: str
    keep: dict[str, str]
    gone: tuple[str, ...]


def edit(version: Version | None, replaced: Mapping[str, str], added: Sequence[str], removed: Collection[str]) -> Edit:
    """Reword sentences by id, add new ones at the end, remove others. Raises ProfileError for an unknown id."""
    text = version.text if version else ""
    for name in (*replaced, *removed):
        find(version, name)
    keep: dict[str, str] = {}
    for sentence in reversed(version.sentences if version else ()):
        if sentence.id in removed:
            text = _cut(text, sentence.start, sentence.end)
        elif sentence.id in replaced:
            words = replaced[sentence.id].strip()
            keep.update({words[start:end]: sentence.id for start, end in split(words)[:1]})
            text = text[: sentence.start] + words + text[sentence.end :]
    for words in added:
        between = "" if not text or text.endswith("\n") else "\n" if "\n" in text.strip() or not _ends(text) else " "
        text = f"{text}{between}{words.strip()}"
    return Edit(text, keep, tuple(removed))


def without(version: Version, removed: Collection[str]) -> str:
    """The text without some of its sentences."""
    text = version.text
    for sentence in reversed(version.sentences):
        if sentence.id in removed:
            text = _cut(text, sentence.start, sentence.end)
    return text.strip()


def find(version: Version | None, name: str) -> Sentence:
    """The sentence with this id. Raises ProfileError naming those there are."""
    sentences = version.sentences if version else ()
    found = next((sentence for sentence in sentences if sentence.id == name), None)
    if found is None:
        known = ", ".join(sentence.id for sentence in sentences) or "none"
        raise ProfileError(f"there is no sentence {name!r}; the summary has {known}")
    return found


def _cut(text: str, start: int, end: int) -> str:
    """Take a span out, with the white space after it, or before it where it was the last."""
    before, after = text[:start], text[end:]
    rest = after.lstrip()
    return before + rest if rest else before.rstrip() + ("\n" if after.endswith("\n") and before.strip() else "")


def _ends(text: str) -> bool:
    """Whether what follows after a space would be a sentence of its own."""
    return len(split(f"{text} x")) > len(split(text))
