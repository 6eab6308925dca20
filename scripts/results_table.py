"""Keep results in the repository: python scripts/results_table.py NAME=RESULTS [NAME=RESULTS ...]

RESULTS is the folder of a finished `plus benchmark` (real people, --ablation) or of reproduce_tiny.sh, or
files that `plus demo --json` printed, with commas between them. Each becomes notebooks/results/NAME.json, and the
tables of README and docs/results are written anew, each between `<!-- results: NAME -->` and `<!-- end of results -->`,
from all files that are there; `first` is the README's own table of real people. Without an argument only the pages
are written.
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
FOLDER = ROOT / "notebooks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "results").glob("*.md")))
PEOPLE = ("taxes", "bowling-green", "llmfao")
MARKS = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end of results -->)", re.S)


def rewritten(text: str, folder: Path) -> str:
    """Fill every marked table of a page from the files in `folder`; one without a file stays."""

    def fill(found: re.Match[str]) -> str:
        paths = [folder / f"{name}.json" for name in (PEOPLE if found[2] == "first" else (found[2],))]
        if not all(path.exists() for path in paths):
            return found[0]
        results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        table = published.first_table(results) if found[2] == "first" else published.tables(results[0])
        return f"{found[1]}\n{table}\n\n{found[3]}"

    return MARKS.sub(fill, text)


def main() -> None:
    """Keep the results given, then write the tables of README and docs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", metavar="NAME=RESULTS")
    for given in parser.parse_args().results:
        name, equals, where = given.partition("=")
        if not equals:
            parser.error(f"{given!r} is not NAME=RESULTS")
        kept = published.condensed([Path(part) for part in where.split(",")])
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(published.compact(kept), encoding="utf-8")
    for page in PAGES:
        page.write_text(rewritten(page.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except PlusError as error:
        sys.exit(f"results_table: {error}")
