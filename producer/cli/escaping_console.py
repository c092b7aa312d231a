"""Escaping consoles for stdout and stderr: they print control characters and markup as plain text.

Imported only when something is printed: `rich` would slow down `--help`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from producer.contract.text_cleaning import escaped

#: Columns when stdout is no terminal, so that no line is wrapped.
_WIDE: Final = 10_000


class EscapingConsole(Console):
    """A rich console that interprets no markup and sends no control characters from texts.

    Names, errors and metadata come from producers and from nodes, and are not trusted.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of *renderable* with unprintable characters escaped."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped(text, keep="\n"), style, control)


#: Stdout: tables and other results.
OUT: Final = EscapingConsole(width=None if sys.stdout.isatty() else _WIDE)
#: Stderr: progress, hints and errors.
ERR: Final = EscapingConsole(stderr=True)
