"""Blind comparison: two answers to a question, one of which knows the person; the choice is kept as an event."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from plus.errors import missing_extra
from plus.profiles.store import Store
from plus.serve.requests import StoreFile
from plus.studio.access import RefusedError
from plus.studio.reading import about
from plus.studio.studio import Served, remember
from plus.studio.visit import Visit
from plus.types import Turn

if TYPE_CHECKING:
    from plus.serve.chat import Round


@dataclass(frozen=True)
class Talk:
    """Conversation of one person. `made`: the two answers that wait for a choice or None."""

    number: int
    earlier: tuple[Turn, ...] = ()
    made: Round | None = None
    choices: int = 0
    personal: int = 0


def choose_form(visit: Visit) -> Response:
    """Show the question's form, or the two answers that wait for a choice."""
    name = visit.request.path_params.get("talk", "")
    talk = _talk(visit, name) if name else Talk(visit.person().number)
    return _show(visit, talk, name)


def ask(visit: Visit) -> Response:
    """Ask the served model twice; which answer knows the person stays on the server."""
    person, served = visit.person(), visit.studio.served
    if served is None:
        raise RefusedError(400, "no_model")
    question, name = visit.form.get("question", "").strip(), visit.form.get("talk", "")
    if not question:
        raise RefusedError(400, "no_question")
    talk = _talk(visit, name) if name else Talk(person.number)
    try:
        made, bytes_of = _asked(visit.store, visit.studio.profiles, served, person.user_id, talk.earlier, question)
    except ModuleNotFoundError as error:
        raise missing_extra("the comparison", error) or error from None
    if served.dry_run:
        return _show(visit, talk, name, bytes_of, question)
    if made.answers[0] == made.answers[1]:
        talk = replace(talk, earlier=made.conversation(0), made=None)
    else:
        talk = replace(talk, made=made)
    name = name or secrets.token_hex(8)
    remember(visit.studio.rounds, name, talk)
    return visit.back(f"/u/{person.number}/choose/{name}", "" if talk.made else "same")


def choose(visit: Visit) -> Response:
    """Keep a choice, and go on."""
    from plus.serve.chat import ChoiceLog

    person, name = visit.person(), visit.request.path_params["talk"]
    talk, reply = _talk(visit, name), visit.form.get("reply", "")
    made = talk.made
    if made is None or reply not in ("a", "b", "="):
        raise RefusedError(400, "no_round")
    place = "ab".find(reply)
    went = replace(talk, made=None, earlier=made.conversation(max(place, 0)))
    if place >= 0:
        said: list[str] = []
        ChoiceLog(visit.store, person.user_id, said.append).add(made, place)
        if said:
            raise RefusedError(503, "not_kept")
        went = replace(went, choices=talk.choices + 1, personal=talk.personal + (place == made.personal))
    remember(visit.studio.rounds, name, went)
    return visit.back(f"/u/{person.number}/choose/{name}", "chosen" if place >= 0 else "")


def _asked(
    store: Store, profiles: StoreFile, served: Served, user_id: str, earlier: tuple[Turn, ...], question: str
) -> tuple[Round, list[str]]:
    """Ask for both answers; returns (the round, the requests that a dry run caught)."""
    from plus.serve import chat
    from plus.serve.capture import Caught
    from plus.serve.client import PersonalizedOpenAI
    from plus.serve.endpoint import make_client

    chat.check_user(store, user_id)
    caught = Caught() if served.dry_run else None
    inner = make_client(served.base_url, http_client=caught.client if caught else None, max_retries=2)
    made = chat.ask(PersonalizedOpenAI(inner, profiles), user_id, earlier, question, model=served.model)
    return made, [request.body.decode() for request in caught.outgoing] if caught else []


def _talk(visit: Visit, name: str) -> Talk:
    """Return a conversation of this person, of this start."""
    talk = visit.studio.rounds.get(name)
    if not isinstance(talk, Talk) or talk.number != visit.person().number:
        raise RefusedError(404, "no_round")
    return talk


def _show(visit: Visit, talk: Talk, name: str, requests: list[str] | None = None, question: str = "") -> Response:
    shown = {**about(visit, visit.person()), "tab": "choose"}
    return visit.show(
        "choose.html", **shown, talk=talk, name=name, served=visit.studio.served, requests=requests or [],
        question=question,
    )  # fmt: skip
