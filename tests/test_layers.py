"""Imports go down only, those inside functions too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "plus"
LAYERS = {
    "types": 0, "errors": 0, "measures": 0, "prompts": 0, "shipped": 0,
    "sources": 1, "feedback": 1, "profiles": 1, "serve": 1,
    "models": 2, "train": 3, "baselines": 4, "evaluate": 5, "cli": 6,
}  # fmt: skip
DOORS = {"__init__", "__main__"}  # plus.load and `python -m plus` open onto everything, lazily.
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


def faults(package: Path) -> list[str]:
    """One line for each import that goes up, or that loads torch in a layer that works without."""
    found = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room in DOORS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                parts = name.split(".")
                where = f"{path.relative_to(package.parent)}:{node.lineno}"
                if parts[0] == "plus" and len(parts) > 1 and LAYERS.get(parts[1], 0) > LAYERS[room]:
                    found.append(f"{where} {room} (layer {LAYERS[room]}) imports {name} (layer {LAYERS[parts[1]]})")
                if parts[0] in HEAVY and LAYERS[room] < 2:
                    found.append(f"{where} {room} works without {parts[0]}")
    return found


def test_imports_go_down_only():
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("sources/bad.py", "from plus.models.run import load", "sources (layer 1) imports plus.models.run.load (layer 2)"),
        ("models/bad.py", "def f():\n    from plus.cli import main", "models (layer 2) imports plus.cli.main (layer 6)"),
        ("train/bad.py", "def f():\n    if True:\n        import plus.evaluate.report", "imports plus.evaluate.report (layer 5)"),
        ("prompts.py", "def f():\n    import torch", "prompts works without torch"),
    ],
)  # fmt: skip
def test_a_planted_upward_import_is_named_with_its_line(tmp_path, file, line, complaint):
    path = tmp_path / "plus" / file
    path.parent.mkdir(parents=True)
    path.write_text(f'"""Bad."""\n{line}\n')
    (found,) = faults(tmp_path / "plus")
    assert complaint in found
    assert found.startswith(f"plus/{file}:{2 + line.count(chr(10))}")


def test_no_room_is_named_after_nothing():
    assert not [path for name in ("utils", "common", "helpers") for path in PACKAGE.rglob(f"{name}.py")]
