"""A PNG as the companion writes it, by strips in several threads, against Pillow's own `save`, in turns."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops

from infra.companion_node.png_strips import save_png
from tests.bench.results import Case, Result

SIDES, ROUNDS, LEVEL = (1024, 2048), 9, 4
THREADS = min(4, os.cpu_count() or 1)
#: Of the wall that so many threads would take if nothing were lost.
MOST_OF_EVEN = 1.5
MOST_CPU, MOST_BYTES = 1.15, 1.02


def run() -> Result:
    """Measure pictures of both sides."""
    cases = []
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        for side in SIDES:
            cases += _cases(_picture(side), Path(folder, "x.png"), threads)
    return Result(name="encoding", unit="ms", cases=cases)


def _cases(picture: Image.Image, path: Path, threads: ThreadPoolExecutor) -> list[Case]:
    ours, pillow = [], []
    for _ in range(ROUNDS):
        pillow.append(_taken(partial(picture.save, path, compress_level=LEVEL)))
        pillow_bytes = path.stat().st_size
        ours.append(_taken(partial(save_png, picture, str(path), threads, compress_level=LEVEL)))
        ours_bytes = path.stat().st_size
    (wall, cpu), (pillow_wall, pillow_cpu) = _medians(ours), _medians(pillow)
    size = f"{picture.width} x {picture.height}"
    most = MOST_OF_EVEN / THREADS
    return [
        Case(
            name=f"{size} in {THREADS} threads",
            value=1000 * wall,
            floor=1000 * pillow_wall,
            plain=None,
            goal=f"<= {most:.2f} x Pillow's save",
            holds=wall <= most * pillow_wall,
        ),
        Case(
            name=f"{size}, CPU",
            value=1000 * cpu,
            floor=1000 * pillow_cpu,
            plain=None,
            goal=f"<= {MOST_CPU:g} x Pillow's save",
            holds=cpu <= MOST_CPU * pillow_cpu,
        ),
        Case(
            name=f"{size}, its file",
            unit="MB",
            value=ours_bytes / 1e6,
            floor=pillow_bytes / 1e6,
            plain=None,
            goal=f"<= {MOST_BYTES:g} x Pillow's",
            holds=ours_bytes <= MOST_BYTES * pillow_bytes,
        ),
    ]


def _taken(save: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.monotonic(), time.process_time()
    save()
    return time.monotonic() - wall, time.process_time() - cpu


def _medians(taken: list[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*taken, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _picture(side: int) -> Image.Image:
    """Return a picture as costly to encode as a rendered one: slow colours with a little noise."""
    chance, size = random.Random(side), (side, side)
    slow = Image.radial_gradient("L").resize(size)
    weak = [value >> 4 for value in range(256)]
    noise = (Image.frombytes("L", size, chance.randbytes(side * side)) for _ in range(3))
    return Image.merge("RGB", [ImageChops.add(slow, one.point(weak)) for one in noise])
