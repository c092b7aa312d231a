"""A folder as a slower disk would have it: mounted over itself, with a bound on what is read a second (bindfs, over FUSE).

The page cache lies above the bound, as it lies above a disk, so what was read once is read at once. That is not so of
every file system in user space: rclone's forgets a file whenever it is opened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.polling import wait_until

_PROGRAM: Final = "bindfs"
#: A mount is there, or gone, within so long, s.
_PATIENCE_S: Final = 20


@contextmanager
def slow_disk(folder: Path, *, mb_s: float) -> Iterator[None]:
    """Have everybody on this machine read *folder* at *mb_s* MB/s at most, and write nothing there.

    Raises:
        SystemExit: it cannot be mounted here; the reason is told.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise SystemExit(
            f"a slow disk needs {_PROGRAM}, which is not on PATH: install it (and FUSE)"
        )
    with tempfile.TemporaryFile() as said:
        # In a session of its own: an interrupt must not end it while a server has its files mapped.
        mount = subprocess.Popen(
            [program, *_options(mb_s), str(folder), str(folder)],
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            wait_until(
                lambda: os.path.ismount(folder) or mount.poll() is not None,
                description=f"{folder} is mounted",
                within_s=_PATIENCE_S,
            )
            if mount.poll() is not None:
                said.seek(0)
                told = said.read().decode(errors="replace").strip()
                raise SystemExit(f"{_PROGRAM} does not mount {folder}: {told}")
            yield
        finally:
            _unmount(folder, mount)


def _options(mb_s: float) -> list[str]:
    options = ["-f", "-o", "ro,kernel_cache", f"--read-rate={int(mb_s * 1e6)}"]
    return options if os.geteuid() == 0 else [*options, "--no-allow-other"]


def _unmount(folder: Path, mount: subprocess.Popen[bytes]) -> None:
    """Have the folder be what it was; who still has a file of the mount open goes on with that."""
    tool = ["umount", "-l"] if os.geteuid() == 0 else [_fusermount(), "-uz"]
    if os.path.ismount(folder):
        subprocess.run([*tool, str(folder)], check=True)
    try:
        mount.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        print(
            f"process {mount.pid} still serves files of {folder} that somebody has open", flush=True
        )


def _fusermount() -> str:
    return shutil.which("fusermount3") or "fusermount"
