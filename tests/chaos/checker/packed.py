"""Reads records that the product has packed, by the format that it promises; none of its code is used.

The dictionaries are part of the format. They are read from the product's source as the text they are.
"""

from __future__ import annotations

import ast
import json
import re
import zlib
from base64 import b85decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.chaos.checker.history import prompt_id

_STORE: Final = Path(__file__).parents[3] / "producer" / "store"
_STATUSES: Final = {"s": "succeeded", "f": "failed", "c": "cancelled", "e": "expired"}
#: What stands for a job's id, for its prompt's, and for the next digest.
_ID, _PROMPT, _DIGEST = "\x01", "\x02", "\x03"
_IN_A_BUCKET: Final = 100
_PIECE: Final = re.compile(r"p\d+")
#: Times, each written as ms since the one before; those that are also compared with the row above.
_TIMES: Final = (
    *("created_ms", "start_by_ms", "queued_ms", "started_ms", "at:preparing", "at:ahead"),
    *("at:rendering", "at:fetching", "at:storing", "ended_ms"),
)
_BY_ROW: Final = ("created_ms", "queued_ms")


def whole_record(job: str, fields: dict[str, str]) -> dict[str, str]:
    """Return a single job's record with all its fields, be it packed or not."""
    if "p0" not in fields:
        return fields
    pieces = sorted(
        (name for name in fields if _PIECE.fullmatch(name)), key=lambda name: int(name[1:])
    )
    text = "".join(fields[name] for name in pieces)
    unpacker = zlib.decompressobj(-15, zdict=_dictionary("packed_records.py") + job.encode())
    items = iter(json.loads(unpacker.decompress(b85decode(text[1:]))))
    kept = {name: value for name, value in fields.items() if name not in pieces}
    return {**dict(zip(items, items, strict=True)), **kept}


def packed_rows(batch: str, fields: dict[bytes, bytes]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each packed row of a batch: its job id and its record's fields.

    Raises:
        ValueError: a bucket is torn.
    """
    for name, data in fields.items():
        if not name.isdigit():
            continue
        again = json.loads(fields.get(name + b":again", b"{}"))
        for index, record in _bucket(data):
            row = int(name) * _IN_A_BUCKET + index + 1
            job = f"{batch[:-8]}{row:08x}"
            marks = {_ID: job, _PROMPT: prompt_id(job, int(record["attempt"]))}
            text = json.dumps(record)
            for mark, value in marks.items():
                text = text.replace(json.dumps(mark)[1:-1], value)
            told = json.loads(text)
            made = {"retried_as": again[str(row)]} if str(row) in again else {}
            yield job, {"batch": batch, **_fields(told), **made}


def _bucket(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    head, _, rest = data.partition(b"\n")
    if zlib.crc32(head + b"\n" + rest[4:]).to_bytes(4) != rest[:4]:
        raise ValueError(f"a bucket of ended rows is torn: {data[:80]!r}")
    unpacker = zlib.decompressobj(-15, zdict=_dictionary("ended_buckets.py"))
    columns = json.loads(unpacker.decompress(rest[4:]).decode("utf-8", "surrogatepass"))
    digests = re.findall(rb".{32}", unpacker.unused_data, re.DOTALL)[::-1]
    order = [index for index, letter in enumerate(head[1:].decode()) if letter != "-"]
    rows: list[dict[str, Any]] = [{} for _ in order]
    for path, leaf in columns["same"]:
        for row in rows:
            _put(row, path, leaf)
    for path, leaves in columns["differ"]:
        for row, leaf in zip(rows, leaves, strict=True):
            if leaf is not None:
                _put(row, path, _with_digests(leaf, digests))
    _add_times(rows)
    for index, row in zip(order, rows, strict=True):
        yield index, {"status": _STATUSES[chr(head[1 + index])], **row}


def _add_times(rows: list[dict[str, Any]]) -> None:
    above = dict.fromkeys(_BY_ROW, 0)
    for row in rows:
        before = 0
        for name in _TIMES:
            if not isinstance(row.get(name), int):
                continue
            before = row[name] + (above.get(name, before))
            row[name] = str(before)
            if name in above:
                above[name] = before


def _put(row: dict[str, Any], path: list[Any], leaf: Any) -> None:
    for part in path[:-1]:
        row = row.setdefault(part, {})
    row[path[-1]] = leaf[0] if isinstance(leaf, list) and leaf else leaf


def _with_digests(leaf: Any, digests: list[bytes]) -> Any:
    if not isinstance(leaf, str):
        return leaf
    return re.sub(_DIGEST, lambda _: digests.pop().hex(), leaf)


def _fields(record: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(_lists(value))
        for name, value in record.items()
    }


def _lists(value: Any) -> Any:
    """Make lists of what has indexes for names; JSON has made texts of these."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(found) for name, found in value.items()}
    return list(inner.values()) if inner and all(name.isdigit() for name in inner) else inner


@cache
def _dictionary(file: str) -> bytes:
    for node in ast.parse((_STORE / file).read_text("utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target).endswith("IN_COMMON"):
            found = ast.literal_eval(node.value) if node.value else ""
            return found if isinstance(found, bytes) else str(found).encode()
    raise LookupError(f"{file} has no dictionary")
