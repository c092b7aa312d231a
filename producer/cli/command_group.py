"""A group of commands whose `--help` answers at once."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Group(TyperGroup):
    """A group whose own flags cost nothing where they are not given.

    typer 0.29 loads pydantic (0.2 s) to read a flag whose default is None, as that of `--help` is.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the group, flags with a default of False."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return params


def group(help: str, **options: Any) -> typer.Typer:  # noqa: A002 - typer's own name of it
    """Return an empty group of commands.

    Its help is plain text: to draw frames, typer loads a reader of Markdown (0.3 s).
    """
    return typer.Typer(cls=Group, help=help, no_args_is_help=True, rich_markup_mode=None, **options)
