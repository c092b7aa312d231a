"""What a prompt made, from its node into S3: fetched, hashed, checked, stored and committed.

The worker's own delivery, for jobs that a hand has claimed, from a stand-in node in a process of
its own into the embedded store. Floor: boto3's `upload_file` of the same files, which lie on this
disk already, to the same store, one after another.
"""

from __future__ import annotations

import io
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter
from redis import Redis

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.contract.config.settings import Settings
from producer.contract.jobs import Job, JobStatus
from producer.storage.object_store import ObjectStore
from tests import media_samples as samples
from tests import servers
from tests.bench.results import Case, Result, median
from tests.graphs import sleeping
from tests.integration.hand_led import HandLed, hold
from worker.attempt.delivery import Delivery
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.shutdown import Shutdown
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, Outcome, OutputFile
from worker.node.storage_breaker import StorageBreaker

GOAL_RATIO, GOAL_RSS_MIB = 0.7, 24.0
ROUNDS = 9

_PICTURES = 8
_PICTURE_SIZE = (1152, 1024)
_FILM_BYTES = 64 << 20
_NODE = "gpu-01"


def run() -> Result:
    """Deliver and upload the same files in turns."""
    with _rig() as rig:
        pictures, film = rig.make_pictures(), rig.make_film()
        for files in (pictures, [film]):  # the first ones load code and open connections
            rig.deliver(files)
            rig.upload(files)
        growth = max(rig.rss_growth_mib(files) for files in (pictures, [film]))
        many, single, large = (rig.in_turns(files) for files in (pictures, pictures[:1], [film]))
        return Result(
            name="storing",
            unit="MB/s",
            cases=[
                _case(f"{_PICTURES} pictures of {_mb(pictures[0]):.1f} MB", many),
                _case(f"one film of {_mb(film):.0f} MB", large, rss_growth_mib=growth),
                _case(f"one picture of {_mb(pictures[0]):.1f} MB", single, is_goal=False),
            ],
            figures={"rss_growth_mib": growth},
        )


@dataclass(frozen=True)
class _Turns:
    """MB/s, a figure a round."""

    delivered: Sequence[float]
    uploaded: Sequence[float]


def _case(
    name: str, turns: _Turns, *, is_goal: bool = True, rss_growth_mib: float | None = None
) -> Case:
    value, floor = median(turns.delivered), median(turns.uploaded)
    goal, holds = f">= {GOAL_RATIO:g} x floor", value >= GOAL_RATIO * floor
    if rss_growth_mib is not None:
        goal += f", at most {GOAL_RSS_MIB:g} MiB more memory"
        holds = holds and rss_growth_mib <= GOAL_RSS_MIB
    return Case(
        name=name,
        value=value,
        floor=floor,
        plain=None,
        goal=goal if is_goal else "none: shown",
        holds=holds or not is_goal,
    )


class _Rig:
    """A node's folder, a store, and what a worker has to bring files from one to the other."""

    def __init__(self, folder: Path, led: HandLed, delivery: Delivery, s3: Any) -> None:
        self._folder = folder
        self._led = led
        self._delivery = delivery
        self._s3 = s3
        self._keys = iter(range(1_000_000))

    def make_pictures(self) -> list[Path]:
        """Write pictures that pack as photographs do: to less than half of their pixels' bytes."""
        made = []
        for number in range(_PICTURES):
            noise = random.Random(number).randbytes(3 * _PICTURE_SIZE[0] * _PICTURE_SIZE[1])
            image = Image.frombytes("RGB", _PICTURE_SIZE, noise)
            content = io.BytesIO()
            image.filter(ImageFilter.GaussianBlur(1.9)).save(content, "PNG", compress_level=4)
            path = self._folder / f"picture_{number:05}_.png"
            path.write_bytes(content.getvalue())
            made.append(path)
        return made

    def make_film(self) -> Path:
        path = self._folder / "film_00001_.mp4"
        with path.open("wb") as file:
            file.write(samples.box(b"ftyp", b"isom", bytes(4), b"iso2"))
            file.write(
                samples.box(b"moov", samples.box(b"mvhd", bytes(100)), samples.track(64, 48))
            )
            file.write(b"\0\0\0\1mdat" + (16 + _FILM_BYTES).to_bytes(8, "big"))
            for number in range(_FILM_BYTES >> 20):
                file.write(random.Random(number).randbytes(1 << 20))
        return path

    def in_turns(self, files: list[Path]) -> _Turns:
        """Return the speed of each round."""
        delivered, uploaded = [], []
        for _ in range(ROUNDS):
            delivered.append(sum(map(_mb, files)) / self.deliver(files))
            uploaded.append(sum(map(_mb, files)) / self.upload(files))
        return _Turns(delivered, uploaded)

    def deliver(self, files: list[Path]) -> float:
        """Return the seconds that a job which made *files* takes from its render to its end."""
        job = self._led.running(node=_NODE)
        with tempfile.TemporaryDirectory(prefix="comfyfleet-spool-") as spool:
            began = time.perf_counter()
            self._delivery.deliver(
                job, sleeping(), _entry(job, files), Lease(hold(job)), Path(spool)
            )
            seconds = time.perf_counter() - began
        ended = self._led.fleet.get(job.id)
        assert ended.status is JobStatus.SUCCEEDED, ended
        assert [artifact.name for artifact in ended.artifacts] == [path.name for path in files]
        return seconds

    def upload(self, files: list[Path]) -> float:
        """Return the seconds that boto3 takes for the same."""
        began = time.perf_counter()
        for path in files:
            bucket = self._led.settings.s3_bucket
            self._s3.upload_file(str(path), bucket, f"floor/{next(self._keys)}/{path.name}")
        return time.perf_counter() - began

    def rss_growth_mib(self, files: list[Path]) -> float:
        """Return how much more memory this process had at the most while it delivered *files*."""
        before = _rss_now_mib()
        _forget_peak()
        self.deliver(files)
        return _rss_peak_mib() - before


def _entry(job: Job, files: list[Path]) -> HistoryEntry:
    return HistoryEntry(
        prompt_id=str(job.prompt_id),
        outcome=Outcome.SUCCEEDED,
        error=None,
        cached=frozenset(),
        duration_s=None,
        outputs=tuple(
            OutputFile("3", "images", number, path.name, "", "output")
            for number, path in enumerate(files)
        ),
        values={},
        left_out=(),
    )


@contextmanager
def _rig() -> Iterator[_Rig]:
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as temporary,
        servers.running_s3(Path(temporary, "s3")) as store,
        store.client() as s3,
        BackgroundSupervisor(Supervisor(_made(Path(temporary, "logs")))) as services,
    ):
        folder = Path(temporary)
        credentials = folder / "credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id = {store.access_key}\n"
            f"aws_secret_access_key = {store.secret_key}\n"
        )
        settings = Settings(
            redis_url=servers.start_redis(services, _made(folder / "redis")).url,
            s3_endpoint_url=store.endpoint_url,
            s3_bucket="bench",
            s3_addressing_style="path",
            s3_credentials_file=credentials,
        )
        s3.create_bucket(Bucket=settings.s3_bucket)
        node = servers.start_standin(services, folder / _NODE)
        with (
            Redis.from_url(settings.redis_url, decode_responses=True) as redis,
            ComfyUI(node.url, node=_NODE) as comfyui,
        ):
            led = HandLed(settings, redis)
            with led.fleet:
                yield _Rig(folder / _NODE / "output", led, _delivery(led, comfyui), s3)


def _delivery(led: HandLed, comfyui: ComfyUI) -> Delivery:
    objects = ObjectStore(led.settings)
    breaker = StorageBreaker(objects)
    return Delivery(
        node=_NODE,
        prefix=led.settings.s3_prefix,
        comfyui=comfyui,
        objects=objects,
        store=led.store,
        outages=Outages(breaker, Shutdown(_NODE), on_damage=lambda: None),
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def _rss_now_mib() -> float:
    return _status_mib("VmRSS")


def _rss_peak_mib() -> float:
    return _status_mib("VmHWM")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
