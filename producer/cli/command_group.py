"""Command group for typer that loads fewer libraries, so that `--help` answers sooner."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Group(TyperGroup):
    """A group whose flags default to False.

    typer 0.29 loads pydantic (0.2 s) to read a flag whose default is None, as that of `--help` is.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's options, with False as the default of its flags."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return params


def group(help: str, **options: Any) -> typer.Typer:  # noqa: A002 - typer's own name of it
    """Return an empty group of commands.

    Its help is plain text: to draw frames, typer loads a Markdown parser (0.3 s).
    """
    return typer.Typer(cls=Group, help=help, no_args_is_help=True, rich_markup_mode=None, **options)
