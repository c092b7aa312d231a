"""Ended rows of a batch as Redis keeps them: the records of up to a hundred of them as one value.

A value is `1`, a letter a row (`-`: it is not here), a line feed, the CRC-32 of the rest and of what
is before, a DEFLATE stream with a preset dictionary, and SHA-256 digests of 32 bytes, which cannot be
compressed. The stream holds JSON of the records by columns: what is alike in all rows stands once, a time is the milliseconds since the one
before, and one character stands for a job's own id, or for the next digest. Scripts read letters only.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import JobStatus
from producer.store.ended_leaves import (
    Leaves,
    Path,
    leaves_of,
    pack_times,
)

_VERSION: Final = b"1"
#: The letter of each status; `_endings.lua` has the same.
LETTERS: Final[Mapping[str, str]] = {
    JobStatus.SUCCEEDED: "s",
    JobStatus.FAILED: "f",
    JobStatus.CANCELLED: "c",
    JobStatus.EXPIRED: "e",
}
#: The status of each letter.
STATUSES: Final = {letter: str(status) for status, letter in LETTERS.items()}
#: The letter of a row that is not here.
ABSENT: Final = "-"

#: What stands for a job's id, its prompt's id, and the next digest.
ID, PROMPT, DIGEST = "\x01", "\x02", "\x03"
_MARKS: Final = re.compile("[\x01-\x03]")
_SHA256: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
DIGEST_BYTES: Final = 32
_CRC_BYTES: Final = 4

#: What buckets have in common, the commonest last. Never change it: packed rows need it.
IN_COMMON: Final = (
    b'[["error","advice"],[["error","message"],"[["error","cause"],"execution_error"],[["error","graph_node"],'
    b'[["attempt:1","error","message"],[["attempt:1","ended_at"],"2026-11-28T00:00:00.000000Z"],[["attempt:1","charged"],true],'
    b'[["progress","graph_nodes_done"],[["progress","max"],20.0],[["progress","value"],20.0],[["progress","graph_nodes"],'
    b'[["spec","inputs","34.image","source"],"inputs/[["spec","inputs","34.image","name"],".png[["spec","inputs","34.image","sha256"],'
    b'[["spec","metadata","[["result","values","[["result","notes",0],"[["charged"],"1"],[["free"],"1"],[["owner"],"'
    b'{"same":[[["v"],"1"],[["attempt"],"1"],[["queue"],"comfyfleet.pool.default.any"],[["priority"],"6"],'
    b'[["spec","tier"],"batch"],[["spec","pool"],"default"],[["spec","template"],"0123456789abcdef"],'
    b'[["spec","params","6.text"],"[["spec","run_within_s"],21600.0],[["start_by_ms"],2592000000],[["n"],"8"],'
    b'[["node"],"gpu-01"],[["prompt_id"],"\\u0002"],[["at:preparing"],0],'
    b'[["result","artifacts",0,"key"],"jobs/\\u0001/1/9-0.png"],[["result","artifacts",0,"graph_node"],"9"],'
    b'[["result","artifacts",0,"index"],0],[["result","artifacts",0,"kind"],"images"],[["result","artifacts",0,"type"],"output"],'
    b'[["result","artifacts",0,"name"],"\\u0001-1-9-ComfyUI_00001_.png"],[["result","artifacts",0,"subfolder"],"comfyfleet"],'
    b'[["result","artifacts",0,"media_type"],"image/png"],[["result","artifacts",0,"width"],1024],'
    b'[["result","artifacts",0,"height"],1024],[["result","values"],{}],[["cause"],""]],'
    b'"differ":[[["created_ms"],[17,0,0,0,0,0,0,0,0]],[["spec","params","3.seed"],[[["queued_ms"],[0,0,0,[["started_ms"],[[["at:preparing"],[0,0,0,0,'
    b'[["at:ahead"],[[["at:rendering"],[1,1,2,1,[["at:fetching"],[[["at:storing"],[[["ended_ms"],['
    b'[["result","artifacts",0,"bytes"],[[["result","artifacts",0,"sha256"],["\\u0003","\\u0003","\\u0003","\\u0003","\\u0003"]]]}'
)  # fmt: skip

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode

#: A path, and its leaf in each row: None where a row has no such path.
_Column = tuple[Path, list[Any]]
#: The ended rows of a bucket: each record's fields by the row's index there.
Records = Mapping[int, Mapping[str, str]]
#: Gives the job id of the row at an index.
IdOf = Callable[[int], JobId]


class TornBucket(ValueError):
    """A value that holds no ended rows, or holds them as only a newer version knows."""


def letters_of(data: bytes) -> str:
    """Return the letters of a bucket, one a row up to the last that is here.

    Raises:
        TornBucket: it has none.
    """
    head, found, _ = data.partition(b"\n")
    letters = head[1:].decode("latin-1")
    if not found or head[:1] != _VERSION or not set(letters) <= {ABSENT, *STATUSES}:
        raise TornBucket("it does not begin as ended rows of this version do")
    return letters


def statuses_of(data: bytes) -> dict[int, JobStatus]:
    """Return how the rows of a bucket ended, by their index, without unpacking them.

    Raises:
        TornBucket: it is not what was written.
    """
    letters = letters_of(data)
    try:
        packed_part(data)
    except ValueError as exc:
        raise TornBucket(f"what is packed is torn ({exc})") from exc
    return {
        index: JobStatus(STATUSES[letter])
        for index, letter in enumerate(letters)
        if letter != ABSENT
    }


def pack_ended(records: Records, id_of: IdOf) -> bytes:
    """Pack the records of ended rows; `batch` and `retried_as` are left out."""
    order = sorted(records)
    letters = [ABSENT] * (order[-1] + 1)
    rows = []
    for index in order:
        letters[index] = LETTERS[records[index]["status"]]
        rows.append(leaves_of(records[index]))
    pack_times(rows)
    columns = _columns([_marked(row, id_of(index)) for index, row in zip(order, rows, strict=True)])
    same = [[path, leaves[0]] for path, leaves in columns if _is_one(leaves)]
    differ, digests = _without_digests([found for found in columns if not _is_one(found[1])])
    text = _encode({"same": same, "differ": differ}).encode("utf-8", "surrogatepass")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=IN_COMMON)
    head = _VERSION + "".join(letters).encode() + b"\n"
    body = packer.compress(text) + packer.flush() + digests
    return head + _crc(head, body) + body


def _crc(head: bytes, body: bytes) -> bytes:
    return zlib.crc32(head + body).to_bytes(_CRC_BYTES)


def packed_part(data: bytes) -> bytes:
    """Return what is packed in a bucket, the stream and then digests.

    Raises:
        ValueError: its checksum is another.
    """
    head, newline, rest = data.partition(b"\n")
    crc, body = rest[:_CRC_BYTES], rest[_CRC_BYTES:]
    if crc != _crc(head + newline, body):
        raise ValueError("its checksum is another")
    return body


def _marked(leaves: Leaves, job_id: JobId) -> Leaves:
    prompt = _prompt_of(leaves, job_id)
    return {path: _mark(leaf, job_id, prompt) for path, leaf in leaves.items()}


def _mark(leaf: Any, job_id: str, prompt: str) -> Any:
    if isinstance(leaf, str):
        if _MARKS.search(leaf):
            return [leaf]  # a list of one is what stands in it
        return leaf.replace(job_id, ID).replace(prompt, PROMPT)
    return [leaf] if leaf is None else leaf


def _prompt_of(leaves: Leaves, job_id: JobId) -> str:
    return prompt_id(job_id, int(leaves[("attempt",)]))


def _columns(rows: Sequence[Leaves]) -> list[_Column]:
    columns: dict[Path, list[Any]] = {}
    for number, row in enumerate(rows):
        for path, leaf in row.items():
            columns.setdefault(path, [None] * len(rows))[number] = leaf
    return list(columns.items())


def _is_one(leaves: Sequence[Any]) -> bool:
    """Tell whether a leaf is the same in all rows; 1 is another one than True."""
    first = leaves[0]
    return first is not None and all(
        type(leaf) is type(first) and leaf == first for leaf in leaves[1:]
    )


def _without_digests(columns: Sequence[_Column]) -> tuple[list[_Column], bytes]:
    """Take the digests out that occur once; return the columns, and these in order."""
    texts = (leaf for _, leaves in columns for leaf in leaves if isinstance(leaf, str))
    count = Counter(digest for text in texts for digest in _SHA256.findall(text))
    taken = bytearray()

    def take(found: re.Match[str]) -> str:
        if count[found[0]] > 1:
            return found[0]
        taken.extend(bytes.fromhex(found[0]))
        return DIGEST

    return [
        (path, [_SHA256.sub(take, leaf) if isinstance(leaf, str) else leaf for leaf in leaves])
        for path, leaves in columns
    ], bytes(taken)
