"""Messages of logs: roles and texts as chat programs write them, without what the user did not see or say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plus.feedback.log_row import LogMessage, ParseState, id_text
from plus.sources.fields import UnusableError, text_of

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer", "humanmessage", "humanmessagechunk"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt", "agent", "llm"), "assistant"),
    **dict.fromkeys(("aimessage", "aimessagechunk"), "assistant"),
    **dict.fromkeys(("system", "developer", "systemmessage", "instructions"), "system"),
    **dict.fromkeys(("tool", "function", "toolmessage", "functionmessage", "ipython", "observation"), "tool"),
}  # fmt: skip
SYSTEM, TOOL = "turns of the system", "turns of tools"
THOUGHTS, CALLS, NO_TEXT = "thoughts of the model", "calls of tools", "parts of messages that are no text"
_TIMES = ("timestamp", "created_at", "createdAt", "create_time")
_ATTACHED = ("attachments", "files")
_THOUGHT_TYPES = (
    "thinking",
    "reasoning",
    "redacted_thinking",
    "thoughts",
    "reasoning_content",
    "summary_text",
    "think",
)
# Open WebUI writes thoughts and tools into the answer, other servers <think> before it; a cut one goes to the end.
_HIDDEN = re.compile(
    r"<details\b[^>]*\btype=\"(?:reasoning|tool_calls|code_interpreter)\"[^>]*>.*?(?:</details>|\Z)\s*"
    r"|\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)\s*",
    re.S,
)


def parse_messages(messages: Any, state: ParseState, time: float | None = None) -> list[LogMessage]:
    """Parse a list of messages; `time` is the default. Raises UnusableError when the user says nothing in it."""
    if not isinstance(messages, list):
        raise UnusableError("rows whose messages are no list")
    talk = [parsed for message in messages if (parsed := parse_message(message, state, time)) is not None]
    require_user(talk)
    return talk


def require_user(talk: list[LogMessage]) -> None:
    """Check that the user says something. Raises UnusableError."""
    if not any(message.role == "user" and message.content for message in talk):
        raise UnusableError("rows in which no user says anything")


def parse_message(message: Any, state: ParseState, time: float | None = None) -> LogMessage | None:
    """Parse {role, content}, {from, value}, {type: human} or {role, parts}; None for one that is no turn.

    Those of tools, of the system and in unknown roles are counted; a user's turn without text is a turn. `time` is used
    when the message states none. Raises UnusableError for a value that is no message.
    """
    if not isinstance(message, dict):
        raise UnusableError("rows with a message that is no object")
    name, content = message.get("role"), message.get("content")
    if name is None:
        name, message = _unwrapped(message)
    if not isinstance(name, str):
        raise UnusableError("rows with a message without a role")
    if content is None:
        content = next((message[c] for c in ("content", "value", "parts", "text") if message.get(c) is not None), None)
    role = ROLES.get(name.lower())
    if role not in ("user", "assistant"):
        if content not in ("", [], {}, None):
            reason = {"system": SYSTEM, "tool": TOOL}.get(str(role))
            state.drop(reason or "messages in an unknown role", None if reason else name)
        return None
    if role == "user" and _is_result(content):
        state.drop(TOOL)
        return None
    text = text_of(content, "content") if isinstance(content, str) else message_text(content, state)
    for column in _ATTACHED:
        if column in message:
            for _ in message[column] if isinstance(message[column], list) else ():
                state.drop("attachments")
    if role == "assistant":
        text = shown(text, state)
        # What is said before a tool is called is no answer.
        if message.get("tool_calls") and text.strip():
            state.drop(CALLS)
            return None
    if not text.strip():
        if role == "assistant":
            return None
        text = ""
    # Its own time wins over the row's.
    sent = time
    for column in _TIMES:
        if column in message and message[column] is not None:
            sent = state.time(message[column])
            break
    return LogMessage(role, text, id_text(message.get("id")), sent)


def _is_result(content: Any) -> bool:
    """Tell whether a user's message holds only what tools returned, as Anthropic's API sends it."""
    is_list = isinstance(content, list) and bool(content)
    return is_list and all(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)


def _unwrapped(message: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Find (role, message with content), which LangChain keeps in `data` or `kwargs`."""
    role = message.get("role", message.get("from", message.get("sender")))
    if role is not None:
        return role, message
    kwargs, kind = message.get("kwargs"), message.get("id")
    if isinstance(kwargs, dict) and isinstance(kind, list) and kind:
        return kind[-1], kwargs
    data = message.get("data")
    return message.get("type"), data if isinstance(data, dict) else message


def shown(text: str, state: ParseState) -> str:
    """Cut thoughts and tools out of an answer, which stand in it as text."""
    if "<details" not in text and "<think" not in text:
        return text
    cut, count = _HIDDEN.subn("", text)
    for _ in range(count):
        state.drop(THOUGHTS)
    return cut.strip() if count else text


def message_text(content: Any, state: ParseState) -> str:
    """Join the text parts of a message's content; other parts are counted as dropped. Raises UnusableError."""
    if content is None:
        return ""
    # ChatGPT and Gemini hold {parts}, OpenAI a list of parts, others text.
    if isinstance(content, dict):
        content = content.get("parts") or [content]
    if not isinstance(content, list):
        return text_of(content, "content")
    texts = []
    for part in content:
        text = _part_text(part)
        if isinstance(text, str):
            texts.append(text_of(text, "content"))
        else:
            state.drop(_why_silent(part))
    return "\n".join(text for text in texts if text)


def _part_text(part: Any) -> Any:
    """Find the text of one part; any other value where it has none."""
    if not isinstance(part, dict):
        return part
    if _why_silent(part) != NO_TEXT:
        return None
    text = next((part[column] for column in ("text", "value", "refusal") if part.get(column) is not None), None)
    return text.get("value") if isinstance(text, dict) else text


def _why_silent(part: Any) -> str:
    """Name what a part without text is: a thought, a call of a tool, or something else."""
    kind = str(part.get("type")) if isinstance(part, dict) else ""
    if kind in _THOUGHT_TYPES:
        return THOUGHTS
    return CALLS if "tool" in kind or kind.endswith(("_call", "_call_output")) else NO_TEXT
