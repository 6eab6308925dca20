"""Imports go down only, those inside functions too; rooms of one layer form no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "plus"
# Lowest first. A room imports rooms of lower layers, and of its own layer where that makes no circle.
LAYERS = (
    {"types", "errors", "measures", "prompts", "resources", "jsonl", "progress"},
    {"sources"},
    {"worlds", "profiles"},
    {"feedback", "serve", "datasets", "models"},
    {"train"},
    {"baselines", "evaluate"},
    {"love", "judge"},
    {"audit", "signals", "policy"},
    {"benchmark", "recipes"},
    {"studio"},
    {"cli"},
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
DOORS = {"__init__", "__main__", "doors"}  # plus.load and `python -m plus` open onto everything, lazily.
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "peft",
    "tokenizers",
    "safetensors",
    "numpy",
    "matplotlib",
    "scipy",
    "sklearn",
    "sentence_transformers",
}
# Someone who edits, exports, judges or personalizes installs no torch: these files import none of HEAVY.
WITHOUT_TORCH = (
    *("types.py", "errors.py", "measures.py", "prompts.py", "resources.py", "jsonl.py", "datasets.py"),
    *("sources/*", "worlds/*", "profiles/*", "feedback/*", "serve/*"),
    *("judge/panel.py", "judge/checklist.py", "judge/reply_cache.py", "judge/run.py"),
    *("signals/rubrics.py", "signals/rules.py", "signals/features.py"),
    *("signals/asked_signals.py", "signals/pairs.py", "signals/find.py"),
    *("love/reactions.py", "love/guards.py", "love/splits.py"),
)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) for each name that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def modules(package: Path) -> dict[str, Path]:
    """Room or "room.module" -> file, for all but the doors."""
    found = {".".join(path.relative_to(package).with_suffix("").parts): path for path in sorted(package.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path for name, path in found.items() if name not in DOORS}


def faults(package: Path) -> list[str]:
    """One line for each unknown room, upward import, heavy import where none may be, and circle."""
    found, known = [], modules(package)
    light = {path for pattern in WITHOUT_TORCH for path in package.glob(pattern)}
    rooms: dict[str, set[str]] = {}
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        room = name.split(".")[0]
        if room not in LAYER:
            found.append(f"{path.relative_to(package.parent)}: {room} is no room; add it to LAYERS or move the file")
            continue
        for line, imported in imports(path):
            where, (top, *parts) = f"{path.relative_to(package.parent)}:{line}", imported.split(".")
            if top in HEAVY and path in light:
                found.append(f"{where} {name} works without {top}")
            if top != "plus" or not parts or parts[0] not in LAYER:
                continue
            if LAYER[parts[0]] > LAYER[room]:
                found.append(
                    f"{where} {room} (layer {LAYER[room]}) imports {imported} (layer {LAYER[parts[0]]}): upward"
                )
            if LAYER[parts[0]] == LAYER[room] and parts[0] != room:
                rooms.setdefault(room, set()).add(parts[0])
            target = next((t for end in range(len(parts), 0, -1) if (t := ".".join(parts[:end])) in known), None)
            if target and target != name and not name.startswith(f"{target}."):
                graph.setdefault(name, set()).add(target)
    return [*found, *chain(circle("rooms", rooms), circle("modules", graph))]


def circle(kind: str, graph: dict[str, set[str]]) -> list[str]:
    """One line with a circle of the graph, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"{kind} in a circle: {' <- '.join(error.args[1])}"]
    return []


def test_imports_go_down_only():
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        (
            "sources/bad.py", "from plus.models.run import load",
            "sources (layer 1) imports plus.models.run.load (layer 3): upward",
        ),
        (
            "models/bad.py", "def f():\n    from plus.cli import main",
            "models (layer 3) imports plus.cli.main (layer 10): upward",
        ),
        (
            "train/bad.py", "def f():\n    if True:\n        import plus.evaluate.figures",
            "imports plus.evaluate.figures (layer 5): upward",
        ),
        ("evaluate/bad.py", "from plus.love import run", "evaluate (layer 5) imports plus.love.run (layer 6): upward"),
        ("prompts.py", "def f():\n    import torch", "prompts works without torch"),
        ("love/guards.py", "import numpy as np", "love.guards works without numpy"),
    ],
)  # fmt: skip
def test_a_planted_import_is_named_with_its_line(tmp_path, file, line, complaint):
    path = tmp_path / "plus" / file
    path.parent.mkdir(parents=True)
    path.write_text(f'"""Bad."""\n{line}\n')
    (found,) = faults(tmp_path / "plus")
    assert complaint in found
    assert found.startswith(f"plus/{file}:{2 + line.count(chr(10))}")


def test_an_unknown_room_is_named(tmp_path):
    (tmp_path / "plus" / "attic").mkdir(parents=True)
    (tmp_path / "plus" / "attic" / "box.py").write_text('"""Things."""\n')
    assert faults(tmp_path / "plus") == ["plus/attic/box.py: attic is no room; add it to LAYERS or move the file"]


def plant(package: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return faults(package)


def test_a_circle_between_rooms_of_one_layer_is_named(tmp_path):
    there = {"love/a.py": "from plus.judge import panel\n", "judge/panel.py": ""}
    assert plant(tmp_path / "plus", there) == [], "one way is no circle"
    (found,) = plant(tmp_path / "plus", {"judge/b.py": "def f():\n    from plus.love import c\n", "love/c.py": ""})
    assert found.startswith("rooms in a circle: ") and "love <- judge" in found


def test_a_circle_between_modules_of_one_room_is_named(tmp_path):
    files = {"serve/a.py": "from plus.serve.b import x\n", "serve/b.py": "def f():\n    from plus.serve import a\n"}
    (found,) = plant(tmp_path / "plus", files)
    assert found.startswith("modules in a circle: ") and "serve.a" in found and "serve.b" in found


def test_no_room_is_named_after_nothing():
    assert not [path for name in ("utils", "common", "helpers") for path in PACKAGE.rglob(f"{name}.py")]
