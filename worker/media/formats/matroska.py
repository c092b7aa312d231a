"""Matroska and WebM (RFC 9559): the elements of the segment."""

from __future__ import annotations

from typing import Final, NamedTuple

from worker.media.formats.walker import Damaged, Found, PartOfWalk, Pass, Read, Walk, beginning

SIGNATURE: Final = b"\x1a\x45\xdf\xa3"

_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_TRACKS: Final = 0x1654AE6B
_TRACK: Final = 0xAE
_VIDEO: Final = 0xE0
_WIDTH: Final = 0xB0
_HEIGHT: Final = 0xBA

#: Elements whose children are walked, as (parent, kind).
_LOOKED_INTO: Final = frozenset({(_SEGMENT, _TRACKS), (_TRACKS, _TRACK), (_TRACK, _VIDEO)})
_NUMBERS: Final = frozenset({_WIDTH, _HEIGHT})
_TELLING: Final = frozenset({_TRACKS, _CLUSTER, _VIDEO, *_NUMBERS})

_LONGEST_NUMBER: Final = 8
_MOST_HEAD_BYTES: Final = 1024


def walk_matroska() -> Walk:
    """Walk the elements of the segment; one of unknown length, a live stream, may end anywhere."""
    head = yield from _element()
    if head is None or head.body_bytes is None:
        raise Damaged("its head has no length")
    document = yield from beginning(
        min(head.body_bytes, _MOST_HEAD_BYTES), of=head.body_bytes, what="its head"
    )
    segment = yield from _element()
    if segment is None or segment.kind != _SEGMENT:
        raise Damaged("its segment is missing")
    seen: dict[int, int] = {}
    yield from _elements(segment.body_bytes, inside=_SEGMENT, seen=seen)
    if not seen.keys() >= {_TRACKS, _CLUSTER}:
        raise Damaged("it holds no frames")
    family = "webm" if b"webm" in document else "x-matroska"
    if _VIDEO not in seen:
        return Found(f"audio/{family}")
    return Found(f"video/{family}", seen.get(_WIDTH), seen.get(_HEIGHT))


class _Element(NamedTuple):
    kind: int
    head_bytes: int
    body_bytes: int | None  #: None: not known.


def _elements(left: int | None, *, inside: int, seen: dict[int, int]) -> PartOfWalk[None]:
    """Walk the elements in the next *left* bytes, or to the end of the file; record them in *seen*."""
    while left is None or left > 0:
        element = yield from _element(or_end=left is None)
        if element is None:
            return
        if left is not None:
            left -= element.head_bytes + (element.body_bytes or 0)
            if left < 0:
                raise Damaged("an element is longer than the one around it")
        if element.kind in _TELLING:
            seen.setdefault(element.kind, 0)
        if element.body_bytes is None:
            # A cluster of a live stream, of unknown length: its end is not recognisable.
            yield Pass(left, "its frames")
            return
        yield from _body(element.kind, element.body_bytes, inside=inside, seen=seen)


def _body(kind: int, length: int, *, inside: int, seen: dict[int, int]) -> PartOfWalk[None]:
    if (inside, kind) in _LOOKED_INTO:
        yield from _elements(length, inside=kind, seen=seen)
    elif kind in _NUMBERS and length <= _LONGEST_NUMBER:
        seen[kind] = int.from_bytes((yield Read(length, "a track's size")), "big")
    else:
        yield Pass(length, "its frames" if kind == _CLUSTER else "an element")


def _element(*, or_end: bool = False) -> PartOfWalk[_Element | None]:
    """Read an element's head: its kind and its length, each as long as its first byte says."""
    kind = yield from _variable(or_end=or_end)
    if not kind:
        return None
    written = yield from _variable()
    marker = 1 << 7 * len(written)
    length = int.from_bytes(written, "big") - marker
    is_known = length != marker - 1
    return _Element(
        kind=int.from_bytes(kind, "big"),
        head_bytes=len(kind) + len(written),
        body_bytes=length if is_known else None,
    )


def _variable(*, or_end: bool = False) -> PartOfWalk[bytes]:
    first = yield Read(1, "an element's head", or_end=or_end)
    if not first:
        return b""
    if first == b"\0":
        raise Damaged("what follows an element is no element")
    return first + (yield Read(8 - first[0].bit_length(), "an element's head"))
