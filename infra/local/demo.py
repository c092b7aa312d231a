"""The demo: jobs through the public client, rendered, stored, and every artifact checked."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

import requests
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from infra.local.contact_sheet import Labelled, write_sheet
from infra.local.stack import LocalStack, Options
from producer.cli.job_progress import short, watch
from producer.cli.output import size
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.errors import FleetError
from producer.contract.jobs import Artifact, Job, JobStatus

JOBS: Final = 8

#: Steps of the stand-in's sampler take so long, that there is something to see.
_STEP_SECONDS: Final = "0.02"

_out = Console(soft_wrap=True, highlight=False)


def run_demo(options: Options, sheet: Path) -> bool:
    """Render JOBS jobs on a stack that lives as long as this call; tell whether all is well.

    The last line printed, when all of it has ended, is
    `demo: 8/8 jobs succeeded, N artifacts stored and verified`.

    Args:
        sheet: where a contact sheet of the jobs' pictures stays.
    """
    with tempfile.TemporaryDirectory(prefix="comfyfleet-demo-") as folder:
        own_nodes = bool(options.comfyui_urls)
        options = replace(
            options,
            state_dir=Path(folder),
            standin_arguments=("--step-seconds", _STEP_SECONDS),
        )
        with _told("starting Redis, S3, nodes and workers"), LocalStack(options) as stack:
            for what, where in stack.addresses.items():
                _out.print(f"  {what}: {where}")
            if stack.api_key:
                _out.print(f"  API key, while this runs: {stack.api_key}")
            with Producer(load_settings(**stack.settings)) as fleet:
                ended = _render(fleet, _model_free if own_nodes else _users_own)
                outcome = _judged(fleet, ended)
                _leave_sheet(fleet, ended, sheet)
    _out.print(str(outcome))
    return outcome.is_good


@dataclass(frozen=True)
class _Outcome:
    jobs: int
    succeeded: int
    artifacts: int
    verified: int

    @property
    def is_good(self) -> bool:
        return self.succeeded == self.jobs and self.verified == self.artifacts > 0

    def __str__(self) -> str:
        return (
            f"demo: {self.succeeded}/{self.jobs} jobs succeeded, "
            f"{self.verified} artifacts stored and verified"
        )


def _render(fleet: Producer, submit: Callable[[Producer, int], Job]) -> list[Job]:
    jobs = [submit(fleet, seed) for seed in range(1, JOBS + 1)]
    _out.print(f"submitted {len(jobs)} jobs")
    ids = [job.id for job in jobs]
    watch(fleet, ids, timeout=None)
    ended = [fleet.get(job_id) for job_id in ids]
    _out.print(_summary(ended))
    for job in ended:
        if job.error:
            _out.print(f"{job.id} {job.status}: {job.error.message}", markup=False)
    return ended


def _judged(fleet: Producer, ended: Sequence[Job]) -> _Outcome:
    return _Outcome(
        jobs=len(ended),
        succeeded=sum(job.status is JobStatus.SUCCEEDED for job in ended),
        artifacts=sum(len(job.artifacts) for job in ended),
        verified=sum(_verify(fleet, job) for job in ended),
    )


def _users_own(fleet: Producer, seed: int) -> Job:
    """Submit the sample that this project was asked to serve, with two pictures for it."""
    return fleet.submit(
        _sample("seed_prompt.json"),
        params={"KSampler.seed": seed, "6.text": f"Beijing at dusk, take {seed}"},
        inputs={"34.image": _picture("mask", "PNG"), "38.image": _picture("Beijing", "WEBP")},
        metadata={"demo": str(seed)},
    )


def _model_free(fleet: Producer, seed: int) -> Job:
    """Submit a graph that any ComfyUI can run: it loads no model."""
    return fleet.submit(
        _sample("model_free.json"),
        params={"EmptyImage.color": seed},
        inputs={"Picture.image": _picture(f"take {seed}", "PNG")},
        metadata={"demo": str(seed)},
    )


def _verify(fleet: Producer, job: Job) -> int:
    """Fetch each artifact as a stranger would, by its URL; return how many are as recorded."""
    return sum(_is_whole(_fetched(fleet.url(artifact)), artifact) for artifact in job.artifacts)


def _leave_sheet(fleet: Producer, jobs: Sequence[Job], path: Path) -> None:
    pictures = [
        Labelled(_fetched(fleet.url(artifact)), _label(job))
        for job in jobs
        for artifact in _largest_picture(job)
    ]
    if not pictures:
        return
    try:
        write_sheet(pictures, f"ComfyFleet: {len(pictures)} jobs", path)
    except OSError as exc:
        _out.print(f"no contact sheet: {path} cannot be written: {exc.strerror}", markup=False)
        return
    _out.print(f"their pictures on one sheet: {path.resolve()}", markup=False)


def _largest_picture(job: Job) -> list[Artifact]:
    still = [one for one in job.artifacts if one.type == "output" and one.width and one.height]
    return sorted(still, key=lambda one: (one.width or 0) * (one.height or 0))[-1:]


def _label(job: Job) -> tuple[str, str]:
    what = str(job.params.get("6.text") or f"take {job.metadata.get('demo', '')}")
    return what, f"{short(job.id)} on {job.node}, {job.timings.rendering or 0:.2f} s"


def _fetched(url: str) -> bytes:
    with requests.Session() as session:
        session.trust_env = False  # the S3 service is on this machine, whatever proxy is set
        response = session.get(url, timeout=30)
        response.raise_for_status()
        return response.content


def _is_whole(content: bytes, artifact: Artifact) -> bool:
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        _out.print(f"[red]{artifact.key} has other bytes than its record says[/]")
        return False
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        if picture.size != (artifact.width, artifact.height):
            _out.print(f"[red]{artifact.key} is {picture.size}, not as its record says[/]")
            return False
    return True


def _summary(jobs: Sequence[Job]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("job", "status", "node", "rendering", "storing", "artifacts", "bytes"):
        table.add_column(column)
    for job in jobs:
        table.add_row(
            short(job.id),
            job.status,
            job.node or "-",
            f"{job.timings.rendering or 0:.2f} s",
            f"{job.timings.storing or 0:.2f} s",
            str(len(job.artifacts)),
            size(sum(artifact.bytes for artifact in job.artifacts)),
        )
    return table


def _picture(text: str, form: str) -> bytes:
    picture = Image.new("RGB", (512, 384), "#336699")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((96, 32, 416, 352), fill="#cc9933")
    draw.text((200, 180), text, fill="white")
    content = io.BytesIO()
    picture.save(content, form)
    return content.getvalue()


def _sample(name: str) -> bytes:
    return resources.files("infra.samples").joinpath(name).read_bytes()


@contextmanager
def _told(what: str) -> Iterator[None]:
    _out.print(what)
    try:
        yield
    except FleetError:
        _out.print(f"[red]while {what}:[/]")
        raise
