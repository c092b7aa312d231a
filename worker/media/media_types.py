"""Media types by file name, for files whose format is not recognised by their bytes.

Types that a browser would execute or apply (HTML, SVG, XML, scripts, CSS) are left out and stored
as plain bytes: artifacts may be served from the operator's own domain.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

BINARY: Final = "application/octet-stream"

#: Suffixes of formats that `formats.sniff` recognises: a file of such a name with other bytes is damaged.
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
    """Return the media type for a suffix whose format is recognisable by its bytes; else None."""
    return _RECOGNISED.get(_ending(name))


def is_text(name: str) -> bool:
    """Tell whether the suffix is that of a text or JSON file, which has no signature."""
    known = _OTHERS.get(_ending(name), "")
    return known.startswith("text/") or known.endswith("json")


def guess(name: str, *, declared: str | None) -> str:
    """Return a safe media type for a file whose format is not recognised; `BINARY` if none is known.

    Args:
        declared: the node's `Content-Type` (`GET /view`); used only for a name without a suffix,
            and only if it is in the table.
    """
    if known := _OTHERS.get(_ending(name)):
        return known
    said = (declared or "").partition(";")[0].strip().lower()
    is_unnamed = not _ending(name)
    return said if is_unnamed and said in _OTHERS.values() else BINARY


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
