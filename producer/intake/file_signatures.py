"""File signatures: tells by a file's first bytes whether a graph node cannot load it.

LoadImage opens whatever Pillow opens (ComfyUI 0.3.64, 0.33.0), and some of these formats have no
signature; so only files of known other formats are refused.
"""

from __future__ import annotations

import re
from typing import Final

#: Bytes that `surely_no` needs.
HEAD_BYTES: Final = 512

_PAGE: Final = re.compile(
    rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|svg|script)\b", re.IGNORECASE
)
_JSON: Final = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]\s*[\"{\[\]}0-9]")
#: Pictures that are written as text: netpbm, XBM, XPM, PostScript, FITS.
_TEXT_PICTURES: Final = (b"P", b"#define", b"/*", b"%!PS", b"SIMPLE ", b"#?RADIANCE", b"#?RGBE")
_RIFF_HEAD: Final = 8
_STILL: Final = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"})
_OTHER_MAGIC: Final = (
    (b"PK\x03\x04", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"Rar!", "an archive"),
    (b"%PDF-", "a PDF"),
    (b"\x1aE\xdf\xa3", "a film"),
    (b"\x00\x00\x01\xba", "a film"),
    (b"FLV\x01", "a film"),
    (b"OggS", "sound"),
    (b"fLaC", "sound"),
    (b"ID3", "sound"),
    (b"\x7fELF", "a program"),
)
#: Pictures in which LoadAudio (0.3.64, 0.33.0) finds no sound; films may have some.
_NO_SOUND: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"GIF8")


def surely_no(input_: str, head: bytes) -> str:
    """Return what a file is if the input cannot load it, as `a web page, no picture`; else "".

    Args:
        input_: the input's name: `image` and `mask` load pictures, `audio` sound, `video` films.
        head: the first bytes of the file, up to `HEAD_BYTES`.
    """
    wanted = {"image": "picture", "mask": "picture", "audio": "sound", "video": "film"}.get(input_)
    if wanted is None:
        return ""
    what = _text(head)
    if not what and wanted == "picture":
        what = _no_picture(head)
    if not what and wanted == "sound":
        what = "a picture" if head.startswith(_NO_SOUND) or head[8:12] == b"WEBP" else ""
    return f"{what}, no {wanted}" if what else ""


def missing_bytes(input_: str, head: bytes, size: int) -> int:
    """Return how many bytes are missing from a truncated WEBP, by its header; 0 for other formats.

    LoadImage (0.3.64, 0.33.0) fails on a truncated WEBP, but loads a truncated PNG, JPEG, GIF, BMP or
    TIFF, filling in the rest.
    """
    if input_ not in {"image", "mask"} or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    lacks = _RIFF_HEAD + int.from_bytes(head[4:8], "little") - size
    return lacks if lacks > 1 else 0  # some writers count a pad byte that they leave out


def _text(head: bytes) -> str:
    if _PAGE.match(head):
        return "a web page"
    return "JSON" if _JSON.match(head) else ""


def _no_picture(head: bytes) -> str:
    if head[4:8] == b"ftyp" and head[8:12] not in _STILL:
        return "a film"
    if head[:4] == b"RIFF" and head[8:12] != b"WEBP":
        return "sound" if head[8:12] == b"WAVE" else "a film"
    for magic, what in _OTHER_MAGIC:
        if head.startswith(magic):
            return what
    is_text = not head.startswith(_TEXT_PICTURES) and _is_prose(head)
    return "text" if is_text else ""


def _is_prose(head: bytes) -> bool:
    """Tell whether *head* is printable UTF-8 text only, which a picture's first bytes are not."""
    try:
        text = head[:-4].decode() if len(head) == HEAD_BYTES else head.decode()
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and all(char.isprintable() or char.isspace() for char in text)
