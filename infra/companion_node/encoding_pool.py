"""The pool that encodes and writes pictures beside the thread that executes prompts.

A picture's name is given before its file is there, so it is known here until it is: written, or
failed. A file appears under its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .png_strips import save_png

#: Failures that are kept for whoever asks.
_MOST_FAILURES = 1000
#: Of nice values. A fifth of a core's share: with less, who waits for Python's lock would wait long for a
#: thread that holds it and gets no core.
_GIVES_WAY_BY = 7
#: So begin the names of files that are being written, beside those that they become.
PART_NAME = ".comfyfleet-part-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    prompt: Any
    size: int  #: Bytes of its pixels.


class EncodingPool:
    """Writes files in threads of its own; any number of threads may use it at once.

    Args:
        threads: files that are encoded at once, and strips of them.
        most_prompts: no more prompts' pictures wait in memory; then `put` blocks.
        most_bytes: of their pixels, likewise. One picture alone may have more.
    """

    def __init__(self, *, threads: int, most_prompts: int = 2, most_bytes: int = 1 << 30) -> None:
        self.threads = threads
        self._most_prompts = most_prompts
        self._most_bytes = most_bytes
        # Python waits for its threads when it ends, so an orderly end of ComfyUI loses no picture.
        self._threads = _threads(threads, "encoding")
        self._strips = _threads(threads, "strips") if threads > 1 else None
        self._changed = threading.Condition()
        self._waiting: dict[Path, _Waiting] = {}
        self._futures: dict[Path, Future[None]] = {}
        self._failures: OrderedDict[Path, tuple[str, str]] = OrderedDict()
        self._parts = itertools.count(1)
        self._written, self._failed = 0, 0
        self._encoded_s, self._blocked_s = 0.0, 0.0

    def put(
        self, path: Path | str, write: Callable[[str], object], *, prompt: Any, size: int
    ) -> None:
        """Have *write* called with the path of a file that becomes *path*, soon.

        Blocks while as many pictures wait as may, and while a file of the same name does.

        Args:
            prompt: whatever tells one prompt from another.
            size: bytes that it holds in memory until then.
        """
        path = located(path)
        began = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(path, prompt, size))
            self._blocked_s += time.monotonic() - began
            self._failures.pop(path, None)
            self._waiting[path] = _Waiting(prompt, size)
            try:
                # Under the lock, which the thread needs when it has written.
                self._futures[path] = self._threads.submit(self._write, path, write)
            except RuntimeError:  # ComfyUI ends
                del self._waiting[path]
                raise

    def save(self, image: Any, path: str, *args: Any, **options: Any) -> None:
        """Save a Pillow image at once, in as many threads as there are; it is Pillow's `save`."""
        saved_s = None
        if self._strips and not args:
            saved_s = _saved_by_strips(image, path, self._strips, options)
        if saved_s is None:
            image.save(path, *args, **options)
        else:
            with self._changed:
                self._encoded_s += saved_s  # so that it is what one thread would have taken

    def _has_room(self, path: Path, prompt: Any, size: int) -> bool:
        prompts = {waiting.prompt for waiting in self._waiting.values()}
        total = sum(waiting.size for waiting in self._waiting.values())
        return (
            path not in self._waiting
            and (prompt in prompts or len(prompts) < self._most_prompts)
            and (not prompts or total + size <= self._most_bytes)
        )

    def _write(self, path: Path, write: Callable[[str], object]) -> None:
        began = time.monotonic()
        # With its suffix, by which Pillow knows the format.
        part = path.with_name(f"{PART_NAME}{os.getpid()}-{next(self._parts)}{path.suffix}")
        failure = None
        try:
            _write_whole(path, part, write)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, nobody else hears of it
            failure = type(exc).__name__, str(exc).replace(str(part), str(path))
            _log.error("comfyfleet companion: %s was not written: %r", path, exc)
            with contextlib.suppress(OSError):
                part.unlink()
        with self._changed:
            self._encoded_s += time.monotonic() - began
            self._settle(path, failure)

    def _settle(self, path: Path, failure: tuple[str, str] | None) -> None:
        del self._waiting[path], self._futures[path]
        if failure is None:
            self._written += 1
        else:
            self._failed += 1
            self._failures[path] = failure
            while len(self._failures) > _MOST_FAILURES:
                self._failures.popitem(last=False)
        self._changed.notify_all()

    def future_of(self, path: Path | str) -> Future[None] | None:
        """Return what is done as soon as *path* is written or has failed; None if it waits not."""
        with self._changed:
            return self._futures.get(located(path))

    def drop(self, path: Path | str, within_s: float) -> bool:
        """Do not write *path* if that has not begun, else wait for it; tell if it was dropped."""
        path = located(path)
        with self._changed:
            future = self._futures.get(path)
            if future is not None and future.cancel():
                del self._waiting[path], self._futures[path]
                self._changed.notify_all()
                return True
        self.wait(path, within_s)
        return False

    def is_waiting(self, path: Path | str) -> bool:
        """Tell whether *path* was given and is still to be written."""
        with self._changed:
            return located(path) in self._waiting

    def wait(self, path: Path | str, within_s: float | None = None) -> bool:
        """Wait until *path* is written or has failed; tell if it has."""
        path = located(path)
        with self._changed:
            return self._changed.wait_for(lambda: path not in self._waiting, within_s)

    def failure_of(self, path: Path | str) -> tuple[str, str] | None:
        """Return class and message of what was raised when *path* was to be written."""
        with self._changed:
            return self._failures.get(located(path))

    def names(self) -> list[Path]:
        """Return the paths that were given and have no file: some may never have one."""
        with self._changed:
            return [*self._waiting, *self._failures]

    def close(self) -> None:
        """Give up what has not begun; what has goes on."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._strips:
            self._strips.shutdown(wait=False)

    def status(self) -> dict[str, Any]:
        """Return what it does and has done: counts of files, bytes, and seconds."""
        with self._changed:
            return {
                "threads": self.threads,
                "waiting": len(self._waiting),
                "waiting_bytes": sum(waiting.size for waiting in self._waiting.values()),
                "written": self._written,
                "failed": self._failed,
                "encoded_s": round(self._encoded_s, 3),
                "blocked_s": round(self._blocked_s, 3),
            }


def _threads(most: int, does: str) -> ThreadPoolExecutor:
    """Return threads that take a core after those that render, if there are too few: they may wait, a card may not."""
    name = f"comfyfleet-{does}"
    if sys.platform != "linux":  # the whole process would
        return ThreadPoolExecutor(most, name)
    # By what it is here: a thread inherits that of the one that starts it, which may be one of these.
    nice = os.getpriority(os.PRIO_PROCESS, 0) + _GIVES_WAY_BY
    return ThreadPoolExecutor(most, name, initializer=_give_way, initargs=(nice,))


def _give_way(nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _saved_by_strips(
    image: Any, path: str, threads: Executor, options: dict[str, Any]
) -> float | None:
    try:
        return save_png(image, path, threads, **options)
    except Exception as exc:  # noqa: BLE001 - what is wrong with the disk or the picture, Pillow tells
        _log.warning("comfyfleet companion: %s is encoded by one thread: %r", path, exc)
        return None


def _write_whole(path: Path, part: Path, write: Callable[[str], object]) -> None:
    for attempt in range(2):
        # A file that was delivered may have left with its folder, and may at any moment.
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(str(part))
            part.replace(path)
        except FileNotFoundError:
            if attempt or path.parent.exists():
                raise
        else:
            return


def located(path: Path | str) -> Path:
    """Return *path* as the pool knows it, whichever links lead to its folder."""
    path = Path(path)
    return path.parent.resolve() / path.name
