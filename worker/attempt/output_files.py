"""Fetches output files from the node: spooled to disk, hashed and checked on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from producer.contract.crashpoints import crashpoint
from worker.attempt.bounded_call import bounded_call
from worker.attempt.kept_outputs import KeptOutputs
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import OutputFile
from worker.errors import NodeTimeout, OutputDamaged, SpoolFault
from worker.media.embedded_prompts import EmbeddedPrompt, with_prompt
from worker.media.file_check import Damaged, FileCheck, FileFacts


@dataclass(frozen=True)
class Spooled:
    """An output file on this machine's disk, found to be whole."""

    output: OutputFile
    path: Path
    facts: FileFacts


def fetch_output(
    comfyui: ComfyUI,
    output: OutputFile,
    path: Path,
    *,
    node: str,
    prompt: EmbeddedPrompt,
    check: Callable[[], None],
) -> Spooled:
    """Copy one output file from its node into *path*.

    Args:
        prompt: the graph that stands in it then.
        check: called between any two chunks; what it raises ends the copy.

    Raises:
        OutputDamaged: it is not there, came short, or its bytes are not what such a file holds.
        SpoolFault: this machine's disk does not take it.
        NodeError: the node does not answer.
    """
    try:
        with comfyui.view(output) as download, path.open("wb") as spool:
            file = FileCheck(output.filename, download.media_type)
            for chunk in with_prompt(download.chunks, prompt):
                check()
                file.feed(chunk)
                spool.write(chunk)
        return Spooled(output, path, file.finish())
    except Damaged as exc:
        raise OutputDamaged(node, f"{output}: {exc}") from exc
    except OSError as exc:  # the client's own have been translated
        raise SpoolFault(node, f"its worker cannot spool {output}: {exc.strerror}") from exc


@dataclass(frozen=True, kw_only=True)
class OutputFetch:
    """Fetches the files of one prompt, each as often as it takes.

    Args:
        kept: says whether the node has come back with its files.
        prompt: the graph that stands in them then.
        grows_within_s: within so long another chunk of 256 KiB of a file must have come.
    """

    comfyui: ComfyUI
    outages: Outages
    kept: KeptOutputs
    lease: Lease
    node: str
    prompt: EmbeddedPrompt
    grows_within_s: float

    def spooled(self, output: OutputFile, path: Path, still_wanted: Callable[[], None]) -> Spooled:
        """Return the file, whole, in *path*.

        Args:
            still_wanted: raises once a sibling has failed.

        Raises:
            NodeError: it cannot be had whole.
            LeaseLost, JobCancelled, Stopping: the attempt is over.
        """

        def pause(seconds: float) -> None:
            self.outages.pause(seconds, self.lease)
            still_wanted()

        spooled = self.outages.until_fetched(
            lambda: self._once(output, path, still_wanted),
            self.lease,
            is_back=lambda error: self.kept.wait_until_back(error, output, pause=pause),
        )
        crashpoint("output.fetched")
        return spooled

    def _once(self, output: OutputFile, path: Path, still_wanted: Callable[[], None]) -> Spooled:
        path.unlink(missing_ok=True)
        growth = _Growth(path, output, node=self.node, within_s=self.grows_within_s)

        def check() -> None:
            self.lease.check()
            still_wanted()

        def check_growth() -> None:
            check()
            growth.check()

        return bounded_call(
            lambda: fetch_output(
                self.comfyui, output, path, node=self.node, prompt=self.prompt, check=check
            ),
            check=check_growth,
        )


class _Growth:
    """Whether a file that is fetched comes in at all: less than a chunk is as good as nothing."""

    def __init__(self, path: Path, output: OutputFile, *, node: str, within_s: float) -> None:
        self._within_s = within_s
        self._path = path
        self._output = output
        self._node = node
        self._bytes = 0
        self._since = time.monotonic()

    def check(self) -> None:
        """Return if more of it has come within the last minute."""
        size = self._path.stat().st_size if self._path.exists() else 0
        now = time.monotonic()
        if size > self._bytes:
            self._bytes, self._since = size, now
        elif now - self._since > self._within_s:
            raise NodeTimeout(
                self._node, f"{self._output} came to less than 256 KiB in {self._within_s:g} s"
            )
