"""FLAC frames (RFC 9639, section 9), found in a stream without decoding them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from worker.media.formats.walker import Damaged

#: The longest frame header: 4 bytes, a number of 7, two fields of 2 each, a checksum of 1.
_MOST_HEAD_BYTES: Final = 16
_LEAST_FRAME_BYTES: Final = 10
#: 65,535 samples of 8 channels with 4 bytes each, and room for headers.
_MOST_FRAME_BYTES: Final = (65_535 * 8 * 4) + 4096

#: Sync codes that are examined in any file, and bytes of the file for each further one. Sound has one
#: in 64 KiB that begins no frame; silence has ten frames of 14 bytes a second.
_LOOKS: Final = 100_000
_BYTES_A_LOOK: Final = 32

_SYNC: Final = 0xFF
#: The second byte of the sync code: frames with equal numbers of samples, or with varying ones.
_FIXED: Final = 0xF8
_VARIABLE: Final = 0xF9

#: Samples of a frame by their code; with codes 6 and 7 the number follows in one or two bytes.
_SAMPLES: Final = {
    1: 192,
    **{code: 576 << code - 2 for code in range(2, 6)},
    **{code: 256 << code - 8 for code in range(8, 16)},
}
_IN_ONE_BYTE: Final = 6
_IN_TWO_BYTES: Final = 7

#: Codes of sample rates that follow the number → their bytes.
_RATE_BYTES: Final = {12: 1, 13: 2, 14: 2}
_NO_RATE: Final = 15
_NO_SAMPLE_SIZE: Final = 3
_MOST_CHANNELS: Final = 10


class _Head(NamedTuple):
    number: int  #: Of the frame; where frames vary in length, of its first sample.
    samples: int
    kind: tuple[int, int, int]  #: Sync code, sample rate and sample size: the same in all frames.


class Frames:
    """Finds frame after frame in a stream, buffering no more than one of them.

    A frame's length is not in its header; it would have to be decoded. So the next frame is
    recognised by its header: sync code, checksum, and the expected number.
    """

    def __init__(self) -> None:
        self._held = bytearray()  #: The present frame, and the bytes after it.
        self._present: _Head | None = None
        self._samples_before = 0
        self._searched = 0
        self._seen = 0
        self._looked = 0

    def feed(self, piece: memoryview) -> None:
        """Search the next bytes for frames.

        Raises:
            Damaged: they hold no valid frames.
        """
        self._held += piece
        self._seen += len(piece)
        self._move_on(len(self._held) - _MOST_HEAD_BYTES)
        if len(self._held) - len(piece) > _MOST_FRAME_BYTES:
            raise Damaged("a frame is longer than a frame can be")

    def finish(self, *, samples: int) -> None:
        """Check the last frame's checksum, and the total number of *samples*; 0 if it is not known.

        Raises:
            Damaged: the last frame is truncated, or samples are missing.
        """
        self._move_on(len(self._held))
        if self._present is None:
            raise Damaged("it holds no sound")
        frame, written = memoryview(self._held)[:-2], self._held[-2:]
        if _checksum(frame, _CRC16, bits=16) != int.from_bytes(written, "big"):
            raise Damaged("its last frame is cut off or does not match its checksum")
        found = self._samples_before + self._present.samples
        if samples not in {0, found}:
            raise Damaged(f"it holds {found} of its {samples} samples")

    def _move_on(self, end: int) -> None:
        """Advance to the last frame that begins before *end*."""
        if self._present is None:
            if end <= 0:
                return
            self._present = _first_head(self._held)
            self._searched = _LEAST_FRAME_BYTES
        sync = bytes((_SYNC, self._present.kind[0]))
        while 0 <= (at := self._held.find(sync, self._searched)) < end:
            self._searched = at + 1
            self._looked += 1
            if self._looked > _LOOKS + self._seen // _BYTES_A_LOOK:
                raise Damaged(f"its first {self._seen:,} bytes look like {self._looked:,} frames")
            head = _head(self._held[at : at + _MOST_HEAD_BYTES])
            if head is not None and _follows(head, self._present):
                self._samples_before += self._present.samples
                self._present = head
                del self._held[:at]
                self._searched = _LEAST_FRAME_BYTES
                end -= at
        self._searched = max(self._searched, end)


def _first_head(data: bytearray) -> _Head:
    head = _head(data[:_MOST_HEAD_BYTES])
    if head is None or head.number:
        raise Damaged("its first frame does not begin where it should")
    return head


def _follows(head: _Head, present: _Head) -> bool:
    step = present.samples if present.kind[0] == _VARIABLE else 1
    return head.kind == present.kind and head.number == present.number + step


def _head(data: bytearray) -> _Head | None:
    """Parse the frame header at the beginning of *data*; None if there is none."""
    try:
        return _read_head(data)
    except IndexError:  # the header is longer than the data
        return None


def _read_head(data: bytearray) -> _Head | None:
    if data[0] != _SYNC or data[1] not in {_FIXED, _VARIABLE}:
        return None
    samples_code, rate = data[2] >> 4, data[2] & 15
    channels, sample_size, reserved = data[3] >> 4, data[3] >> 1 & 7, data[3] & 1
    if rate == _NO_RATE or sample_size == _NO_SAMPLE_SIZE or channels > _MOST_CHANNELS or reserved:
        return None
    number, at = _number(data)
    if samples_code in {_IN_ONE_BYTE, _IN_TWO_BYTES}:
        wide = samples_code - _IN_ONE_BYTE + 1
        samples = int.from_bytes(data[at : at + wide], "big") + 1
        at += wide
    else:
        samples = _SAMPLES.get(samples_code, 0)
    at += _RATE_BYTES.get(rate, 0)
    if not samples or data[at] != _checksum(data[:at], _CRC8, bits=8):
        return None
    return _Head(number, samples, (data[1], rate, sample_size))


def _number(data: bytearray) -> tuple[int, int]:
    """Return the number at byte 4, encoded as in UTF-8, and the offset of its end."""
    first = data[4]
    more = max(0, 7 - (first ^ 0xFF).bit_length())
    if not more:
        return first, 5
    number = first & 0x3F >> more
    for byte in data[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    return number, 5 + more


def _table(polynomial: int, *, bits: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1

    def entry(value: int) -> int:
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        return value

    return tuple(entry(byte << bits - 8) for byte in range(256))


_CRC8: Final = _table(0x07, bits=8)
_CRC16: Final = _table(0x8005, bits=16)


def _checksum(data: Iterable[int], table: tuple[int, ...], *, bits: int) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 ^ table[crc >> bits - 8 ^ byte]) & (1 << bits) - 1
    return crc
