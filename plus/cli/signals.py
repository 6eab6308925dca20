"""`plus signals`: which turns of conversations say that the answer before was good, or was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import print_json, results, say
from plus.cli.stores import AsJson


def signals(
    file: Annotated[
        Path, typer.Argument(help="Rows of {conversation: [messages]} or {messages: [...]}, as JSONL or JSON.")
    ],
    as_json: AsJson = False,
) -> None:
    """Label each user turn after an answer: satisfied, dissatisfied, none or unsure, with the words that show it.

    By rules for the plain cases, without any model; they are English, and their probabilities are not calibrated.

    Example: plus signals conversations.jsonl --json
    """
    from plus.errors import SourceError
    from plus.sources.population import Dropped

    if not file.is_file():
        raise SourceError(f"there is no file {file}; give conversations as JSONL or JSON")
    dropped = Dropped()
    found = list(_rows(file, dropped))
    for line in dropped.lines():
        say(f"left out: {line}")
    if not found and dropped:
        raise SourceError(f"{file}: nothing can be used; {dropped.lines()[0]}; each row needs conversation: [messages]")
    if as_json:
        print_json({"turns": found, "dropped": dict(dropped)})
        return
    counts = Counter(row["label"] for row in found)
    results.print(f"{len(found):,} turns: " + ", ".join(f"{count:,} {label}" for label, count in counts.most_common()))
    for row in found:
        if row["label"] != "none":
            shown = "; ".join(f"{span['rubric']}: {span['text']}" for span in row["evidence"])
            results.print(f"{row['where']} turn {row['turn']}: {row['label']} ({shown})", markup=False)


def _rows(file: Path, dropped: Any) -> Iterator[dict[str, Any]]:
    from plus.feedback.exchanges import Place, said_of
    from plus.feedback.signals import signals as label
    from plus.feedback.streams import rows
    from plus.sources.messages import UnusableError
    from plus.types import Turn

    for where, row in rows(file, dropped):
        place = Place(where, dropped=dropped)
        talk = row.get("conversation", row.get("messages"))
        try:
            if not isinstance(talk, list):
                raise UnusableError("rows without a conversation")
            # Tools' and empty messages keep their number, so that `turn` counts the messages as they stand.
            said = [said_of(message, place) for message in talk]
        except UnusableError as error:
            place.drop(str(error))
            continue
        for signal in label([Turn(one.role, one.content) if one else Turn("system", "") for one in said]):
            text = said[signal.turn].content  # type: ignore[union-attr]
            evidence = [
                {"rubric": rubric, "start": start, "end": end, "text": text[start:end]} for start, end, rubric in signal.evidence
            ]  # fmt: skip
            yield {"where": where, "id": row.get("id"), "turn": signal.turn, "label": signal.label,
                   "probability": signal.probability, "evidence": evidence}  # fmt: skip
