"""Object keys: the layout of the bucket.

    {prefix}/jobs/{job}/{attempt}/{graph_node}-{index}{ext}   an artifact
    {prefix}/jobs/{job}/{attempt}/manifest.json               what the attempt made; written beside the last of it
    {prefix}/templates/{sha256}.json                          a graph, canonical JSON; there before a record names its manifest
    {prefix}/extra_data/{sha256}.json                         what goes beside graphs, without secrets; as a template
    {prefix}/inputs/{sha256}                                  a file that graphs read
    {prefix}/batches/{batch}/results-{n}.jsonl.gz             what each of a thousand rows has come to
    {prefix}/probes/...                                       what start-up and health checks write

The files' names at their node are metadata, never a part of a key: ComfyUI uses the name of a deleted
file again (0.3.64, its saving graph nodes count the files on disk).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from producer.contract.ids import BatchId, JobId
from producer.contract.key_parts import escaped_part

#: Characters of an escaped graph node id. S3 services that store keys as files allow 255 bytes a part.
_LONGEST_ID: Final = 160

#: The folders of the layout above.
_FOLDERS: Final = ("jobs", "templates", "extra_data", "inputs", "batches", "probes")

_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,10}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def artifact_key(
    prefix: str, *, job_id: JobId, attempt: int, graph_node: str, index: int, extension: str
) -> str:
    """Return the key of an artifact: file number *index* of a graph node in this attempt.

    Args:
        graph_node: its id, any text; different ids have different keys.
        index: from 0, counted over all output kinds of the graph node.
        extension: as `.png`; left out if it is not a dot and 1 to 10 lower-case letters or digits.

    Raises:
        ValueError: *index*, *attempt* or *prefix* is invalid.
    """
    if index < 0:
        raise ValueError(f"artifacts count from 0, not {index}")
    ending = extension if _EXTENSION.fullmatch(extension) else ""
    name = f"{escaped_part(graph_node, most=_LONGEST_ID)}-{index}{ending}"
    return f"{attempt_prefix(prefix, job_id=job_id, attempt=attempt)}{name}"


def manifest_key(prefix: str, *, job_id: JobId, attempt: int) -> str:
    """Return the key of the attempt's manifest."""
    return f"{attempt_prefix(prefix, job_id=job_id, attempt=attempt)}manifest.json"


def attempt_prefix(prefix: str, *, job_id: JobId, attempt: int) -> str:
    """Return the prefix of an attempt's keys, with a `/` at its end."""
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    return f"{job_prefix(prefix, job_id=job_id)}{attempt}/"


def job_prefix(prefix: str, *, job_id: JobId) -> str:
    """Return the prefix of the keys of all attempts at a job, with a `/` at its end."""
    return _under(prefix, f"jobs/{job_id}/")


def input_key(prefix: str, *, sha256: str) -> str:
    """Return the key of an input file, which is its content's hash."""
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no lower-case hexadecimal SHA-256")
    return _under(prefix, f"inputs/{sha256}")


def template_key(prefix: str, *, sha256: str) -> str:
    """Return the key of a template, which is named by the content of its graph."""
    return _under(prefix, f"templates/{sha256}.json")


def extra_data_key(prefix: str, *, sha256: str) -> str:
    """Return the key of what goes to nodes beside graphs, named by its content."""
    return _under(prefix, f"extra_data/{sha256}.json")


def results_key(prefix: str, *, batch: BatchId, number: int) -> str:
    """Return the key of the results of some rows of a batch.

    Args:
        number: of the thousand rows, from 1.
    """
    return f"{results_prefix(prefix, batch=batch)}results-{number}.jsonl.gz"


def results_prefix(prefix: str, *, batch: BatchId) -> str:
    """Return what the keys of a batch's results begin with, the last `/` included."""
    return _under(prefix, f"batches/{batch}/")


def probe_key(prefix: str, *, name: str) -> str:
    """Return a key for checks of the S3 service."""
    return _under(prefix, f"probes/{name}")


def is_own(prefix: str, begin: str) -> bool:
    """Tell whether a key that begins so is, or may be, one of this layout."""
    folders = (_under(prefix, f"{folder}/") for folder in _FOLDERS)
    return any(begin.startswith(folder) or folder.startswith(begin) for folder in folders)


def promised_sha256(key: str) -> str | None:
    """Return the content hash in an input's key; None for other keys."""
    parts = key.split("/")
    is_input = parts[-2:-1] == ["inputs"] and _SHA256.fullmatch(parts[-1])
    return parts[-1] if is_input else None


def extension_of(name: str) -> str:
    """Return a file name's suffix in lower case, as keys have it; "" if `artifact_key` leaves it out."""
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
