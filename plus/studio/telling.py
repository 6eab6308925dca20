"""Edits told in words: a served model proposes them sentence by sentence, and the person accepts them or not."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from plus.errors import PlusError, missing_extra
from plus.profiles import tell as tells
from plus.recipes import edit_writer
from plus.studio.access import RefusedError
from plus.studio.reading import about
from plus.studio.studio import remember
from plus.studio.visit import Visit, diff_lines
from plus.types import Scorer


def tell(visit: Visit) -> Response:
    """Ask the served model for the edit that the words mean, and show it; nothing is written."""
    person, served, words = visit.person(), visit.studio.served, visit.form.get("words", "").strip()
    if served is None:
        raise RefusedError(400, "no_model")
    if not words:
        raise RefusedError(400, "no_words")
    try:
        from plus.serve.capture import Caught

        caught = Caught() if served.dry_run else None
        writer = edit_writer(served.base_url, served.model, caught)
        if caught:
            writer.complete(tells.messages(visit.store, person.user_id, words))
            bodies = [request.body.decode() for request in caught.outgoing]
            return _show(visit, None, "", bodies)
        proposal = tells.propose(visit.store, person.user_id, words, writer, lambda: _scorer(visit))
    except ModuleNotFoundError as error:
        raise missing_extra("an edit in words", error) or error from None
    name = secrets.token_hex(8)
    remember(visit.studio.rounds, name, proposal)
    return _show(visit, proposal, name)


def accept(visit: Visit) -> Response:
    """Save a proposed edit."""
    person, name = visit.person(), visit.request.path_params["proposal"]
    proposal = visit.studio.rounds.get(name)
    if not isinstance(proposal, tells.Proposal) or proposal.user_id != person.user_id:
        raise RefusedError(404, "no_proposal")
    tells.accept(visit.store, proposal)
    visit.studio.rounds.pop(name, None)
    return visit.back(f"/u/{person.number}", "told")


def _scorer(visit: Visit) -> Scorer | None:
    """The reward model, or None where there is none: an edit is proposed without its effect then."""
    try:
        return visit.studio.scorer()
    except PlusError:
        return None


def _show(visit: Visit, proposal: tells.Proposal | None, name: str, requests: list[str] | None = None) -> Response:
    lines = diff_lines(proposal.diff if proposal else "")
    part = {"effect": proposal.effect if proposal else None, "missing": ""}
    return visit.show(
        "tell.html", **about(visit, visit.person()), proposal=proposal, name=name, lines=lines, part=part,
        requests=requests or [],
    )  # fmt: skip
