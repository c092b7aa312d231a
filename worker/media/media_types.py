"""Media types of files whose bytes do not tell their format.

What a browser would run or style a page with (HTML, SVG, XML, scripts, CSS) is not in the table,
so it is stored as plain bytes: artifacts are served from one's own domain.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

BINARY: Final = "application/octet-stream"

#: Formats that `formats.sniff` knows: a file of such a name whose bytes say nothing is damaged.
_RECOGNISED: Final = {
    ".png": "image/png",
    ".apng": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mka": "audio/x-matroska",
    ".avi": "video/x-msvideo",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".glb": "model/gltf-binary",
    ".latent": BINARY,
    ".safetensors": BINARY,
}

_OTHERS: Final = {
    ".bmp": "image/bmp",
    ".exr": "image/x-exr",
    ".hdr": "image/vnd.radiance",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".psd": "image/vnd.adobe.photoshop",
    ".aac": "audio/aac",
    ".aiff": "audio/aiff",
    ".mid": "audio/midi",
    ".gltf": "model/gltf+json",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".srt": "text/plain",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".zip": "application/zip",
}


def promised_by(name: str) -> str | None:
    """Return the media type a name promises if the bytes of such files always tell; or None."""
    return _RECOGNISED.get(_ending(name))


def is_text(name: str) -> bool:
    """Tell whether the name is that of a text, which may begin with anything."""
    known = _OTHERS.get(_ending(name), "")
    return known.startswith("text/") or known.endswith("json")


def guess(name: str, *, declared: str | None) -> str:
    """Return a safe media type for a file of no known format.

    Args:
        declared: what the node said (`Content-Type` of `GET /view`); it decides only where the
            name does not, and only among the types of the table.
    """
    if known := _OTHERS.get(_ending(name)):
        return known
    said = (declared or "").partition(";")[0].strip().lower()
    is_unnamed = not _ending(name)
    return said if is_unnamed and said in _OTHERS.values() else BINARY


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
