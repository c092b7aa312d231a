"""MP3 (ISO 11172-3, 13818-3): its frames, between the tags before and after."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from worker.media.formats.walker import Damaged, Found, PartOfWalk, Pass, Read, Walk

TAG: Final = b"ID3"

_SYNC: Final = 0x7FF
_LAYER_3: Final = 1
_MPEG_1: Final = 3
_RESERVED: Final = 1

#: Kilobits a second, by whether it is MPEG 1 and by the index in the head.
_BIT_RATES: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
#: Samples a second by version (2.5, reserved, 2, 1) and index.
_SAMPLE_RATES: Final = (
    (11025, 12000, 8000),
    (),
    (22050, 24000, 16000),
    (44100, 48000, 32000),
)

#: In the first frame, where an encoder notes how many frames follow, and that it did so.
_NOTES: Final = (b"Xing", b"Info")
_NOTE_WITHIN: Final = 48
_NOTES_FRAMES: Final = 1


class _Frame(NamedTuple):
    length: int
    kind: tuple[int, int]  #: Version and sample rate, which stay the same.


def is_frame(head: bytes) -> bool:
    """Tell whether these four bytes may begin a frame."""
    return _frame(head) is not None


def walk_mp3() -> Walk:
    """Follow the frames from one to the next; there must be as many as the encoder noted."""
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
    """Let tags go by and return the first four bytes behind them."""
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


@lru_cache(maxsize=256)  # few differ in one file, and there are thousands
def _frame(head: bytes) -> _Frame | None:
    bits = int.from_bytes(head[:4], "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    rate, sample_rate, padding = bits >> 12 & 15, bits >> 10 & 3, bits >> 9 & 1
    rates = _BIT_RATES[version == _MPEG_1]
    # Rate 0 is "free": it does not tell how long frames are, and nobody writes it.
    if bits >> 21 != _SYNC or layer != _LAYER_3 or not 0 < rate < len(rates):
        return None
    if version == _RESERVED or sample_rate >= len(_SAMPLE_RATES[version]):
        return None
    slots = 144_000 if version == _MPEG_1 else 72_000
    length = slots * rates[rate] // _SAMPLE_RATES[version][sample_rate] + padding
    return _Frame(length, (version, sample_rate))


def _noted_frames(frame: bytes) -> int:
    """Return how many frames are to follow this first one; 0 if it does not say."""
    for name in _NOTES:
        at = frame.find(name, 0, _NOTE_WITHIN)
        if at >= 0 and frame[at + 7] & _NOTES_FRAMES:
            return int.from_bytes(frame[at + 8 : at + 12], "big")
    return 0
