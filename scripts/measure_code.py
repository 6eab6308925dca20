"""Print the size of the code: python scripts/measure_code.py [--json] [--check]

Modules are files with code in them; an `__init__.py` is a door and none. Lines are physical lines. A function's length
runs from `def` to its last line. A comment is a line that holds nothing else, or the part of a line after code.
`--check` ends with status 1 when a limit of `LIMITS` is passed.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import statistics
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
# name -> (lowest, highest) accepted value
LIMITS = {
    "modules": (0, 286),
    "module_median": (120, 200),
    "evaluate_modules": (0, 14),
    "function_max": (0, 60),
    "comment_percent": (3.0, 100.0),
}


def files(folder: Path) -> list[Path]:
    """List the Python files that hold code, without `__init__.py`."""
    found = (path for path in sorted(folder.rglob("*.py")) if path.name != "__init__.py")
    return [path for path in found if path.read_text(encoding="utf-8").strip()]


def lines(path: Path) -> int:
    """Physical lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def comments(path: Path) -> int:
    """Lines that hold a comment."""
    text = path.read_text(encoding="utf-8")
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in found if token.type == tokenize.COMMENT and "fmt:" not in token.string})


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods, nested ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def percentile(values: list[int], share: float) -> int:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(root: Path = ROOT) -> dict[str, float]:
    """Every figure, by name."""
    code, tests = files(root / "plus"), files(root / "tests")
    sizes = [lines(path) for path in code]
    found = [function for path in code for function in functions(path)]
    lengths = [(function.end_lineno or 0) - function.lineno + 1 for function in found]
    public = [function for function in found if not function.name.startswith("_")]
    return {
        "modules": len(code),
        "module_median": statistics.median(sizes),
        "module_p90": percentile(sizes, 0.9),
        "module_max": max(sizes),
        "evaluate_modules": len(files(root / "plus" / "evaluate")),
        "functions": len(found),
        "function_median": statistics.median(lengths),
        "function_p90": percentile(lengths, 0.9),
        "function_max": max(lengths),
        "return_types_percent": round(100 * sum(f.returns is not None for f in found) / len(found), 1),
        "docstrings_percent": round(100 * sum(ast.get_docstring(f) is not None for f in public) / len(public), 1),
        "comment_percent": round(100 * sum(map(comments, code)) / sum(sizes), 1),
        "tests_to_source": round(sum(map(lines, tests)) / sum(sizes), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--check", action="store_true", help="status 1 when a limit is passed")
    args = parser.parse_args()
    figures = measure()
    passed = {name: not low <= figures[name] <= high for name, (low, high) in LIMITS.items()}
    if args.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            limit = f"   limit {LIMITS[name][0]:g} to {LIMITS[name][1]:g}" if name in LIMITS else ""
            print(f"{name:<22}{value:>9,}{limit}{'   PASSED' if passed.get(name) else ''}")
    if args.check and any(passed.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
