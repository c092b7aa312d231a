"""Packed records: an ended job's fields as one compressed text, which costs a third of the room.

Redis keeps a small hash, whose values have 64 bytes at most, as one list without pointers
(`hash-max-listpack-value`, Redis 7); so the text is cut into pieces of that length.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Mapping
from typing import Final

from producer.contract.ids import JobId
from producer.contract.json_texts import read_json

#: What scripts, and readers of one field, look at after a job's end; `retried_as` may come later.
KEPT_FIELDS: Final = (
    *("status", "owner", "cause", "ended_ms", "batch", "row", "retried_as"),
    *("hook", "told_ms"),
    *("deliver", "copies", "copied_ms"),
)
#: What nobody asks for once the job has ended.
_DROPPED: Final = frozenset({"claim", "worker", "shun", "deaths", "last_call", "taken_ms", "left"})

#: Field of the text's first piece, and of the others: `p0`, `p1`, ...
_PIECE: Final = "p"
#: The field that every packed record has, and no other.
PACKED_MARK: Final = f"{_PIECE}0"
_PIECE_LENGTH: Final = 64
#: Redis keeps no list of more than 128 entries (`hash-max-listpack-entries`); longer texts are one piece.
_MOST_PIECES: Final = 100
#: The text begins with the number of the dictionary that it needs.
_DICTIONARY: Final = "1"
#: What records have in common, the commonest last. Never change it: packed records need it.
_IN_COMMON: Final = (
    '["{\\"owner\\":\\"","key\\":\\"","retry_of\\":\\"","pin\\":\\"","metadata\\":{\\"","secrets\\":[\\"'
    '"extra_data\\":\\"","error","{\\"cause\\":\\"invalid_graph\\",\\"message\\":\\"'
    '\\",\\"graph_node\\":\\"","node\\":\\"gpu-","advice\\":null}","attempt:1","{\\"number\\":1,\\"node\\":\\"'
    '"charged\\":true,\\"error\\":{\\"ended_at\\":\\"2026-11-28T00:00:00.000000Z\\"}","idempotency","comfyfleet:idempotency:0::'
    '"free","1","charged","1","inputs\\":{\\".image\\":{\\"source\\":\\"inputs/\\",\\"name\\":\\".png\\",\\"sha256\\":\\"'
    '"progress","{\\"graph_node\\":\\"3\\",\\"value\\":20.0,\\"max\\":20.0,\\"graph_nodes_done\\":7,\\"graph_nodes\\":7}"'
    '"notes\\":[\\"","values\\":{\\"","video/mp4","audio/flac","text/plain","type\\":\\"temp\\"'
    '"v","2","priority","6","v","1","attempt","1","queue","comfyfleet.pool.default.any","priority","3"'
    '"spec","{\\"tier\\":\\"default\\",\\"pool\\":\\"default\\",\\"template\\":\\"0123456789abcdef\\",\\"params\\":{\\"3.seed\\":'
    '\\"6.text\\":\\"},\\"run_within_s\\":21600.0}","created_ms","17","queued_ms","17","start_by_ms","17","n","9"'
    '"started_ms","17","node","gpu-01","prompt_id","","at:preparing","17","at:ahead","17","at:rendering","17"'
    '"at:fetching","17","at:storing","17","result","{\\"artifacts\\":[{\\"key\\":\\"jobs/'
    '/1/9-0.png\\",\\"graph_node\\":\\"9\\",\\"index\\":0,\\"kind\\":\\"images\\",\\"type\\":\\"output\\",\\"name\\":\\"ComfyUI_00001_.png\\"'
    ',\\"subfolder\\":\\"\\",\\"media_type\\":\\"image/png\\",\\"bytes\\":1,\\"sha256\\":\\"'
    '\\",\\"width\\":1024,\\"height\\":1024}],\\"values\\":{}}"]'
)


def packed(job_id: JobId, record: Mapping[str, str]) -> dict[str, str]:
    """Return the record of an ended job in its packed form, fields in the order to be stored."""
    kept = {name: record[name] for name in KEPT_FIELDS if name in record}
    rest = [
        part
        for name, value in record.items()
        if name not in kept and name not in _DROPPED
        for part in (name, value)
    ]
    data = json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_dictionary(job_id))
    # Base 85: all other readers of Redis' answers expect text.
    text = _DICTIONARY + b85encode(packer.compress(data) + packer.flush()).decode()
    length = _PIECE_LENGTH if len(text) <= _MOST_PIECES * _PIECE_LENGTH else len(text)
    pieces = [text[at : at + length] for at in range(0, len(text), length)]
    return kept | {f"{_PIECE}{number}": piece for number, piece in enumerate(pieces)}


def is_packed(record: Mapping[str, str]) -> bool:
    """Tell whether a record is in its packed form."""
    return PACKED_MARK in record


def unpacked(job_id: JobId, record: Mapping[str, str]) -> Mapping[str, str]:
    """Return a record with all its fields, be it packed or not.

    Raises:
        ValueError: what is packed is torn, or of a newer version.
    """
    if not is_packed(record):
        return record
    pieces = sorted(
        (int(name[1:]), name) for name in record if name[:1] == _PIECE and name[1:].isdecimal()
    )
    text = "".join(record[name] for _, name in pieces)
    if text[:1] != _DICTIONARY:
        raise ValueError("the record is packed as only a newer version of comfyfleet knows")
    kept = {name: record[name] for name in KEPT_FIELDS if name in record}
    try:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS, zdict=_dictionary(job_id))
        items = iter(read_json(unpacker.decompress(b85decode(text[1:]))))
        return kept | dict(zip(items, items, strict=True))
    except (ValueError, TypeError, zlib.error) as exc:
        raise ValueError(f"the packed record is torn ({exc})") from exc


def _dictionary(job_id: JobId) -> bytes:
    # The id stands in each artifact's key.
    return f"{_IN_COMMON}{job_id}".encode()
