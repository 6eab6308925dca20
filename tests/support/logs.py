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
    picture = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer"}, "Which animal is this?"],
    }
    rows = [
        ("root", None, ["sys"], "", ""),
        ("sys", "root", ["q1"], "system", "", hidden),
        ("q1", "sys", ["a1-left", "think"], "user", "Name a pet."),
        ("a1-left", "q1", [], "assistant", "A snake."),
        ("think", "q1", ["tool"], "assistant", "", {"content": {"content_type": "thoughts", "thoughts": []}}),
        ("tool", "think", ["a1"], "tool", "cats.csv"),
        ("a1", "tool", ["q2-left", "q2"] if edited else ["q2"], "assistant", "A cat."),
        ("q2-left", "a1", ["a2-left"], "user", "Which animal is it, and why?"),
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


def claude_chat(name: str = "k1", account: str = "acc") -> dict:
    """A conversation of claude.ai's export: text in blocks or in `text`, a thought, a tool, a pasted file."""

    def message(own: str, sender: str, text: str, *blocks: dict, **more: Any) -> dict:
        return {"uuid": f"{name}-{own}", "sender": sender, "text": text, "content": list(blocks), "attachments": [],
                "created_at": "2026-01-01T10:00:00Z", "files": [], **more}  # fmt: skip

    pasted = [{"file_name": "a.txt", "extracted_content": "long"}]
    return {"uuid": name, "name": "Pets", "account": {"uuid": account}, "created_at": "2026-01-01T10:00:00Z",
            "chat_messages": [
                message("1", "human", "Name a pet.", attachments=pasted),
                message("2", "assistant", "", {"type": "thinking", "thinking": "hm"},
                        {"type": "tool_use", "name": "look", "input": {}}, {"type": "text", "text": "A cat."}),
                message("3", "human", "", {"type": "text", "text": "Why?"}),
                message("4", "assistant", "It purrs.")]}  # fmt: skip


def claude_code(session: str = "z1") -> list[dict]:
    """A transcript of Claude Code: one message a line, among them tools, a side chain and what the program says."""

    def line(kind: str, content: Any, **more: Any) -> dict:
        return {"type": kind, "sessionId": session, "uuid": f"{session}-{len(lines)}", "cwd": "/x",
                "timestamp": "2026-01-01T10:00:00Z", "message": {"role": kind, "content": content}, **more}  # fmt: skip

    lines: list[dict] = [{"type": "summary", "summary": "Pets", "leafUuid": "u"}]
    for kind, content, more in (
        ("user", "<command-name>/clear</command-name>", {}),
        ("user", [{"type": "text", "text": "Name a pet."}], {}),
        ("assistant", [{"type": "thinking", "thinking": "hm"}], {}),
        ("assistant", [{"type": "tool_use", "name": "look", "id": "t", "input": {}}], {}),
        ("user", [{"type": "tool_result", "tool_use_id": "t", "content": "cats.csv"}], {}),
        ("user", "A task for a helper.", {"isSidechain": True}),
        ("assistant", [{"type": "text", "text": "A cat."}], {}),
        ("user", "Why?", {}),
    ):
        lines.append(line(kind, content, **more))
    return [*lines, {"type": "system", "sessionId": session, "content": "done"}]


def codex(session: str = "y1") -> list[dict]:
    """A transcript of Codex: an item of a response a line."""

    def item(payload: dict, kind: str = "response_item") -> dict:
        return {"timestamp": "2026-01-01T10:00:00Z", "type": kind, "payload": payload}

    def said(role: str, text: str) -> dict:
        kind = "input_text" if role == "user" else "output_text"
        return item({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})

    return [item({"id": session, "cwd": "/x"}, "session_meta"), said("user", "<environment_context>x"),
            said("user", "Name a pet."), item({"type": "reasoning", "summary": []}),
            item({"type": "function_call", "name": "look", "arguments": "{}"}),
            item({"type": "agent_message", "message": "A cat."}, "event_msg"), said("assistant", "A cat.")]  # fmt: skip


def librechat_chat(name: str = "l1") -> dict:
    """A conversation of LibreChat: messages inside each other, with a regenerated answer and thumbs."""
    left = {"messageId": f"{name}-b", "parentMessageId": f"{name}-a", "text": "A snake.", "isCreatedByUser": False,
            "createdAt": "2026-01-01T10:00:01Z", "feedback": {"rating": "thumbsDown", "tag": "x", "text": "Too long."},
            "children": []}  # fmt: skip
    kept = {**left, "messageId": f"{name}-c", "createdAt": "2026-01-01T10:00:02Z", "feedback": {"rating": "thumbsUp"},
            "text": "", "content": [{"type": "think", "think": "hm"}, {"type": "text", "text": "A cat."}]}  # fmt: skip
    asked = {"messageId": f"{name}-a", "parentMessageId": "0", "text": "Name a pet.", "isCreatedByUser": True,
             "createdAt": "2026-01-01T10:00:00Z", "children": [left, kept]}  # fmt: skip
    return {"conversationId": name, "title": "Pets", "recursive": True, "user": "ann", "messages": [asked]}


def response(name: str = "resp_1", user: str = "ann") -> dict:
    """A response of OpenAI's Responses API, with what was sent."""
    output = [{"type": "reasoning", "summary": []},
              {"type": "message", "role": "assistant",
               "content": [{"type": "output_text", "text": "A cat."}]}]  # fmt: skip
    return {"id": name, "object": "response", "created_at": 1_700_000_000, "user": user, "input": "Name a pet.",
            "output": output}  # fmt: skip


def prism_talk(name: str = "p1", user: str = "ann") -> dict:
    """A conversation of PRISM: two answers to a prompt, rated, and the user's open feedback."""
    turns = [{"turn": 0, "role": "user", "content": "Name a pet.", "score": None, "if_chosen": None},
             {"turn": 0, "role": "model", "content": "A cat.", "score": 90, "if_chosen": True},
             {"turn": 0, "role": "model", "content": "A snake.", "score": 10, "if_chosen": False}]  # fmt: skip
    return {"conversation_id": name, "user_id": user, "conversation_history": turns, "open_feedback": "Short is good.",
            "generated_datetime": "2023-11-01 10:00:00"}  # fmt: skip


def oasst_tree(name: str = "o1", user: str = "ann") -> dict:
    """A tree of OASST: a prompt, two ranked answers, and a question to the better one."""

    def message(own: str, role: str, text: str, *replies: dict, **more: Any) -> dict:
        return {"message_id": f"{name}-{own}", "role": role, "text": text, "user_id": user, "replies": list(replies),
                **more}  # fmt: skip

    best = message("b", "assistant", "A cat.", message("d", "prompter", "Why?"), rank=0)
    worst = message("c", "assistant", "A snake.", rank=1)
    return {"message_tree_id": f"{name}-a", "tree_state": "ready",
            "prompt": message("a", "prompter", "Name a pet.", worst, best)}  # fmt: skip


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
    "claude": ([claude_chat()], {"message": 2}),
    "claude_code": ([*claude_code("z1"), *claude_code("z2")], {"message": 4}),
    "codex": ([*codex("y1"), *codex("y2")], {"message": 2}),
    "librechat": ([librechat_chat()], {"message": 1, "choice": 1, "reaction": 2, "remark": 1}),
    "openai_call": (
        [response(),
         {"request": {"model": "m", "user": "ann", "messages": [PROMPT]}, "rating": "thumbs_up",
          "response": {"id": "c1", "choices": [{"index": 0, "message": CAT}]}, "timestamp": "2026-01-01T10:00:00Z"},
         {"custom_id": "r", "user_id": "ann", "request": json.dumps({"messages": [PROMPT]}),
          "response": json.dumps({"status_code": 200, "body": {"choices": [{"message": SNAKE}]}})}],
        {"message": 3, "reaction": 1},
    ),
    "prism": ([prism_talk()], {"choice": 1, "remark": 1}),
    "arena": (
        [{"question_id": "q", "judge": "ann", "winner": "model_b", "tstamp": 1.7e9, "model_a": "x", "model_b": "y",
          "conversation_a": [PROMPT, SNAKE], "conversation_b": [PROMPT, CAT]}],
        {"choice": 1},
    ),
    "ultrafeedback": (
        [{"instruction": "Name a pet.", "source": "s", "completions": [
            {"response": "A snake.", "overall_score": 3.0}, {"response": "A cat.", "overall_score": 8.5}]}],
        {"choice": 1},
    ),
    "oasst": ([oasst_tree()], {"message": 2, "choice": 1}),
    "flat": (
        [{"id": "f1", "app_id": "x", "conversation_id": "c", "message_id": "m1", "rating": "like", "content": "Short.",
          "from_source": "user", "from_end_user_id": "ann", "query": "Name a pet.", "answer": "A cat."},
         {"question": "Name a pet.", "response": "A snake.", "user": {"id": "ann"}, "thumbs": "down"}],
        {"message": 2, "reaction": 2, "remark": 1},
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
