"""Where things lie in the bucket.

    {prefix}/jobs/{job}/{attempt}/{graph_node}-{index}{ext}   an artifact
    {prefix}/jobs/{job}/{attempt}/manifest.json               what the attempt made; written last
    {prefix}/inputs/{sha256}                                  a file that graphs read
    {prefix}/probes/...                                       what start-up and health checks write

The names that files had on their node are metadata, never a part of a key: ComfyUI hands the name
of a deleted file out again (0.3.64, its saving graph nodes count what is on disk).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from producer.contract.ids import JobId

#: Characters of an escaped graph node id. S3 services that keep keys as files allow 255 bytes a part.
_LONGEST_ID: Final = 160

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9._-]")
_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,10}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def artifact_key(
    prefix: str, *, job_id: JobId, attempt: int, graph_node: str, index: int, extension: str
) -> str:
    """Return the key of the file number *index* that a graph node made in this attempt.

    Args:
        graph_node: its id, any text; two ids never share a key.
        index: counted from 0, through all the output kinds of the graph node.
        extension: as `.png`; what is not a plain one is left out.
    """
    if index < 0:
        raise ValueError(f"artifacts count from 0, not {index}")
    ending = extension if _EXTENSION.fullmatch(extension) else ""
    name = f"{_escaped(graph_node)}-{index}{ending}"
    return f"{attempt_prefix(prefix, job_id=job_id, attempt=attempt)}{name}"


def manifest_key(prefix: str, *, job_id: JobId, attempt: int) -> str:
    """Return the key of the list of what the attempt made."""
    return f"{attempt_prefix(prefix, job_id=job_id, attempt=attempt)}manifest.json"


def attempt_prefix(prefix: str, *, job_id: JobId, attempt: int) -> str:
    """Return what the keys of an attempt begin with, the last `/` included."""
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    return f"{job_prefix(prefix, job_id=job_id)}{attempt}/"


def job_prefix(prefix: str, *, job_id: JobId) -> str:
    """Return what the keys of all attempts at a job begin with, the last `/` included."""
    return _under(prefix, f"jobs/{job_id}/")


def input_key(prefix: str, *, sha256: str) -> str:
    """Return the key of an input, which is named by its content."""
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no lower-case hexadecimal SHA-256")
    return _under(prefix, f"inputs/{sha256}")


def probe_key(prefix: str, *, name: str) -> str:
    """Return a key that only checks of the S3 service itself write to."""
    return _under(prefix, f"probes/{name}")


def promised_sha256(key: str) -> str | None:
    """Return the content hash that an input's key promises; None for other keys."""
    parts = key.split("/")
    is_input = parts[-2:-1] == ["inputs"] and _SHA256.fullmatch(parts[-1])
    return parts[-1] if is_input else None


def extension_of(name: str) -> str:
    """Return the ending of a file name as keys carry it: lower-case, or empty when it is odd."""
    ending = PurePosixPath(name).suffix.lower()
    return ending if _EXTENSION.fullmatch(ending) else ""


def split_s3_url(url: str) -> tuple[str, str]:
    """Return bucket and key of `s3://BUCKET/KEY`.

    Raises:
        ValueError: it is no such URL.
    """
    parts = urlsplit(url, allow_fragments=False)
    # A "?" is a legal character of a key.
    key = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if parts.scheme != "s3" or not parts.netloc or key in {"", "/"}:
        raise ValueError(f"{url!r} is not of the form s3://BUCKET/KEY")
    return parts.netloc, key.removeprefix("/")


def _under(prefix: str, rest: str) -> str:
    # Some S3 services refuse or hide keys with empty or dotted parts.
    if not prefix:
        return rest
    if any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise ValueError(f"the prefix {prefix!r} has an empty or dotted part")
    return f"{prefix}/{rest}"


def _escaped(graph_node: str) -> str:
    """Write an id with `A-Za-z0-9._-` alone: other bytes as `~2F`, what is too long as a hash.

    The sign is not `%`, which URLs would escape once more. `~~` opens the hash of a long id:
    no escaped byte looks like that, so a long id cannot meet a short one.
    """
    raw = graph_node.encode("utf-8", "surrogatepass")
    escaped = _UNSAFE.sub(lambda found: b"~%02X" % found[0][0], raw).decode()
    if len(escaped) <= _LONGEST_ID:
        return escaped
    return f"{escaped[: _LONGEST_ID - 66]}~~{hashlib.sha256(raw).hexdigest()}"
