"""Removes the part files of a ComfyUI that was killed while it wrote pictures: nobody finishes them.

Others may save in the same folders, so a file counts as left only if nobody has written to it for a while.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from .deletion import OURS, remove_empty
from .encoding_pool import PART_NAME

#: Whoever still writes a picture has written some of it within so long, s.
_WRITES_WITHIN_S = 60.0

_log = logging.getLogger(__name__)


def start_removing(top: Path) -> threading.Thread:
    """Remove what earlier ComfyUIs have left below *top*, in a thread: folders may be large, and far away."""
    thread = threading.Thread(
        target=_remove, args=(top,), name="comfyfleet-left-parts", daemon=True
    )
    thread.start()
    return thread


def _remove(top: Path) -> None:
    try:
        removed = remove_left(top, began=time.time())
    except Exception:  # noqa: BLE001 - a file more or less is not worth a thread's traceback on stderr
        _log.exception("comfyfleet companion: left part files stay below %s", top)
    else:
        if removed:
            _log.info("comfyfleet companion: %d left part files removed below %s", removed, top)


def remove_left(top: Path, *, began: float, pause: Callable[[float], object] = time.sleep) -> int:
    """Remove the part files below *top* that were written before *began* and are not written on.

    What was written a moment ago is looked at once more, after a pause.

    Args:
        began: Unix time of this ComfyUI's start: what is younger may be its own.

    Returns:
        How many were removed.
    """
    found = [path for path in _parts(top) if _age_s(path, began) > 0]
    old = [path for path in found if _is_left(path)]
    removed = sum(_removed(path, top) for path in old)
    if len(old) < len(found):
        pause(_WRITES_WITHIN_S)
        removed += sum(_removed(path, top) for path in {*found} - {*old} if _is_left(path))
    return removed


def _parts(folder: Path) -> Iterator[Path]:
    """Yield the part files in *folder* and below; links are not followed."""
    folders = [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.startswith(PART_NAME) and not entry.is_symlink():
                    yield Path(entry.path)


def _is_left(path: Path) -> bool:
    return _age_s(path, time.time()) >= _WRITES_WITHIN_S


def _age_s(path: Path, now: float) -> float:
    try:
        return now - path.lstat().st_mtime
    except OSError:  # it is finished by now
        return 0.0


def _removed(path: Path, top: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    ours = top / OURS
    if ours in path.parents:
        remove_empty(path.parent, ours)
    return True
