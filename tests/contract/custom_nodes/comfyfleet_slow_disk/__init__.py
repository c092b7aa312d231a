"""Has each picture wait before it is written, as on a slow disk: as many seconds as the file `slow_disk` says.

The file lies beside `custom_nodes`, and may change at any time; without it nothing waits.
"""

from __future__ import annotations

import functools
import pathlib
import time

from PIL import Image

NODE_CLASS_MAPPINGS: dict[str, type] = {}

_SAID = pathlib.Path(__file__).resolve().parents[2] / "slow_disk"
_LOOK_EVERY_S = 0.02


def _wait() -> None:
    began = time.monotonic()
    while time.monotonic() - began < _said_s():
        time.sleep(_LOOK_EVERY_S)


def _said_s() -> float:
    try:
        return float(_SAID.read_text() or 0)
    except OSError:
        return 0.0


def _slow(save):
    @functools.wraps(save)
    def saving(self, *args, **kwargs):
        _wait()
        return save(self, *args, **kwargs)

    return saving


Image.Image.save = _slow(Image.Image.save)
