"""Input sources: checks and hashes the files and bytes that are to be stored as inputs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from producer.contract.errors import InvalidInput


def check_input(source: Path | bytes, *, most_bytes: int) -> None:
    """Check that *source* is a file, is not empty, and has no more than *most_bytes*.

    Raises:
        InvalidInput: it is none, empty, or larger.
    """
    if isinstance(source, Path) and not source.is_file():
        raise InvalidInput(f"{source} is no file")
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    name = source if isinstance(source, Path) else "the input"
    if size == 0:
        raise InvalidInput(f"{name} is empty")
    if size > most_bytes:
        raise InvalidInput(
            f"{name} has {size} bytes, more than the {most_bytes} allowed",
            advice="raise COMFYFLEET_MAX_INPUT_BYTES, and --max-upload-size of every ComfyUI",
        )


def sha256_of(source: Path | bytes) -> str:
    """Return the SHA-256 of *source*, hexadecimal."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
