"""Keep results in the repository: python scripts/results_table.py NAME=RESULTS [NAME=RESULTS ...]

RESULTS is the folder of a finished `plus benchmark` (real people, --ablation) or of reproduce_tiny.sh, or
files that `plus demo --json` printed, with commas between them. Each becomes notebooks/results/NAME.json, and
the README's tables are written anew, each between `<!-- results: NAME -->` and `<!-- end of results -->`,
from all files that are there. Without an argument only the README is written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import published

from plus.errors import PlusError

ROOT = Path(__file__).parent.parent
FOLDER, README = ROOT / "notebooks" / "results", ROOT / "README.md"
MARKS = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end of results -->)", re.S)


def rewritten(text: str, folder: Path) -> str:
    """Fill every marked table of the README from the files in `folder`; one without a file stays."""

    def fill(found: re.Match[str]) -> str:
        path = folder / f"{found[2]}.json"
        if not path.exists():
            return found[0]
        return f"{found[1]}\n{published.tables(json.loads(path.read_text(encoding='utf-8')))}\n\n{found[3]}"

    return MARKS.sub(fill, text)


def main() -> None:
    """Keep the results given, then write the README's tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", metavar="NAME=RESULTS")
    for given in parser.parse_args().results:
        name, equals, where = given.partition("=")
        if not equals:
            parser.error(f"{given!r} is not NAME=RESULTS")
        kept = published.condensed([Path(part) for part in where.split(",")])
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(published.compact(kept), encoding="utf-8")
    README.write_text(rewritten(README.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except PlusError as error:
        sys.exit(f"results_table: {error}")
