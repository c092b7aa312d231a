"""Fetches output files from the node: spooled to disk, hashed and checked on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.comfyui.client import ComfyUI
from worker.comfyui.history import OutputFile
from worker.errors import OutputDamaged, SpoolFault
from worker.media.file_check import Damaged, FileCheck, FileFacts


@dataclass(frozen=True)
class Spooled:
    """An output file on this machine's disk, found to be whole."""

    output: OutputFile
    path: Path
    facts: FileFacts


def fetch_output(
    comfyui: ComfyUI, output: OutputFile, path: Path, *, node: str, check: Callable[[], None]
) -> Spooled:
    """Copy one output file from its node into *path*.

    Args:
        check: called between any two chunks; what it raises ends the copy.

    Raises:
        OutputDamaged: it is not there, came short, or its bytes are not what such a file holds.
        SpoolFault: this machine's disk does not take it.
        NodeError: the node does not answer.
    """
    try:
        with comfyui.view(output) as download, path.open("wb") as spool:
            file = FileCheck(output.filename, download.media_type)
            for chunk in download.chunks:
                check()
                file.feed(chunk)
                spool.write(chunk)
        return Spooled(output, path, file.finish())
    except Damaged as exc:
        raise OutputDamaged(node, f"{output}: {exc}") from exc
    except OSError as exc:  # the client's own have been translated
        raise SpoolFault(node, f"its worker cannot spool {output}: {exc.strerror}") from exc
