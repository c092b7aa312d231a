"""Job progress on stderr: bars on a terminal, else a line for each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from producer.cli.escaping_console import ERR
from producer.client import Producer
from producer.contract.jobs import Job, JobEvent
from producer.contract.waits import succeeded


class Screen(Protocol):
    """Something that shows the events of jobs."""

    def show(self, event: JobEvent) -> None:
        """Show one event."""


@contextmanager
def screen() -> Iterator[Screen]:
    """Yield bars if stderr is a terminal, else lines."""
    if not ERR.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.fields[job]}", markup=False),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERR) as progress:
        yield _Bars(progress)


def watch(fleet: Producer, job_ids: Sequence[str], *, timeout: timedelta | None) -> None:
    """Show the events of jobs until all have ended or *timeout* is over."""
    with screen() as shown:
        for event in fleet.stream(*job_ids, timeout=timeout):
            shown.show(event)


def outcome(fleet: Producer, job_id: str, *, waited: timedelta | None) -> Job:
    """Return a watched job if it succeeded; errors as of `Producer.wait`.

    Args:
        waited: how long it was watched; None if until its end.
    """
    return fleet.wait(job_id) if waited is None else succeeded(fleet.get(job_id), waited)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: JobEvent) -> None:
        if event.job not in self._tasks:
            self._tasks[event.job] = self._progress.add_task(
                "", total=100, job=short(event.job), start=True
            )
        done = 100.0 if event.status.is_terminal else _percent(event)
        self._progress.update(self._tasks[event.job], description=_phrase(event), completed=done)


class _Lines:
    """Prints a line for each change of status or phase, and for each tenth of the progress."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, event: JobEvent) -> None:
        percent = _percent(event)
        said = (_phrase(event), -1 if percent is None else int(percent // 10))
        if self._said.get(event.job) == said:
            return
        self._said[event.job] = said
        part = "" if percent is None or event.status.is_terminal else f" {percent:.0f} %"
        ERR.print(f"{short(event.job)} {said[0]}{part}")


def short(job_id: str) -> str:
    """Return the last 8 characters of a job's id: ids of one time begin alike."""
    return "…" + job_id[-8:]


def all_artifacts(jobs: Sequence[Job]) -> Iterable[str]:
    """Yield a tab-separated line for each artifact: key, width x height in pixels, media type, bytes."""
    for job in jobs:
        for artifact in job.artifacts:
            pixels = f"{artifact.width}x{artifact.height}" if artifact.width else "-"
            yield f"{artifact.key}\t{pixels}\t{artifact.media_type}\t{artifact.bytes}"


def _percent(event: JobEvent) -> float | None:
    return event.progress.percent if event.progress else None


def _phrase(event: JobEvent) -> str:
    where = f" on {event.node}" if event.node and not event.status.is_terminal else ""
    what: str = event.phase if event.phase and not event.status.is_terminal else event.status
    if event.type == "progress":
        what = "rendering"
    if event.type == "requeued":
        return f"queued again after attempt {event.attempt - 1}{where}: {event.cause}"
    return f"{what}{where}"
