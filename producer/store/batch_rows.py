"""Batch rows as Redis stores them: a hundred at a time (a bucket), as zlib of one JSON list.

The list begins with the rows' places (one number if all have the same), then the rows: an object of
params, or `[params, inputs, metadata]` if there is more; null for one that was skipped or cancelled.
Packed alone, a row of three params takes 70 bytes; packed together, 20.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from producer.contract.batches import BUCKET_ROWS, PackedRow
from producer.contract.jobs import InputFile
from producer.contract.json_texts import read_json

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True)
class Bucket:
    """The next rows of a batch, packed.

    Args:
        number: from 0, without gaps.
        rows: the number of rows; in the last bucket of a batch fewer than in the others, or none.
        skipped: the number of these that were left out: they keep their numbers, and get no job.
        before, after: the digest of all rows before these, and with these.
    """

    number: int
    rows: int
    before: str
    after: str
    data: bytes = b""
    skipped: int = 0


def row_text(row: PackedRow | None) -> str:
    """Return a row's content as JSON; its place is not part of it."""
    if row is None:
        return "null"
    if not row.inputs and not row.metadata:
        return _encode(row.params)
    inputs = {address: file.model_dump(exclude_none=True) for address, file in row.inputs.items()}
    return _encode([row.params, inputs, row.metadata])


def row_identity(row: PackedRow | None) -> str:
    """Return the text by which rows are compared: their content, with files by hash, not by name."""
    if row is None or not row.inputs:
        return row_text(row)
    files = {address: file.sha256 or file.source for address, file in row.inputs.items()}
    return _encode([row.params, files, row.metadata])


def pack(texts: Sequence[str], places: Sequence[int]) -> bytes:
    """Return a bucket of rows' texts, each with its place."""
    is_one = len(set(places)) == 1
    return _packed(_encode(places[0] if is_one else places), texts)


def unpack(data: bytes) -> list[PackedRow | None]:
    """Return the rows of a bucket in order; None for one that was skipped or cancelled."""
    places, *rows = read_json(zlib.decompress(data))
    if isinstance(places, int):
        places = [places] * len(rows)
    return [_row(row, place) for row, place in zip(rows, places, strict=True)]


def without(data: bytes, index: int) -> bytes:
    """Return a bucket with null in place of the row at *index*."""
    places, *rows = read_json(zlib.decompress(data))
    rows[index] = None
    return _packed(_encode(places), map(_encode, rows))


def chain(before: str, texts: Sequence[str]) -> str:
    """Return the digest of all rows up to these; *before* is the digest of the rows before them."""
    return hashlib.sha256("\n".join((before, *texts)).encode()).hexdigest()[:32]


def bucket_of(row: int) -> tuple[int, int]:
    """Return the number of a row's bucket, and the row's index in it."""
    return divmod(row - 1, BUCKET_ROWS)


def _packed(places: str, texts: Any) -> bytes:
    return zlib.compress(f"[{','.join((places, *texts))}]".encode())


def _row(row: Any, place: int) -> PackedRow | None:
    if row is None:
        return None
    if isinstance(row, dict):
        return PackedRow(row, place=place)
    params, inputs, metadata = row
    files = {address: InputFile.model_validate(file) for address, file in inputs.items()}
    return PackedRow(params, files, metadata, place)
