"""Job view: prints a job's record for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from producer.cli.escaping_console import OUT
from producer.cli.output import size
from producer.contract.deliver import Copy, CopyState
from producer.contract.graph.json_values import shown
from producer.contract.jobs import Artifact, Attempt, Job
from producer.contract.number_words import how_many


def show_job(job: Job, *, waits_for: str | None) -> None:
    """Print a job: status, error, attempts, times, request and artifacts.

    Args:
        waits_for: why it waits, in words; None if it does not.
    """
    table = Table.grid(padding=(0, 2))
    for name, value in (*_state(job, waits_for), *_story(job), *_request(job)):
        table.add_row(Text(name, "dim"), value)
    OUT.print(table)
    for artifact in job.artifacts:
        for line in _lines(artifact):
            OUT.print(line)
    for copy in job.copies:
        for line in _copy_lines(copy):
            OUT.print(line)


def _state(job: Job, waits_for: str | None) -> Iterator[tuple[str, str]]:
    yield "job", job.id
    yield "status", _status(job)
    if waits_for:
        yield "waits for", waits_for
    if job.error:
        yield "error", job.error.message
        if job.error.advice:
            yield "try", job.error.advice
    for note in job.notes:
        yield "note", note
    if job.node:
        yield "node", job.node


def _story(job: Job) -> Iterator[tuple[str, str]]:
    yield "attempt", f"{job.attempt} ({job.charged_attempts} charged, {job.free_attempts} free)"
    for attempt in job.attempts:
        yield f"  {attempt.number}", f"{attempt.error.cause}: {attempt.error.message}"
        yield "", _course(attempt)
    spent = job.timings.model_dump(exclude_none=True)
    yield "seconds", ", ".join(f"{phase} {seconds:.3f}" for phase, seconds in spent.items())
    yield "created", job.created_at.isoformat(timespec="milliseconds")
    if job.ended_at:
        yield "ended", job.ended_at.isoformat(timespec="milliseconds")


def _course(attempt: Attempt) -> str:
    """Tell where and when an attempt ran that failed, and what it has in common with others."""
    parts = [f"on {attempt.node}"] if attempt.node else []
    if attempt.started_ms is not None:
        took_s = attempt.ended_at.timestamp() - attempt.started_ms / 1000
        parts.append(f"for {max(0.0, took_s):.1f} s")
    if attempt.render_ms is not None:
        parts.append(f"rendered {attempt.render_ms / 1000:.1f} s")
    if attempt.fingerprint:
        parts.append(f"alike: {attempt.fingerprint}")
    return ", ".join(parts)


def _request(job: Job) -> Iterator[tuple[str, str]]:
    yield "tier, pool", f"{job.tier}, {job.pool}" + (f", pinned to {job.pin}" if job.pin else "")
    if job.retry_of:
        yield "retry of", job.retry_of
    if job.retried_as:
        yield "retried as", job.retried_as
    if job.batch:
        yield "batch", job.batch
    if job.shape:
        yield "shape", job.shape
    yield from _values(job)
    if job.deliver:
        yield "deliver", job.deliver.written()
    for name, file in job.inputs.items():
        yield f"input {name}", file.name
    if job.secrets:
        yield "secrets", ", ".join(job.secrets)
    for name, text in job.metadata.items():
        yield f"metadata {name}", text
    for graph_node, value in job.values.items():
        yield f"value of {graph_node}", str(value)


def _values(job: Job) -> Iterator[tuple[str, str]]:
    """Tell the params that were handed in, and what stood in the graph beside its template."""
    for what, values in (("set", job.params), ("in its graph", job.graph_values)):
        for name, value in values.items():
            yield f"{what} {name}", shown(value, most=300)


def _status(job: Job) -> str:
    if job.phase:
        done = job.progress.percent if job.progress else None
        part = "" if done is None else f", {done:.0f} %"
        asked = ", to be cancelled" if job.cancel_requested else ""
        return f"{job.status}: {job.phase}{part}{asked}"
    return f"{job.status} ({job.cause})" if job.cause else str(job.status)


def _copy_lines(copy: Copy) -> Iterator[Text]:
    what = "thumbnail" if copy.is_thumbnail else "copy"
    facts = f" {copy.media_type} {size(copy.bytes)}" if copy.bytes is not None else ""
    colour = {CopyState.DONE: "green", CopyState.FAILED: "red"}.get(copy.state, "")
    yield Text.assemble((f"s3://{copy.bucket}/{copy.key}", colour), facts)
    tried = (
        ""
        if copy.tries < 1 or copy.state is CopyState.DONE
        else f", tried {how_many(copy.tries, 'time')}"
    )
    yield Text(f"  {what} of artifact {copy.n}: {copy.state}{tried}", "dim")
    if copy.state is CopyState.WAITING and not copy.tries:
        yield Text("  a worker whose COMFYFLEET_DELIVER_BUCKETS lists the bucket makes it", "dim")
    for said in filter(None, (copy.error, copy.note)):
        yield Text(f"  {said}")


def _lines(artifact: Artifact) -> Iterator[Text]:
    pixels = f" {artifact.width}×{artifact.height}" if artifact.width else ""  # noqa: RUF001
    made = f"{artifact.type} of graph node {artifact.graph_node}, sha256 {artifact.sha256}"
    facts = f"{pixels} {artifact.media_type} {size(artifact.bytes)}"
    yield Text.assemble((artifact.key, "green"), facts)
    yield Text(f"  {made}", "dim")
    if artifact.url:
        yield Text(f"  {artifact.url}")
