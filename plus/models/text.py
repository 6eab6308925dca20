"""Messages to token ids: chat templates, cuts to a window, and batches of similar length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from plus.errors import ModelError, WindowError
from plus.prompts import INSTRUCTION, scorer_messages, summarizer_messages
from plus.types import Event, Message, Preference, Prompt, Reaction, Turn, UserHistory

PASS = 256  # Cost of one more pass through a model beside its tokens, in tokens.


def encode(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]], generate: bool = False
) -> list[list[int]]:
    """Encode each conversation as token ids: the tokenizer's chat template, or paragraphs where it has none.

    `generate` adds the header that opens the assistant's turn. Special tokens that stand in the
    template are not added a second time.
    """
    if not conversations:
        return []
    if tokenizer.chat_template is None:
        plain: list[list[int]] = tokenizer([as_paragraphs(messages) for messages in conversations])["input_ids"]
        return plain
    texts = templated(tokenizer, conversations, generate)
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def templated(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]], generate: bool = False
) -> list[str]:
    """Write each conversation in the tokenizer's chat template; `generate` opens the assistant's turn.

    Where the template refuses a system message (Gemma's and Mistral's do), its words open the user's first turn.
    Raises ModelError when the template refuses even that.
    """
    rows: Any = [list(messages) for messages in conversations]  # transformers asks for dict[str, str]
    try:
        texts = tokenizer.apply_chat_template(rows, add_generation_prompt=generate, tokenize=False)
    except TemplateError:
        try:
            rows = [without_system(messages) for messages in rows]
            texts = tokenizer.apply_chat_template(rows, add_generation_prompt=generate, tokenize=False)
        except TemplateError as error:
            raise ModelError(
                f"the chat template of {tokenizer.name_or_path} refuses a conversation ({error}); give turns of user "
                "and assistant in alternation, the user's first, or another chat_template in that model's folder"
            ) from error
    return cast(list[str], texts)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Move what a system message says to the beginning of the user's first turn."""
    said = [message["content"] for message in messages if message["role"] == "system"]
    turns: list[Message] = [{**message} for message in messages if message["role"] != "system"]
    first = next((turn for turn in turns if turn["role"] == "user"), None)
    if said and first is None:
        return [{"role": "user", "content": "\n\n".join(said)}, *turns]
    if said and first is not None:
        first["content"] = "\n\n".join([*said, first["content"]])
    return turns


def as_paragraphs(messages: Sequence[Message]) -> str:
    """Write the conversation as plain text, for a tokenizer without a chat template."""
    return "\n\n".join(message["content"] for message in messages)


def fit_history(
    history: UserHistory, tokenizer: PreTrainedTokenizerBase, max_length: int, instruction: str = INSTRUCTION
) -> tuple[list[Message], Counter[str]]:
    """Write the summarizer's messages within `max_length` tokens; returns them and counts of what was cut.

    The oldest events go first, the instruction and the generation header never. Where not even
    the newest event fits, its texts are shortened at their ends. Raises WindowError when the
    instruction alone is too long.
    """

    def length(events: Sequence[Event]) -> int:
        messages = summarizer_messages(UserHistory(history.user_id, tuple(events)), instruction)
        return len(encode(tokenizer, [messages], generate=True)[0])

    events = history.events
    if (needed := length(events)) <= max_length:
        return summarizer_messages(history, instruction), Counter()
    # The newest events that fit together.
    if events:
        kept = _largest(lambda n: length(events[len(events) - n :]) <= max_length, len(events))
        events = events[len(events) - kept :]
    cut = Counter({"events older than the window": len(history.events) - len(events)})
    # Not even the newest fits: shorten its texts.
    if history.events and not events:
        newest = history.events[-1]
        size = _largest(lambda n: length([_shortened(newest, n)]) <= max_length, 100_000)
        if size > 0:
            events = (_shortened(newest, size),)
            cut = Counter({"events older than the window": len(history.events) - 1, "events shortened": 1})
    if (needed := length(events)) > max_length:
        raise WindowError(
            f"the summarizer's instruction takes {needed} tokens and the window holds {max_length}; "
            f"raise --max_prompt_length to at least {needed}"
        )
    return summarizer_messages(UserHistory(history.user_id, tuple(events)), instruction), +cut


def fit_answer(
    summary: str, prompt: Prompt, answer: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[int]:
    """Encode one answer that is too long for the reward model, cut to `max_length` token ids.

    The answer loses its end first, then a conversation its oldest turns, then the prompt its
    beginning; the summary stays whole.
    """

    def ids_of(prompt: Prompt, answer: str) -> list[int]:
        return encode(tokenizer, [scorer_messages(summary, prompt, answer)])[0]

    def fits(prompt: Prompt, answer: str) -> bool:
        return len(ids_of(prompt, answer)) <= max_length

    # The longest beginning of the answer that fits beside the whole prompt.
    size = _largest(lambda n: fits(prompt, answer[:n]), len(answer))
    if size == 0:  # Not even the bare prompt fits beside the summary: leave the answer 200 characters.
        answer, size = answer[:200], len(answer[:200])
        if not isinstance(prompt, str):
            prompt = _newest_turns(prompt, lambda turns: fits(turns, answer))
        if isinstance(prompt, str):
            whole = prompt
            kept = _largest(lambda n: fits(whole[len(whole) - n :], answer), len(whole))
            prompt = whole[len(whole) - kept :]
    ids = ids_of(prompt, answer[:size])
    if len(ids) > max_length:
        raise WindowError(
            f"the summary takes {len(ids)} tokens with its template and the reward model's window holds {max_length}; "
            "raise --reward_max_length"
        )
    return ids


def _newest_turns(turns: tuple[Turn, ...], fits: Callable[[Prompt], bool]) -> Prompt:
    """The longest end of a conversation that begins with the user and fits; the last text if none does."""
    starts = [number for number, turn in enumerate(turns) if turn.role == "user"]
    return next((turns[start:] for start in starts if fits(turns[start:])), turns[-1].content)


def _shortened(event: Event, size: int) -> Event:
    """The event with every text cut to `size` characters."""
    match event.content:
        case Preference(prompt, chosen, rejected):
            return replace(event, content=Preference(prompt[:size], chosen[:size], rejected[:size]))
        case Reaction(prompt, completion, label):
            return replace(event, content=Reaction(prompt[:size], completion[:size], label))
        case tuple(turns):
            return replace(event, content=tuple(replace(turn, content=turn.content[:size]) for turn in turns))
        case str(text):
            return replace(event, content=text[:size])


def _largest(holds: Callable[[int], bool], upper: int) -> int:
    """The largest n in 0..upper for which `holds(n)`, by bisection; 0 when it never does."""
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield row numbers in batches of at most `budget` padded tokens (at least one row), shortest first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if batch and lengths[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def tight(lengths: Sequence[int], overhead: int = PASS) -> list[list[int]]:
    """Group rows of similar length so that all passes together cost least: padded tokens, and `overhead`
    for each group. Exact, by dynamic programming over the sorted lengths."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    # best[end]: the least cost of the first `end` rows, plus the overhead of the group that follows;
    # start[end]: where their last group begins.
    best, start = [0.0], [0]
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        cost, begin = min((best[begin] + longest * (end - begin), begin) for begin in range(end))
        best.append(cost + overhead)
        start.append(begin)
    # Walk back from the end.
    groups, end = [], len(order)
    while end:
        groups.append(order[start[end] : end])
        end = start[end]
    return groups[::-1]
