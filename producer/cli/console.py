"""The two consoles of the command, which obey nothing that stands in a text.

Loaded when something is printed: `--help` does without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from producer.contract.text_cleaning import escaped

#: Columns of a pipe: what reads it wants each line whole.
_WIDE: Final = 10_000


class PlainConsole(Console):
    """Shows every text as it is: no markup in it, and no command to the terminal.

    Names, errors and metadata come from whoever hands in jobs, and from nodes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Give the segments of *renderable* with signs shown that are not to be printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped(text, keep="\n"), style, control)


#: For tables and tales.
OUT: Final = PlainConsole(width=None if sys.stdout.isatty() else _WIDE)
#: For progress, hints and errors.
ERR: Final = PlainConsole(stderr=True)
