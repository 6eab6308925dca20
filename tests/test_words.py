"""Docstrings say what a thing does: python tests/test_words.py [FOLDER ...] lists those that do not."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "plus"
RIDDLE = re.compile(r"\b(whoever|whatever|whose|somebody|someone|anybody|anyone|nobody|stranger|acquaintance)\b", re.I)
ASKING = ["what", "where", "how", "who", "whom", "whose", "whoever", "whether", "which", "why", "when", "whatever"]
# A function does something: its first word is a verb, so none of these.
NO_VERB = [
    *ASKING, "the", "a", "an", "one", "two", "every", "each", "all", "any", "anything", "everything", "nothing", "some",
    "both", "this", "that", "these", "those", "it", "its", "no",
]  # fmt: skip


def riddles(folder: Path) -> Iterator[str]:
    """One line for each public docstring whose first line is a riddle or does not begin as the rule says."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            said, name = ast.get_docstring(node), getattr(node, "name", "module")
            if not said or name.startswith("_"):
                continue
            first = said.split("\n")[0]
            forbidden = NO_VERB if _acts(node) else ASKING
            if RIDDLE.search(first) or first.split()[0].lower().strip(",.:") in forbidden:
                yield f"{path}:{getattr(node, 'lineno', 1)} {name}: {first}"


def _acts(node: ast.AST) -> bool:
    """Whether a node is a function that does something: a property or a fixture is named after what it holds."""
    held = {"property", "cached_property"}
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
        isinstance(d, ast.Name) and d.id in held for d in node.decorator_list
    )


def test_every_public_docstring_begins_with_a_verb_or_a_noun_of_the_field():
    assert list(riddles(PACKAGE)) == []


def test_a_planted_riddle_is_named(tmp_path):
    (tmp_path / "one.py").write_text('"""What is dealt."""\n\n\ndef deal():\n    """The word of whoever reacts."""\n')
    (tmp_path / "two.py").write_text(
        '"""Reactions split by time."""\n\n\ndef split():\n    """Split reactions by time."""\n'
    )
    assert [line.split(" ")[1] for line in riddles(tmp_path)] == ["module:", "deal:"]


if __name__ == "__main__":
    for place in sys.argv[1:] or [PACKAGE]:
        print(*riddles(Path(place)), sep="\n")
