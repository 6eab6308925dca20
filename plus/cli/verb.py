"""A verb of the command line: its help begins with an example, and a flag may be followed by true or false."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from typing import Any

from typer.core import TyperCommand, TyperOption

_EXAMPLE = "Example: "
_FIRST, _MORE, _FEWEST = 6, "More options", 3


def example_first(function: Callable[..., None]) -> str:
    """Write a verb's help: the example that ends its docstring, then the rest, a line for each paragraph."""
    text, _, example = cleandoc(function.__doc__ or "").rpartition(_EXAMPLE)
    paragraphs = [f"{_EXAMPLE}{example}", *text.strip().split("\n\n")]
    return "\n\n".join(part if "\n " in part else " ".join(part.split("\n")) for part in paragraphs)


class Verb(TyperCommand):
    """Command that takes `--flag`, `--flag true`, `--flag false` and, where there is one, `--no-flag`, as TRL does.

    Its help shows common options first: the first six, required ones and those of its example; the rest, where they are
    three or more, in a panel.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        example = (self.help or "").partition("\n\n")[0].replace("-", "_").split()
        options = [p for p in self.params if isinstance(p, TyperOption) and not p.hidden and p.rich_help_panel is None]
        less_common = [
            option for option in options[_FIRST:]
            if not option.required and not any(name.replace("-", "_") in example for name in option.opts)
        ]  # fmt: skip
        for option in less_common if len(less_common) >= _FEWEST else []:
            option.rich_help_panel = _MORE

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, those of flags in click's own spelling."""
        return super().parse_args(ctx, list(_spelled(self, args)))


def _spelled(command: TyperCommand, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments; of a flag that true or false follows, the flag alone, its opposite, or nothing."""
    flags = {
        name.replace("_", "-"): parameter.secondary_opts[:1]
        for parameter in command.params
        if isinstance(parameter, TyperOption) and parameter.is_flag
        for name in parameter.opts
    }
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        known = flag.replace("_", "-") in flags
        if known and not equals and waiting and waiting[0].lower() in ("true", "false"):
            equals, value = "=", waiting.pop(0)
        if not known or value.lower() not in ("true", "false"):
            yield word
        elif value.lower() == "true":
            yield flag
        else:
            yield from flags[flag.replace("_", "-")]  # What has no opposite is off without it.
