"""glTF 2.0 in its binary form, GLB: its chunks and total length."""

from __future__ import annotations

import struct
from typing import Final

from worker.media.formats.walker import Damaged, Found, Pass, Read, Walk, end_of_file

SIGNATURE: Final = b"glTF"

_HEAD_BYTES: Final = 12
_CHUNK_HEAD_BYTES: Final = 8


def walk_glb() -> Walk:
    """Walk the chunks; their lengths must add up to the total in the file header."""
    _, _, length = struct.unpack("<4sII", (yield Read(_HEAD_BYTES, "its head")))
    left = length - _HEAD_BYTES
    while left >= _CHUNK_HEAD_BYTES:
        body, _ = struct.unpack("<I4s", (yield Read(_CHUNK_HEAD_BYTES, "a chunk's head")))
        left -= _CHUNK_HEAD_BYTES + body
        yield Pass(body, "a chunk")
    if left:
        raise Damaged("its chunks do not add up to the length at its front")
    yield from end_of_file("the length at its front")
    return Found("model/gltf-binary")
