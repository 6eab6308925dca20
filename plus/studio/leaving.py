"""The exact request about a person, everything that is held, copies to take along, and forgetting with a receipt."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import Response

from plus.errors import missing_extra
from plus.profiles import forget as forgetting
from plus.profiles import person as persons
from plus.profiles import runs as run_folders
from plus.profiles.formats import FORMATS, used_by
from plus.profiles.rows import profiles
from plus.profiles.target import Target
from plus.studio.access import RefusedError
from plus.studio.reading import about
from plus.studio.studio import remember
from plus.studio.visit import WORDS, Visit

SHOWN = 200  # events on the page; the copy to take along has all
# Name of a format -> end of its file's name.
ENDS = {
    "jsonl": "jsonl", "markdown": "md", "csv": "csv", "parquet": "parquet", "openai": "openai.jsonl",
    "trl": "trl.jsonl", "memory": "txt", "pam": "pam.json", "mem0": "mem0.json",
}  # fmt: skip


def leaves(visit: Visit) -> Response:
    """Show the exact request that a program would send about the person, with the profile marked; nothing is sent."""
    question = visit.form.get("question", "").strip() or WORDS["leaves_question"]
    person = visit.person()
    request = {"model": "MODEL", "messages": [{"role": "user", "content": question}]}
    try:
        from plus.serve.capture import outgoing
        from plus.serve.personalize import profile_text

        sent = outgoing(visit.store, person.user_id, "chat", request)
    except ModuleNotFoundError as error:
        raise missing_extra("what is sent", error) or error from None
    summary = visit.store.summary(person.user_id)
    profile = json.dumps(profile_text(summary), ensure_ascii=False)[1:-1] if summary and sent.personalized else ""
    before, marked, after = sent.body.decode().partition(profile) if profile else (sent.body.decode(), "", "")
    shown = {**about(visit, person), "tab": "leaves"}
    return visit.show(
        "leaves.html", **shown, question=question, sent=sent, before_profile=before, profile=marked, after_profile=after
    )


def data(visit: Visit) -> Response:
    """Show everything that is held about the person."""
    person = visit.person()
    shown = {**about(visit, person), "tab": "data"}
    held = persons.held(visit.store, person.user_id)
    return visit.show("data.html", **shown, held=held, events=held["events"][-SHOWN:][::-1], forms=tuple(ENDS))


def held(visit: Visit) -> Response:
    """Hand out everything that is held: JSON, or a page of Markdown to print."""
    found = persons.held(visit.store, visit.person().user_id)
    if visit.request.path_params["form"] == "md":
        return _file("\n".join(persons.page(found)).encode(), "held.md")
    return _file(json.dumps(found, ensure_ascii=False, indent=2).encode(), "held.json")


def copy(visit: Visit) -> Response:
    """Hand out the summary in one of the formats of plus export."""
    user_id, form = visit.person().user_id, visit.request.path_params["form"]
    if form not in ENDS:
        raise RefusedError(404, "no_page")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "summary"
        FORMATS[form](visit.store, used_by(form, profiles(visit.store, [user_id]), Counter()), Target(path))
        path = path if path.is_file() else next(path.iterdir())
        return _file(path.read_bytes(), f"summary.{ENDS[form]}")


def forget_form(visit: Visit) -> Response:
    """Show what a forget takes out, and what it cannot; it asks for the person's id."""
    return _forget_page(visit, wrong=False)


def forget(visit: Visit) -> Response:
    """Forget the person, if the id is typed as it is."""
    person = visit.person()
    if visit.form.get("typed", "") != person.user_id:
        return _forget_page(visit, wrong=True)
    receipt = forgetting.forget_user(visit.store, person.user_id, _runs(visit)).as_dict()
    remember(visit.studio.receipts, receipt["sha256"], receipt)
    return visit.back(f"/receipts/{receipt['sha256']}", "forgotten")


def receipt(visit: Visit) -> Response:
    """Show a receipt of this start, to keep."""
    return visit.show("receipt.html", receipt=_receipt(visit))


def receipt_file(visit: Visit) -> Response:
    """Hand out a receipt as JSON."""
    return _file(json.dumps(_receipt(visit), ensure_ascii=False, indent=2).encode(), "receipt.json")


def _receipt(visit: Visit) -> Mapping[str, Any]:
    found = visit.studio.receipts.get(visit.request.path_params["name"])
    if found is None:
        raise RefusedError(404, "no_receipt")
    return dict(found)


def _forget_page(visit: Visit, wrong: bool) -> Response:
    person, folders = visit.person(), _runs(visit)
    (planned,) = forgetting.planned(visit.store, [person.user_id], folders)
    weights = [folder for folder in planned["runs"] if run_folders.weights(Path(folder))]
    exports = forgetting.exports_with(visit.store, [person.user_id])
    shown = {**about(visit, person), "tab": "forget"}
    status = 400 if wrong else 200
    return visit.show("forget.html", status, **shown, planned=planned, weights=weights, exports=exports, wrong=wrong)


def _runs(visit: Visit) -> list[Path]:
    """Run folders of this start that hold rows; one whose training just began holds none."""
    return [folder for folder in visit.studio.runs if run_folders.is_ours(folder)]


def _file(content: bytes, name: str) -> Response:
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
