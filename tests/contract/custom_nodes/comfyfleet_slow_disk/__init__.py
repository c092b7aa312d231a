"""Has each picture wait before it is written, as on a slow disk: as many seconds as the file `slow_disk` says.

The file lies beside `custom_nodes`, and may change at any time; without it nothing waits.
"""

from __future__ import annotations

import builtins
import functools
import pathlib
import threading
import time

NODE_CLASS_MAPPINGS: dict[str, type] = {}

_SAID = pathlib.Path(__file__).resolve().parents[2] / "slow_disk"
_LOOK_EVERY_S = 0.02
_PICTURES = (".png", ".webp")


def _wait() -> None:
    began = time.monotonic()
    while time.monotonic() - began < _said_s():
        time.sleep(_LOOK_EVERY_S)


def _said_s() -> float:
    try:
        return float(_SAID.read_text() or 0)
    except OSError:
        return 0.0


def _slow(opens):
    @functools.wraps(opens)
    def opening(file, mode="r", *args, **kwargs):
        is_picture = "w" in mode and str(file).endswith(_PICTURES)
        # Uploads are written by the thread that serves.
        if is_picture and threading.current_thread() is not threading.main_thread():
            _wait()
        return opens(file, mode, *args, **kwargs)

    return opening


# Not Pillow's `save`: the companion leaves whole pictures to one that is not Pillow's own.
builtins.open = _slow(builtins.open)
