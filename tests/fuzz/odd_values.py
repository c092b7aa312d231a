"""Values that people and programs really hand in, and the ways in which a document can be off."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

LONG = "x" * 100_000
_BOMB = zlib.compress(bytes(99_000_000))


def deep(levels: int) -> Any:
    """Return a list nested so deep."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


#: JSON values, and some that JSON has not.
ODD: tuple[Callable[[], Any], ...] = (
    *(lambda value=value: value for value in (None, True, False, 0, -1, 1.5, "", " ", "0", "NaN")),
    *(lambda value=value: value for value in (10**30, 10**400, -0.0, 1e300, 2**63, -(2**64))),
    *(lambda value=value: value for value in (float("nan"), float("inf"), float("-inf"))),
    *(lambda value=value: value for value in ("\ud800", "a\x00b", "\x1b]0;x\x07", "[/]x", "é日🦊")),
    *(lambda value=value: value for value in ("../../etc/passwd", "C:\\x.png", "a\\b.png", "a/b")),
    *(lambda value=value: value for value in ("4", "4=5", "6.text", "x" * 300, "\u202etxt.png")),
    lambda: LONG,
    lambda: "iVBORw0KGgo" * 4_000,
    list,
    dict,
    lambda: [1, 2, 3],
    lambda: {"a": {"b": [None]}},
    lambda: {"__value__": ["1", 0]},
    lambda: {"__value__": deep(60)},
    lambda: ["1", 0],
    lambda: ["1", "0"],
    lambda: [1, 0],
    lambda: ["1", 7],
    lambda: ["1", -1],
    lambda: ["1", 0.0],
    lambda: ["1", 1e400],
    lambda: ["1", True],
    lambda: ["nowhere", 0],
    lambda: {"class_type": "SaveImage"},
    lambda: {"nodes": [], "links": []},
    lambda: deep(60),
    lambda: deep(300),
    lambda: deep(3_000),
)

NAMES = (
    *("1", "2", "9", "", "inputs", "class_type", "_meta", "is_changed", "prompt", "\ud800", "a.b"),
    *("a=b", "6.text", "\x00", "é" * 40, "x" * 600, "extra_data", "seed", "image", "titel"),
)


def odd(chance: Random) -> Any:
    """Return one odd value."""
    return chance.choice(ODD)()


def mutated(document: Any, chance: Random) -> Any:
    """Change one place of a document; it must be a copy of one's own."""
    place, key = chance.choice(_places(document) or [(None, None)])
    if place is None:
        return odd(chance)
    match chance.randrange(6):
        case 0 | 1 | 2:
            place[key] = odd(chance)
        case 3:
            del place[key]
        case 4 if isinstance(place, dict):
            place[chance.choice(NAMES)] = place.pop(key)
        case _ if isinstance(place, dict):
            place[chance.choice(NAMES)] = odd(chance)
        case _:
            place.append(odd(chance))
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    ahead = [document]
    while ahead:
        part = ahead.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        found += [(part, key) for key in keys]
        ahead += [
            part[key] for key in keys if isinstance(part[key], dict | list) and len(found) < 500
        ]
    return found


def written(document: Any, chance: Random) -> Any:
    """Return a document as it may be handed in: parsed, as text, as bytes, as a picture, damaged."""
    if chance.random() < 0.6:
        return document
    try:
        text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    except (RecursionError, ValueError, TypeError):
        return document
    data = text.encode("utf-8", "surrogatepass")
    at = chance.randrange(len(data) + 1)
    ways: tuple[Callable[[], bytes | str], ...] = (
        lambda: text,
        lambda: data,
        lambda: data,
        lambda: b"\xef\xbb\xbf" + data,
        lambda: text.encode("utf-16", "surrogatepass"),
        lambda: data[:at],
        lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
        lambda: data.replace(b'"', b'"1": 2, "', 1),
        lambda: _png(data, chance),
        lambda: _png(data, chance),
    )
    return chance.choice(ways)()


def _png(data: bytes, chance: Random) -> bytes:
    kind, body = chance.choice(
        (
            (b"tEXt", b"prompt\0" + data),
            (b"zTXt", b"prompt\0\0" + zlib.compress(data)),
            (b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(data)),
            (b"zTXt", b"prompt\0\0" + data[:50]),
            (b"zTXt", b"workflow\0\0" + _BOMB),
            (b"tEXt", b"workflow\0" + data),
            (b"tEXt", b"prompt"),
        )
    )
    chunk = struct.pack(">I", len(body)) + kind + body + bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunk[: chance.choice((len(chunk), len(chunk), 20))]
