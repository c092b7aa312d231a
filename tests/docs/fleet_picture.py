"""The picture of a whole fleet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.docs.svg import arrow, box, drawing, text

_ROWS: Final = (30, 100, 170)


def fleet() -> str:
    """Return the picture."""
    parts = [
        *_named(20, 62, 170, "web backends", "Python, asyncio"),
        *_named(20, 138, 170, "people", "comfyfleet submit"),
        box(290, 60, 170, 132),
        text(375, 88, "Redis"),
        text(375, 114, "records: the one truth", kind="said"),
        text(375, 138, "messages: wake a worker", kind="said"),
        text(375, 162, "events: what happened", kind="said"),
        *_named(530, 254, 360, "S3", "inputs, artifacts, a manifest for every job"),
        *_nodes(),
        arrow(190, 88, 288, 104),
        arrow(190, 164, 288, 148),
        text(240, 42, "record, then message", kind="said"),
        text(496, 42, "claim", kind="said"),
        text(718, 18, "prompt, progress, files", kind="said"),
        arrow(590, 222, 590, 252),
        text(604, 242, "artifacts, the manifest last", kind="said left"),
        text(440, 226, "progress, commit", kind="said"),
    ]
    return drawing(910, 322, "A fleet: producers, Redis, workers beside ComfyUI, S3", parts)


def _nodes() -> Iterator[str]:
    for number, y in enumerate(_ROWS):
        yield from _named(530, y, 120, "worker", f"gpu-0{number + 1}")
        yield from _named(750, y, 140, "ComfyUI", "one GPU", kind="warm")
        yield arrow(652, y + 26, 748, y + 26, both=True)
        yield arrow(462, 126 + (number - 1) * 28, 528, y + 26, both=True)


def _named(
    x: float, y: float, width: float, name: str, said: str, *, kind: str = "box"
) -> Iterator[str]:
    yield box(x, y, width, 52, kind=kind)
    yield text(x + width / 2, y + 22, name)
    yield text(x + width / 2, y + 40, said, kind="said")
