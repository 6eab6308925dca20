"""From messages to token ids within a window: what is cut, and what never is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from plus.errors import WindowError
from plus.prompts import INSTRUCTION, scorer_messages, summarizer_messages
from plus.types import Event, Message, Preference, Reaction, UserHistory


def encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], generate: bool = False) -> list[int]:
    """Token ids of a conversation: the tokenizer's chat template, or paragraphs where it has none.

    `generate` adds the header that opens the assistant's turn. Special tokens that stand in the
    template are not added a second time.
    """
    if tokenizer.chat_template is None:
        return tokenizer("\n\n".join(message["content"] for message in messages))["input_ids"]
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=generate, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def fit_history(
    history: UserHistory, tokenizer: PreTrainedTokenizerBase, max_length: int, instruction: str = INSTRUCTION
) -> tuple[list[Message], Counter[str]]:
    """The summarizer's messages within `max_length` tokens, and what was cut to get there.

    The oldest events go first, the instruction and the generation header never. Where not even
    the newest event fits, its texts are shortened at their ends. Raises WindowError when the
    instruction alone is too long.
    """

    def length(events: Sequence[Event]) -> int:
        messages = summarizer_messages(UserHistory(history.user_id, tuple(events)), instruction)
        return len(encode(tokenizer, messages, generate=True))

    events = history.events
    if events and length(events) > max_length:
        kept = _largest(lambda n: length(events[len(events) - n :]) <= max_length, len(events))
        events = events[len(events) - kept :]
    cut = Counter({"events older than the window": len(history.events) - len(events)})
    if history.events and not events:
        newest = history.events[-1]
        size = _largest(lambda n: length([_shortened(newest, n)]) <= max_length, 100_000)
        if size > 0:
            events = (_shortened(newest, size),)
            cut = Counter({"events older than the window": len(history.events) - 1, "events shortened": 1})
    if (needed := length(events)) > max_length:
        raise WindowError(
            f"the summarizer's instruction takes {needed} tokens and the window holds {max_length}; raise --max_prompt_length to at least {needed}"
        )
    return summarizer_messages(UserHistory(history.user_id, tuple(events)), instruction), +cut


def fit_answer(
    summary: str, prompt: str, answer: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[int], bool]:
    """The reward model's token ids within `max_length`, and whether anything was cut.

    The answer loses its end first, then the prompt its beginning; the summary stays whole.
    """
    ids = encode(tokenizer, scorer_messages(summary, prompt, answer))
    if len(ids) <= max_length:
        return ids, False

    def fits(prompt: str, answer: str) -> bool:
        return len(encode(tokenizer, scorer_messages(summary, prompt, answer))) <= max_length

    size = _largest(lambda n: fits(prompt, answer[:n]), len(answer))
    if size == 0:  # Not even the bare prompt fits beside the summary: leave the answer 200 characters.
        answer = answer[:200]
        kept = _largest(lambda n: fits(prompt[len(prompt) - n :], answer), len(prompt))
        prompt, size = prompt[len(prompt) - kept :], len(answer)
    ids = encode(tokenizer, scorer_messages(summary, prompt, answer[:size]))
    if len(ids) > max_length:
        raise WindowError(
            f"the summary takes {len(ids)} tokens with its template and the reward model's window holds {max_length}; raise --reward_max_length"
        )
    return ids, True


def _shortened(event: Event, size: int) -> Event:
    """The event with every text cut to `size` characters."""
    match event.content:
        case Preference(prompt, chosen, rejected):
            content = Preference(prompt[:size], chosen[:size], rejected[:size])
        case Reaction(prompt, completion, label):
            content = Reaction(prompt[:size], completion[:size], label)
        case str(text):
            content = text[:size]
    return replace(event, content=content)


def _largest(holds: Callable[[int], bool], upper: int) -> int:
    """The largest n in 0..upper for which `holds(n)`, by bisection; 0 when it never does."""
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
