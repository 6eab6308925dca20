"""A verb of the command line: its help begins with an example, and a flag may be followed by true or false."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from typing import Any

from typer.core import TyperCommand, TyperOption

_EXAMPLE = "Example: "


def example_first(function: Callable[..., None]) -> str:
    """Write a verb's help: the example that ends its docstring, then the rest."""
    text, _, example = cleandoc(function.__doc__ or "").rpartition(_EXAMPLE)
    return f"{_EXAMPLE}{example}\n\n{text.strip()}"


class Verb(TyperCommand):
    """Command that takes `--flag`, `--flag true`, `--flag false` and, where there is one, `--no-flag`, as TRL does."""

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
