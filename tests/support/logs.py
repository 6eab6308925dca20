"""Logs in every format that is imported, with their odd cases: built here, as the programs publish them."""

from __future__ import annotations

import json
from typing import Any


def chatgpt(name: str = "c1", edited: bool = True, **changes: Any) -> dict:
    """A conversation with hidden nodes, a tool, an image, a regenerated answer and an edited question."""

    def node(own: str, parent: str | None, children: list[str], role: str = "", text: str = "", **message: Any) -> dict:
        said = None
        if role:
            said = {"id": own, "author": {"role": role, "name": None, "metadata": {}},
                    "create_time": 1.7e9 + len(nodes),
                    "content": {"content_type": "text", "parts": [text]}, "status": "finished_successfully",
                    "weight": 1.0, "metadata": {}, "recipient": "all", **message}  # fmt: skip
        return {"id": own, "parent": parent, "children": children, "message": said}

    nodes: dict[str, dict] = {}
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    picture = {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "What is this?"]}
    rows = [
        ("root", None, ["sys"], "", ""),
        ("sys", "root", ["q1"], "system", "", hidden),
        ("q1", "sys", ["a1-left", "think"], "user", "Name a pet."),
        ("a1-left", "q1", [], "assistant", "A snake."),
        ("think", "q1", ["tool"], "assistant", "", {"content": {"content_type": "thoughts", "thoughts": []}}),
        ("tool", "think", ["a1"], "tool", "cats.csv"),
        ("a1", "tool", ["q2-left", "q2"] if edited else ["q2"], "assistant", "A cat."),
        ("q2-left", "a1", ["a2-left"], "user", "Why?"),
        ("a2-left", "q2-left", [], "assistant", "Because."),
        ("q2", "a1", ["a2"], "user", "", {"content": picture}),
        ("a2", "q2", [], "assistant", "A dog, since dogs play."),
    ]
    for own, parent, children, role, text, *rest in rows:
        if edited or not own.endswith("2-left"):
            nodes[f"{name}-{own}"] = node(
                f"{name}-{own}", parent and f"{name}-{parent}", [f"{name}-{c}" for c in children], role, text,
                **(rest[0] if rest else {}),
            )  # fmt: skip
    return {"title": "Pets", "create_time": 1.7e9, "update_time": 1.7e9, "mapping": nodes, "conversation_id": name,
            "current_node": f"{name}-a2", "id": name, **changes}  # fmt: skip


def open_webui_chat(name: str = "w1", user: str = "ann") -> dict:
    """A chat with two models' answers, of which one was gone on with, and thumbs on both."""

    def message(own: str, parent: str | None, children: list[str], role: str, content: str, **more: Any) -> dict:
        return {"id": own, "parentId": parent, "childrenIds": children, "role": role, "content": content,
                "timestamp": 1_700_000_000, **more}  # fmt: skip

    up = {"annotation": {"rating": 1, "comment": "Short. I like that.", "reason": "clear", "tags": ["pets"]}}
    messages = {
        "1": message("1", None, ["2", "3"], "user", "Name a pet."),
        "2": message("2", "1", [], "assistant", "A snake, which is a long story.", annotation={"rating": -1}),
        "3": message("3", "1", ["4"], "assistant", "A cat.", model="m", **up),
        "4": message("4", "3", [], "user", "Thanks!"),
    }
    messages = json.loads(json.dumps(messages).replace('"id": "', f'"id": "{name}-'))
    return {"id": name, "user_id": user, "title": "Pets", "created_at": 1_700_000_000, "updated_at": 1_700_000_009,
            "chat": {"models": ["m"], "history": {"messages": messages, "currentId": "4"}, "messages": []}}  # fmt: skip


def open_webui_feedback(message: str = "3", rating: Any = 1, at: int = 1_700_000_100, user: str = "ann") -> dict:
    """A thumb with the snapshot of its chat."""
    return {"id": f"f-{message}-{at}", "user_id": user, "version": 0, "type": "rating",
            "data": {"rating": rating, "model_id": "m", "sibling_model_ids": None, "reason": "",
                     "comment": "Too long."},
            "meta": {"model_id": "m", "message_id": message, "message_index": 2, "chat_id": "w1"},
            "snapshot": {"chat": open_webui_chat()}, "created_at": at, "updated_at": at}  # fmt: skip


def langfuse_trace(name: str = "t1", user: str = "ann", **more: Any) -> dict:
    """A trace as the tables' export has it."""
    return {"id": name, "timestamp": "2024-05-29T13:46:19.963Z", "name": "chat", "userId": user, "sessionId": "s1",
            "input": {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Name a pet."}]},
            "output": {"role": "assistant", "content": "A cat."}, "metadata": {}, "tags": [], **more}  # fmt: skip


def langfuse_observation(name: str = "o1", trace: str = "t9", user: str = "ann") -> dict:
    """An observation of the blob storage: what went in and came out is JSON inside text."""
    return {
        "id": name,
        "trace_id": trace,
        "type": "GENERATION",
        "start_time": "2024-05-29 13:46:19.963000",
        "user_id": user,
        "session_id": "s2",
        "input": json.dumps([{"role": "user", "content": "Name a bird."}]),
        "output": json.dumps({"role": "assistant", "content": "A tit."}),
        "parent_observation_id": None,
    }


def langfuse_score(trace: str = "t9", value: Any = 1, at: str = "2024-05-29 13:50:00.000000", **more: Any) -> dict:
    """A score of the blob storage."""
    return {
        "id": f"sc-{trace}-{at}",
        "timestamp": at,
        "trace_id": trace,
        "observation_id": None,
        "name": "thumb",
        "value": value,
        "data_type": "BOOLEAN",
        "string_value": "",
        "source": "API",
        "comment": "nice",
        **more,
    }


PROMPT = {"role": "user", "content": "Name a pet."}
CAT, SNAKE = ({"role": "assistant", "content": f"A {pet}."} for pet in ("cat", "snake"))
# format -> (rows, how many events of each kind they hold)
LOGS: dict[str, tuple[list[dict], dict[str, int]]] = {
    "chatgpt": ([chatgpt("c1"), chatgpt("c2", edited=False)], {"message": 4, "choice": 3}),
    "open_webui": ([open_webui_chat()], {"message": 2, "choice": 1, "reaction": 2, "remark": 1}),
    "open_webui_feedback": ([open_webui_feedback()], {"reaction": 1, "remark": 1}),
    "openai_chat": (
        [{"messages": [PROMPT, CAT, {"role": "user", "content": [{"type": "text", "text": "Why?"}]}], "user": "ann"},
         {"messages": [PROMPT, {"role": "assistant", "content": None, "tool_calls": []},
                       {"role": "tool", "content": "x"}, CAT],
          "metadata": {"user_id": 7}, "created": 1_700_000_000}],
        {"message": 3},
    ),
    "openai_preference": (
        [{"input": {"messages": [PROMPT], "tools": []}, "preferred_output": [CAT], "non_preferred_output": [SNAKE],
          "user_id": "ann"}],
        {"choice": 1},
    ),
    "sharegpt": (
        [{"id": "x", "user_id": "ann", "conversations": [{"from": "system", "value": "s"},
                                                         {"from": "human", "value": "Hi"},
          {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Bye"}]}],
        {"message": 2},
    ),
    "langfuse": (
        [langfuse_trace(), langfuse_trace("t2", output="A dog.",
                                          scores=[{"name": "thumb", "value": 0, "comment": "wrong"}]),
         langfuse_trace("t3", input="Hello?", output="Hi.", scores={"thumb": [1]})],
        {"message": 3, "reaction": 2, "remark": 1},
    ),
    "wildchat": (
        [{"conversation_hash": "h", "model": "m", "timestamp": "2023-04-09T00:02:53+00:00", "hashed_ip": "ip1",
          "turn": 1,
          "conversation": [{**PROMPT, "hashed_ip": "ip1", "toxic": False},
                           {**CAT, "timestamp": "2023-04-09T00:02:54+00:00"}]}],
        {"message": 1},
    ),
    "wildfeedback": (
        [{"conversation_hash": "h", "user_id": "ann", "prompt": [PROMPT], "chosen": CAT, "rejected": SNAKE,
          "user_preference": ["Be short.", "No snakes."]},
         {"conversation_hash": "g", "user_id": "ann",
          "messages": [PROMPT, SNAKE, {"role": "user", "content": "No!", "dsat": ["NF"], "sat": []}]}],
        {"choice": 1, "remark": 2, "message": 2, "reaction": 1},
    ),
    "rows": (
        [{"user_id": "ann", "prompt": "Name a pet.", "chosen": "A cat.", "rejected": "A snake."},
         {"user_id": "ann", "prompt": "Name a pet.", "completion": "A cat.", "label": True}],
        {"choice": 1, "reaction": 1},
    ),
}  # fmt: skip


def write(path, rows: list[Any], pretty: bool = False) -> None:
    """As JSONL, or as one list where the name says .json."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=2 if pretty else None), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
