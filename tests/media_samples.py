"""Small whole files of every format that the worker checks: Pillow's, or built byte by byte.

Checksums are computed here bit by bit, as the formats define them, and not as the checks do.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

SIZE = (37, 23)


@dataclass(frozen=True)
class Sample:
    content: bytes
    media_type: str
    size: tuple[int | None, int | None] = (None, None)


def noise(mode: str, *, seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture that packs badly, so that its file is mostly pixels."""
    chance = random.Random(seed)
    if mode not in {"L", "LA", "RGB", "RGBA", "I;16"}:
        return noise("RGB", seed=seed, size=size).convert(mode)
    length = len(Image.new(mode, size).tobytes())
    return Image.frombytes(mode, size, chance.randbytes(length))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str, **options: object) -> bytes:
    first, *others = (noise("RGBA", seed=seed) for seed in range(3))
    return saved(first, kind, save_all=True, append_images=others, duration=40, **options)


# --- PNG


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, interlaced: bool = False
) -> bytes:
    """A PNG whose samples are all zero, in any depth and order."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
        passes += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = []
    for left, top, right, down in passes:
        columns = len(range(left, width, right))
        rows += [bytes(1 + (columns * bits + 7) // 8) for _ in range(top, height, down) if columns]
    packed = zlib.compress(b"".join(rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + palette
        + png_chunk(b"IDAT", packed[:7])
        + png_chunk(b"IDAT", packed[7:])
        + png_chunk(b"IEND", b"")
    )


# --- RIFF


def riff(form: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + form + body


def wav(*, samples: int = 200) -> bytes:
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    return riff(b"WAVE", (b"fmt ", layout), (b"data", bytes(range(samples))))


def avi() -> bytes:
    main_head = struct.pack("<14I", 40_000, 0, 0, 0, 5, 0, 1, 0, 64, 48, 0, 0, 0, 0)
    heads = b"hdrl" + b"avih" + struct.pack("<I", len(main_head)) + main_head
    return riff(b"AVI ", (b"LIST", heads), (b"LIST", b"movi" + bytes(100)), (b"idx1", bytes(16)))


# --- MP4


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def long_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def track(width: int, height: int) -> bytes:
    head = bytes(76) + struct.pack(">II", width << 16, height << 16)
    return box(b"trak", box(b"tkhd", head), box(b"mdia", bytes(20)))


def mp4(*, brand: bytes = b"isom", tracks: bytes = track(64, 48) + track(0, 0)) -> bytes:
    return (
        box(b"ftyp", brand, bytes(4), b"iso2")
        + box(b"moov", box(b"mvhd", bytes(100)), tracks)
        + box(b"free")
        + long_box(b"mdat", bytes(300))
    )


# --- Matroska


def element(kind: bytes, body: bytes, *, length_bytes: int = 2) -> bytes:
    length = len(body) | 1 << 7 * length_bytes
    return kind + length.to_bytes(length_bytes, "big") + body


def endless(kind: bytes, body: bytes) -> bytes:
    return kind + b"\x01" + b"\xff" * 7 + body


MATROSKA_HEAD = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm", length_bytes=1))
MATROSKA_TRACKS = element(
    b"\x16\x54\xae\x6b",
    element(
        b"\xae",
        element(b"\xe0", element(b"\xb0", b"\x01\x40") + element(b"\xba", b"\xf0")),
    ),
)
MATROSKA_CLUSTER = element(b"\x1f\x43\xb6\x75", bytes(200))


def webm() -> bytes:
    clusters = element(b"\xec", bytes(9)) + MATROSKA_TRACKS + MATROSKA_CLUSTER * 3
    return MATROSKA_HEAD + element(b"\x18\x53\x80\x67", clusters, length_bytes=8)


def live_webm() -> bytes:
    cluster = endless(b"\x1f\x43\xb6\x75", bytes(200))
    return MATROSKA_HEAD + endless(b"\x18\x53\x80\x67", MATROSKA_TRACKS + cluster)


# --- sound


def crc(data: bytes, polynomial: int, bits: int) -> int:
    """A checksum that starts at zero and takes each byte from its highest bit."""
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
    return value


def ogg_page(number: int, body: bytes, *, flags: int = 0, stream: int = 7) -> bytes:
    lengths = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = struct.pack("<4sBBqII", b"OggS", 0, flags, number, stream, number)
    tail = bytes([len(lengths)]) + lengths + body
    checksum = crc(head + bytes(4) + tail, 0x04C11DB7, 32)
    return head + struct.pack("<I", checksum) + tail


def ogg_pages(start: bytes = b"OpusHead", *, stream: int = 7) -> list[bytes]:
    chance = random.Random(stream)
    middle = [ogg_page(number, chance.randbytes(300), stream=stream) for number in (1, 2, 3)]
    first = ogg_page(0, start, flags=2, stream=stream)
    return [first, *middle, ogg_page(4, chance.randbytes(10), flags=4, stream=stream)]


FLAC_SAMPLES = 192


def flac_head(number: int) -> bytes:
    numbered = bytes([number]) if number < 0x80 else chr(number).encode()
    head = b"\xff\xf8" + bytes([0x19, 0x08]) + numbered
    return head + bytes([crc(head, 0x07, 8)])


def flac_frame(number: int, *, start: bytes = b"") -> bytes:
    """A frame of one channel of 16 bits, its samples written out as they are."""
    noise = random.Random(number).randbytes(2 * FLAC_SAMPLES)
    body = flac_head(number) + b"\x02" + start + noise[len(start) :]
    return body + struct.pack(">H", crc(body, 0x8005, 16))


def flac(frames: list[bytes], *, samples: int) -> bytes:
    shape = (44_100 << 44 | 0 << 41 | 15 << 36 | samples).to_bytes(8, "big")
    info = struct.pack(">HH", FLAC_SAMPLES, FLAC_SAMPLES) + bytes(6) + shape + bytes(16)
    comment = bytes(40)
    head = b"fLaC" + b"\x00" + len(info).to_bytes(3, "big") + info
    return head + b"\x84" + len(comment).to_bytes(3, "big") + comment + b"".join(frames)


MP3_HEAD = b"\xff\xfb\x90\x00"  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz
MP3_FRAME = MP3_HEAD + bytes(413)
ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)


def mp3(*, frames: int = 6, noted: int = 6) -> bytes:
    first = MP3_HEAD + bytes(32) + b"Info" + struct.pack(">II", 1, noted)
    return ID3 + first.ljust(len(MP3_FRAME), b"\0") + MP3_FRAME * frames


# --- models


def safetensors() -> bytes:
    tensors = {
        "__metadata__": {"prompt": "{}"},
        "a": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]},
        "b": {"dtype": "F32", "shape": [20], "data_offsets": [40, 120]},
    }
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes(120)


def glb() -> bytes:
    scene = b'{"asset":{"version":"2.0"}} '
    chunks = struct.pack("<I4s", len(scene), b"JSON") + scene
    chunks += struct.pack("<I4s", 64, b"BIN\0") + bytes(64)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def all_samples() -> dict[str, Sample]:
    """Every whole file, by a name that fits it."""
    rgb, rgba = noise("RGB"), noise("RGBA")
    pngs = {
        f"{mode.replace(';', '-')}.png": saved(noise(mode), "PNG")
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    }
    pngs["workflow.png"] = saved(rgb, "PNG", pnginfo=_comment())
    pngs["animated.png"] = animated("PNG")
    webps = {
        "lossy.webp": saved(rgb, "WEBP"),
        "lossless.webp": saved(rgba, "WEBP", lossless=True),
        "metadata.webp": saved(rgba, "WEBP", exif=b"Exif\0\0II*\0" + bytes(21)),
        "animated.webp": animated("WEBP"),
    }
    jpegs = {
        "baseline.jpg": saved(rgb, "JPEG", exif=b"Exif\0\0II*\0" + bytes(20)),
        "progressive.jpeg": saved(rgb, "JPEG", progressive=True),
        "restarts.jpg": saved(rgb, "JPEG", restart_marker_blocks=2),
        "grey.jpg": saved(noise("L"), "JPEG"),
    }
    gifs = {"one.gif": saved(noise("P"), "GIF"), "animated.gif": animated("GIF")}
    whole = {name: Sample(content, "image/png", SIZE) for name, content in pngs.items()}
    whole |= {name: Sample(content, "image/webp", SIZE) for name, content in webps.items()}
    whole |= {name: Sample(content, "image/jpeg", SIZE) for name, content in jpegs.items()}
    whole |= {name: Sample(content, "image/gif", SIZE) for name, content in gifs.items()}
    frames = [flac_frame(number) for number in range(4)]
    return whole | {
        "picture.avif": Sample(saved(rgb, "AVIF"), "image/avif", SIZE),
        "film.mp4": Sample(mp4(), "video/mp4", (64, 48)),
        "film.mov": Sample(mp4(brand=b"qt  "), "video/quicktime", (64, 48)),
        "sound.m4a": Sample(mp4(brand=b"M4A ", tracks=track(0, 0)), "audio/mp4"),
        "film.webm": Sample(webm(), "video/webm", (320, 240)),
        "film.avi": Sample(avi(), "video/x-msvideo", (64, 48)),
        "sound.wav": Sample(wav(), "audio/wav"),
        "odd.wav": Sample(wav(samples=201), "audio/wav"),
        "sound.opus": Sample(b"".join(ogg_pages()), "audio/ogg"),
        "film.ogg": Sample(b"".join(ogg_pages() + ogg_pages(b"\x80theora", stream=8)), "video/ogg"),
        "sound.flac": Sample(flac(frames, samples=4 * FLAC_SAMPLES), "audio/flac"),
        "sound.mp3": Sample(mp3(), "audio/mpeg"),
        "model.glb": Sample(glb(), "model/gltf-binary"),
        "noise.latent": Sample(safetensors(), "application/octet-stream"),
    }


def _comment():
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    info = PngInfo()
    info.add_text("workflow", json.dumps({"title": "京" * 50}), zip=True)
    return info
