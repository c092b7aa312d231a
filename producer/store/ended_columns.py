"""Ended rows as they are unpacked: by columns first, then as the record of each row."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import JobStatus
from producer.contract.json_texts import read_json
from producer.store.ended_buckets import (
    ABSENT,
    DIGEST,
    DIGEST_BYTES,
    ID,
    IN_COMMON,
    PROMPT,
    STATUSES,
    IdOf,
    TornBucket,
    letters_of,
    packed_part,
)
from producer.store.ended_leaves import TIMES, Leaves, Path, record_of, unpack_times


@dataclass(frozen=True)
class Columns:
    """A bucket as it was packed, digests and times apart; see `unmarked` for what leaves stand for.

    Args:
        rows: the index and the status of each row that is here; the lists below are in their order.
        same: the leaves that all rows have.
        differ: by path the leaf of each row; None where one has no such path.
        times: the times of each row, as its record has them.
    """

    rows: list[tuple[int, JobStatus]]
    same: dict[Path, Any]
    differ: dict[Path, list[Any]]
    times: list[Leaves]

    def record(self, number: int, job_id: JobId) -> dict[str, str]:
        """Return the record of a row, its status included."""
        leaves = self.same | {
            path: leaf
            for path, column in self.differ.items()
            if (leaf := column[number]) is not None
        }
        prompt = prompt_id(job_id, int(leaves[("attempt",)]))
        found = {path: unmarked(leaf, job_id, prompt) for path, leaf in leaves.items()}
        return {"status": str(self.rows[number][1]), **record_of(found | self.times[number])}


def unpack_ended(
    data: bytes, id_of: IdOf, *, wanted: Collection[int] | None = None
) -> dict[int, dict[str, str]]:
    """Return the records of ended rows by their index, their status included.

    Args:
        wanted: only those at these indexes; all by default.

    Raises:
        TornBucket: it makes no sense.
    """
    columns = columns_of(data)
    with told_as_torn():
        return {
            index: columns.record(number, id_of(index))
            for number, (index, _) in enumerate(columns.rows)
            if wanted is None or index in wanted
        }


def columns_of(data: bytes) -> Columns:
    """Unpack a bucket, without making records of it.

    Raises:
        TornBucket: it makes no sense.
    """
    letters = letters_of(data)
    rows = [
        (index, JobStatus(STATUSES[letter]))
        for index, letter in enumerate(letters)
        if letter != ABSENT
    ]
    with told_as_torn():
        same, differ = _unpacked(packed_part(data), len(rows))
        times = [
            {path: same[path] for path in TIMES if path in same}
            | {
                path: leaf
                for path in TIMES
                if path in differ and (leaf := differ[path][number]) is not None
            }
            for number in range(len(rows))
        ]
        unpack_times(times)
        for path in TIMES:
            same.pop(path, None)
            differ.pop(path, None)
        return Columns(rows, same, differ, times)


@contextmanager
def told_as_torn() -> Iterator[None]:
    """Raise TornBucket for what goes wrong while packed rows are read."""
    try:
        yield
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        RecursionError,
        zlib.error,
    ) as exc:
        raise TornBucket(f"what is packed is torn ({type(exc).__name__}: {exc})") from exc


def unmarked(leaf: Any, job_id: str, prompt: str) -> Any:
    """Return what a leaf stands for in the record of a job with this prompt."""
    if isinstance(leaf, str):
        return leaf.replace(ID, job_id).replace(PROMPT, prompt)
    return leaf[0] if isinstance(leaf, list) and leaf else leaf


def _unpacked(body: bytes, count: int) -> tuple[dict[Path, Any], dict[Path, list[Any]]]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS, zdict=IN_COMMON)
    text = unpacker.decompress(body) + unpacker.flush()
    digests = _digests(unpacker.unused_data)
    found = read_json(text.decode("utf-8", "surrogatepass"))
    same = {tuple(path): leaf for path, leaf in found["same"]}
    differ = {
        tuple(path): [_with_digests(leaf, digests) for leaf in leaves]
        for path, leaves in found["differ"]
    }
    if any(len(leaves) != count for leaves in differ.values()):
        raise ValueError("it has other rows than it says")
    return same, differ


def _digests(tail: bytes) -> Iterator[str]:
    for start in range(0, len(tail), DIGEST_BYTES):
        yield tail[start : start + DIGEST_BYTES].hex()


def _with_digests(leaf: Any, digests: Iterator[str]) -> Any:
    if not isinstance(leaf, str) or DIGEST not in leaf:
        return leaf
    first, *others = leaf.split(DIGEST)
    return first + "".join(_next(digests) + other for other in others)


def _next(digests: Iterator[str]) -> str:
    if (digest := next(digests, None)) is None:
        raise ValueError("a digest is missing")
    return digest
