"""MP3 (ISO 11172-3, 13818-3): its frames, and the tags before and after them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from worker.media.formats.walker import Damaged, Found, PartOfWalk, Pass, Read, Walk

TAG: Final = b"ID3"

_SYNC: Final = 0x7FF
_LAYER_3: Final = 1
_MPEG_1: Final = 3
_RESERVED: Final = 1

#: Bit rates, kbit/s, by whether it is MPEG 1 and by the index in the frame header.
_BIT_RATES: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
#: Sample rates, Hz, by version (2.5, reserved, 2, 1) and index.
_SAMPLE_RATES: Final = (
    (11025, 12000, 8000),
    (),
    (22050, 24000, 16000),
    (44100, 48000, 32000),
)

#: Markers of the header in the first frame in which an encoder writes the number of frames; the
#: offset within which it is; the flag that the number is there.
_NOTES: Final = (b"Xing", b"Info")
_NOTE_WITHIN: Final = 48
_NOTES_FRAMES: Final = 1


class _Frame(NamedTuple):
    length: int
    kind: tuple[int, int]  #: Version and sample rate: the same in all frames.


def is_frame(head: bytes) -> bool:
    """Tell whether the first four bytes of *head* are a valid frame header."""
    return _frame(head) is not None


def walk_mp3() -> Walk:
    """Walk the frames; there must be as many as the first frame's header says, if it does."""
    head = yield from _after_tags()
    first = _frame(head)
    if first is None:
        raise Damaged("it holds no sound")
    noted = _noted_frames((yield Read(first.length - len(head), "its first frame")))
    frames = 0
    while head := (yield Read(4, "a frame's head", or_end=True)):
        frame = _frame(head)
        if frame is None:
            yield from _tag_behind(head)
            break
        if frame.kind != first.kind:
            raise Damaged("its frames do not fit together")
        yield Pass(frame.length - len(head), "a frame")
        frames += 1
    if frames < noted:
        raise Damaged(f"it holds {frames} of its {noted} frames")
    return Found("audio/mpeg")


def _after_tags() -> PartOfWalk[bytes]:
    """Skip ID3 tags and return the first four bytes after them."""
    head = yield Read(4, "its first frame")
    while head.startswith(TAG):
        rest = yield Read(6, "its tag")
        length = 0
        for byte in rest[2:]:  # seven bits each
            length = length << 7 | byte & 0x7F
        yield Pass(length, "its tag")
        head = yield Read(4, "its first frame")
    return head


def _tag_behind(head: bytes) -> PartOfWalk[None]:
    if head.startswith(b"TAG"):
        yield Read(128 - len(head), "its last tag")
    elif head == b"APET" or not any(head):
        yield Pass(None, "its last tag")
    else:
        raise Damaged("what follows a frame is no frame")


@lru_cache(maxsize=256)  # a file has thousands of headers, but few different ones
def _frame(head: bytes) -> _Frame | None:
    bits = int.from_bytes(head[:4], "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    rate, sample_rate, padding = bits >> 12 & 15, bits >> 10 & 3, bits >> 9 & 1
    rates = _BIT_RATES[version == _MPEG_1]
    # Rate 0 is "free format": the frame length would be unknown, and no encoder writes it.
    if bits >> 21 != _SYNC or layer != _LAYER_3 or not 0 < rate < len(rates):
        return None
    if version == _RESERVED or sample_rate >= len(_SAMPLE_RATES[version]):
        return None
    slots = 144_000 if version == _MPEG_1 else 72_000
    length = slots * rates[rate] // _SAMPLE_RATES[version][sample_rate] + padding
    return _Frame(length, (version, sample_rate))


def _noted_frames(frame: bytes) -> int:
    """Return the number of frames after this first one, as its Xing header says; 0 if it does not."""
    for name in _NOTES:
        at = frame.find(name, 0, _NOTE_WITHIN)
        if at >= 0 and frame[at + 7] & _NOTES_FRAMES:
            return int.from_bytes(frame[at + 8 : at + 12], "big")
    return 0
