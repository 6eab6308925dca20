"""Public names load lazily, rooms can be called, and old module paths name the new ones."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from support.running import ENVIRONMENT, ROOT

import plus
from plus import doors


@pytest.mark.parametrize("old", sorted(doors.MOVED))
def test_an_old_module_path_fails_with_one_line_that_names_the_new_place(old):
    with pytest.raises(ImportError) as caught:
        __import__(old)
    assert str(caught.value) == f"{old} is now {doors.MOVED[old]}: import it from there"
    room, _, module = old.rpartition(".")
    with pytest.raises(ImportError, match=f"is now {re.escape(doors.MOVED[old])}"):
        exec(f"from {room} import {module}")


def test_every_new_place_is_there():
    for module in doors.MOVED.values():
        path = ROOT / (module.replace(".", "/"))
        assert path.with_suffix(".py").is_file() or path.is_dir(), module


def test_a_name_that_is_nothing_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'plus' has no attribute 'nothing'"):
        _ = plus.nothing


def test_public_names_are_listed_and_importing_plus_loads_none_of_them():
    assert set(doors.PUBLIC) <= set(dir(plus))
    code = (
        "import sys, plus; heavy = {'torch', 'transformers', 'openai', 'typer', 'rich', 'sqlite3'} & set(sys.modules);"
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(doors.PUBLIC))
def test_each_public_name_opens(name):
    assert callable(getattr(plus, name))


def test_type_checkers_see_every_public_name():
    """`plus/__init__.py` imports each under TYPE_CHECKING, from the module that opens it at run time."""
    tree = ast.parse((ROOT / "plus" / "__init__.py").read_text())
    (block,) = [
        node for node in tree.body if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }  # fmt: skip
    assert seen == doors.PUBLIC
    assert set(doors.PUBLIC) <= set(plus.__all__)
