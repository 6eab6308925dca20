"""Write the README's demo table from results: python scripts/demo_table.py SEED0.json [SEED1.json ...]

Each file is what `plus demo --seed S --json` printed. Replaces what stands between the README's marks.
"""

import json
import re
import sys
from pathlib import Path

from plus.evaluate.thresholds import thresholds

README = Path(__file__).parent.parent / "README.md"
MEANING = {
    "accuracy.plus": "with the learned summary",
    "accuracy.bradley_terry": "one taste for all: no information about the user",
    "accuracy.untrained": "summaries of the base as it came, sampled",
    "accuracy.oracle": "the true persona in words",
    "controls.shuffled": "another user's summary",
    "controls.empty": "no summary",
    "faithfulness.precision": "claims about the user that are true",
    "faithfulness.recall": "users whose favourite is named",
    "null.accuracy": "a short run on choices dealt to other users",
}


def value(result: dict, name: str) -> float:
    for part in name.split("."):
        result = result[part]
    return result


def main() -> None:
    results = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    rows = [
        "| what | promised | measured, seed " + " / ".join(str(r["seed"]) for r in results) + " | meaning |",
        "|---|---|---|---|",
    ]
    for name, (low, high) in thresholds().items():
        measured = " / ".join(f"{value(result, name):.3f}" for result in results)
        rows.append(f"| `{name}` | {low:g} to {high:g} | {measured} | {MEANING[name]} |")
    seconds = ", ".join(f"{result['seconds']:.0f}" for result in results)
    table = "\n".join([*rows, "", f"Seconds, on two cores that did other work too: {seconds}."])
    marks = r"(<!-- demo table: [^\n]*-->\n).*(<!-- end of demo table -->)"
    README.write_text(re.sub(marks, rf"\g<1>\n{table}\n\n\g<2>", README.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
