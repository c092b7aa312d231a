"""What a node may say in the place of an answer, a file or an event of ComfyUI's."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.mutations import mutated

#: More than an answer to a small question may have, and an event.
_TOO_LONG = (16 << 20) + 1
_LONG_EVENT = (32 << 20) + 1
_PAGE = b"<!doctype html><html><title>Sign in</title>\x1b[2J</html>"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: what came, or what goes out in its place.

    Args:
        cut: how many bytes of the body never come, although they were announced.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0


def odd_answer(kind: str, answer: Answer, chance: Random) -> Answer:
    """Return *answer* made odd in the way that *kind* names."""
    return _ANSWERS[kind](answer, chance)


def kinds_for(endpoint: str) -> tuple[str, ...]:
    """Return in which ways an answer of *endpoint* may be odd, the likelier ones more than once."""
    if endpoint == "GET /view":
        return (*_FILES, *_WIRE)
    if endpoint == "HEAD /view":
        return ("status", "cut")
    refusals = ("refusal",) * 6 if endpoint == "POST /prompt" else ()
    return (*("json",) * 8, *refusals, *_BODIES, *_WIRE)


def odd_event(text: str, chance: Random) -> tuple[str, bytes, bool]:
    """Return the kind of an odd event made of one of ComfyUI's, what it says, and whether in text."""
    kind = chance.choice(("json",) * 6 + tuple(_EVENTS))
    if kind == "json":
        found = mutated(json.loads(text), chance)
        return kind, _written(found), True
    said, is_text = _EVENTS[kind](text, chance)
    return kind, said, is_text


def _written(found: Any) -> bytes:
    return json.dumps(found).encode()


def _as_json(answer: Answer, chance: Random) -> Answer:
    try:
        found = json.loads(answer.body)
    except ValueError:  # many a POST is answered with nothing
        found = {}
    return replace(answer, body=_written(mutated(found, chance)))


def _body(*choices: bytes) -> Callable[[Answer, Random], Answer]:
    return lambda answer, chance: replace(answer, body=chance.choice(choices))


def _deep(answer: Answer, chance: Random) -> Answer:
    depth = chance.choice((500, 5_000, 200_000))
    begin, end = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return replace(answer, body=begin * depth + b"1" + end * depth)


def _status(answer: Answer, chance: Random) -> Answer:
    status = chance.choice(
        (*_AWAY, 201, 204, 206, 301, 304, 400, 403, 404, 409, 418, 500, 505, 999)
    )
    body = b"" if status in {204, 304} else chance.choice((answer.body, b"", _PAGE, b"\xff\xfe"))
    return Answer(status, body, {"Location": "http://\x7f[/]:x"} if status == 301 else {})


#: What proxies say.
_AWAY = (401, 407, 408, 413, 429, 502, 503, 504, 522, 530)


def _packed(answer: Answer, chance: Random) -> Answer:
    """Say that it is packed: it is not, or breaks off, or unpacks without end."""
    broken = zlib.compress(answer.body)[:-2]
    body = chance.choice((answer.body, broken, zlib.compress(bytes(64 << 20))))
    return replace(answer, body=body, headers={"Content-Encoding": chance.choice(_PACKINGS)})


_PACKINGS = ("deflate", "gzip", "br", "what")


def _cut(answer: Answer, chance: Random) -> Answer:
    return replace(answer, cut=chance.choice((1, 100, 1 << 40)))


def _half(answer: Answer, chance: Random) -> Answer:
    return replace(answer, body=answer.body[: chance.randrange(len(answer.body) + 1)])


def _flipped(answer: Answer, chance: Random) -> Answer:
    body = bytearray(answer.body or b"{}")
    for _ in range(chance.randint(1, 20)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return replace(answer, body=bytes(body))


def _refusal(_: Answer, chance: Random) -> Answer:
    return Answer(400, _written(mutated(copy.deepcopy(_REFUSED), chance)))


#: As ComfyUI 0.33.0 refuses a graph.
_REFUSED = {
    "error": {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "",
        "extra_info": {},
    },
    "node_errors": {
        "2": {
            "class_type": "ComfyFleetSleep",
            "dependent_outputs": ["3"],
            "errors": [
                {
                    "type": "value_not_in_list",
                    "message": "Value not in list",
                    "details": "seconds: '0.03' not in []",
                    "extra_info": {
                        "input_name": "seconds",
                        "input_config": [[], {"tooltip": "x"}],
                        "received_value": "0.03",
                    },
                }
            ],
        }
    },
}

_BODIES: dict[str, Callable[[Answer, Random], Answer]] = {
    "no JSON": _body(b"", b" ", b"{", b"null null", b"\xff\xfe{\x00}\x00", b"\x00", b"OK", _PAGE),
    "other JSON": _body(b"null", b"[]", b"{}", b"0", b'"\\ud800"', b"true", b"[[{}]]", b"-1e999"),
    "not Unicode": _body(
        b'{"a": "\xff\xc0"}', '{"a": "é"}'.encode("latin-1"), b'\xef\xbb\xbf{"a":1}'
    ),
    "digits": _body(b'{"a": ' + b"9" * 5_000 + b"}", b'{"prompt_id": 1' + b"0" * 100_000 + b"}"),
    "deep": _deep,
    "half": _half,
    "long": _body(b'{"a": "' + b"x" * _TOO_LONG + b'"}', b"[" * _TOO_LONG),
}


def _head(answer: Answer, chance: Random) -> Answer:
    """Say things of the answer that are not so, or that nobody can read."""
    return replace(answer, headers=chance.choice(_HEADS))


_HEADS: tuple[dict[str, str], ...] = (
    *({"Content-Length": length} for length in ("9" * 5_000, "-1", "x", "", "0", "1e9", "1, 2")),
    *({"Transfer-Encoding": coding} for coding in ("chunked", "gzip, chunked", "what")),
    *({"Content-Type": kind} for kind in ("", "text/html", "\x1b[2J", "a" * 60_000, ";" * 1_000)),
    {f"X-{number}": "x" for number in range(150)},
    {"X": "x" * 70_000},
    {"X: \r\nY": "\0"},
)
_WIRE: dict[str, Callable[[Answer, Random], Answer]] = {
    "head": _head,
    "status": _status,
    "packed": _packed,
    "cut": _cut,
    "flipped": _flipped,
}


def _boxes(answer: Answer, chance: Random) -> Answer:
    head = struct.pack(">I4s4s", 12, b"ftyp", b"isom")
    return replace(
        answer, body=head + struct.pack(">I4s", 8, b"free") * chance.choice((10, 200_000))
    )


def _tensors(answer: Answer, chance: Random) -> Answer:
    end = chance.choice((b"Infinity", b"NaN", b"-5", b"1e400", b"9" * 5_000, b'"x"', b"{}"))
    listed = b'{"a": {"data_offsets": [0, ' + end + b"]}}"
    return replace(answer, body=len(listed).to_bytes(8, "little") + listed)


def _pixels(answer: Answer, chance: Random) -> Answer:
    """Claim a picture of any size."""
    size = struct.pack(
        ">II", chance.choice((0, 1, 1 << 31, (1 << 32) - 1)), chance.choice((0, 1 << 31))
    )
    chunk = b"IHDR" + size + b"\x08\x02\0\0\0"
    head = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    return replace(answer, body=head + answer.body[33:])


_FILES: dict[str, Callable[[Answer, Random], Answer]] = {
    "nothing": _body(b""),
    "page": _body(_PAGE, b"{}"),
    "zeros": lambda answer, _: replace(answer, body=bytes(len(answer.body))),
    "half": _half,
    "longer": lambda answer, _: replace(answer, body=answer.body + b"\0more"),
    "other format": _body(
        b"GIF89a" + bytes(20), b"RIFF\xff\xff\xff\xffWEBPVP8X", b"OggS", b"fLaC\xff"
    ),
    "boxes": _boxes,
    "tensors": _tensors,
    "pixels": _pixels,
}
_ANSWERS: dict[str, Callable[[Answer, Random], Answer]] = {
    "json": _as_json,
    **_BODIES,
    **_WIRE,
    **_FILES,
    "refusal": _refusal,
    "OK": _body(b"OK"),
}

_EVENTS: dict[str, Callable[[str, Random], tuple[bytes, bool]]] = {
    "no JSON": lambda _, chance: (chance.choice((b"", b"{", b"\xff\xfe", b"null", b"[1]")), True),
    "bytes": lambda _, chance: (chance.randbytes(chance.choice((0, 1, 4, 8, 200))), False),
    "preview": lambda text, chance: (
        struct.pack(">II", chance.randrange(9), 1) + text.encode(),
        False,
    ),
    "text in bytes": lambda text, _: (text.encode(), False),
    "deep": lambda *_: (b'{"type":"executed","data":' + b"[" * 100_000, True),
    "half": lambda text, chance: (text[: chance.randrange(len(text))].encode(), True),
    "twice": lambda text, _: ((text + text).encode(), True),
    "long": lambda text, _: (text[:-1].encode() + b" " * _LONG_EVENT + b"}", True),
}
