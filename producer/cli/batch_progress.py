"""Batch progress on stderr: a bar on a terminal, else a line every 10 s."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from producer.cli.escaping_console import ERR
from producer.contract.batches import Batch

#: Between two lines where stderr is no terminal, s.
_LINE_EVERY_S: Final = 10.0


@contextmanager
def counting() -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of rows submitted so far; nothing where stderr is no terminal."""
    if not ERR.is_terminal:
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task("reading rows", total=None)
        yield lambda rows: progress.update(task, description=f"{rows:,} rows")


@contextmanager
def watching() -> Iterator[Callable[[Batch], None]]:
    """Yield a function that shows a batch's progress, for `wait_batch`'s `on_poll`."""
    if not ERR.is_terminal:
        yield _Lines().show
        return
    columns = (
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR) as progress:
        task = progress.add_task("")

        def show(batch: Batch) -> None:
            progress.update(
                task,
                total=batch.rows - batch.skipped,
                completed=batch.counts.ended,
                description=_phrase(batch),
            )

        yield show


class _Lines:
    def __init__(self) -> None:
        self._said = ""
        self._at = -_LINE_EVERY_S

    def show(self, batch: Batch) -> None:
        phrase = _phrase(batch)
        is_due = time.monotonic() - self._at >= _LINE_EVERY_S
        if phrase != self._said and (is_due or batch.done):
            self._said, self._at = phrase, time.monotonic()
            ERR.print(phrase)


def _phrase(batch: Batch) -> str:
    counts = batch.counts.model_dump()
    text = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    if not batch.held or batch.done:
        return text
    return f"{text} (braked: {batch.braked_why})" if batch.braked_at else f"{text} (held back)"
