"""Conversion of pictures, by Pillow in a process of its own: it may take long, much memory, or crash.

    python -m worker.media.conversion JOB      JOB is JSON, as `Conversion.to_json` writes it

It prints what has come of it as JSON, in the form of `Converted`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from producer.own_modules import started

#: Pixels of a picture that is opened: Pillow's own limit against decompression bombs.
MOST_PIXELS: Final = 178_956_970
#: How long one picture may take, s.
WITHIN_S: Final = 120.0
#: Bytes of memory that the process may have: some copies of the largest picture.
_MOST_MEMORY: Final = 6 << 30
#: Pixels a side that a format can hold.
_LONGEST_SIDE: Final = {"webp": 16_383, "jpeg": 65_535, "png": (1 << 31) - 1}
#: What EXIF gives texts of a graph, as ComfyUI's SaveAnimatedWEBP (0.33.0): `prompt:{...}`, then the others downwards.
_EXIF_PROMPT: Final = 0x0110
#: Modes of pictures that a format holds as they are.
_MODES: Final = {
    "jpeg": {"L", "RGB"},
    "webp": {"RGB", "RGBA"},
    "png": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"},
}
_PILLOW: Final = "pip install 'comfyfleet[pictures]'"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One picture to be converted.

    Args:
        format: `webp`, `jpeg` or `png`.
        longest: pixels of the longer side at most; None: as it is.
        keeps_metadata: whether texts, EXIF and XMP are carried over.
    """

    source: str
    target: str
    format: str
    quality: int
    longest: int | None = None
    keeps_metadata: bool = False


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What has come of it.

    Args:
        is_animated: nothing was written: the picture moves.
        error: why nothing was written; empty if something was.
        lacks_pillow: this machine has no Pillow.
        note: what was lost.
    """

    is_animated: bool = False
    error: str = ""
    lacks_pillow: bool = False
    note: str = ""


def convert(job: Conversion, *, within_s: float = WITHIN_S) -> Converted:
    """Convert one picture, in a process that is ended if it takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            started("worker.media.conversion", json.dumps(asdict(job))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Converted(error=f"its conversion took longer than {within_s:g} s")
    try:
        return Converted(**json.loads(done.stdout))
    except (ValueError, TypeError):
        return Converted(
            error=f"its conversion ended with status {done.returncode}; is there memory left?"
        )


def _run(job: Conversion) -> Converted:
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415 - only this process needs it, and it may lack
    except ImportError:
        return Converted(lacks_pillow=True, error=f"this worker has no Pillow: {_PILLOW}")
    Image.MAX_IMAGE_PIXELS = None  # the limit here is the same, and no warning
    with Image.open(job.source) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            return Converted(
                error=f"it has {picture.width:,} × {picture.height:,} pixels; the limit is {MOST_PIXELS:,}"  # noqa: RUF001
            )
        if getattr(picture, "is_animated", False) and not job.longest:
            return Converted(is_animated=True)
        picture.load()
        kept = _metadata(picture, job.format) if job.keeps_metadata else {}
        if "icc_profile" in picture.info:
            kept["icc_profile"] = picture.info["icc_profile"]
        shown = picture if job.keeps_metadata else ImageOps.exif_transpose(picture)
        if job.longest:
            shown.thumbnail((job.longest, job.longest))
        if max(shown.size) > (most := _LONGEST_SIDE[job.format]):
            return Converted(
                error=f"a side has {max(shown.size):,} pixels; {job.format} takes {most:,}"
            )
        return _save(_fitting(shown, job.format), job, kept)


def _save(picture: Any, job: Conversion, kept: dict[str, Any]) -> Converted:
    options: dict[str, Any] = {} if job.format == "png" else {"quality": job.quality}
    note = ""
    try:
        picture.save(job.target, job.format.upper(), **options, **kept)
    except ValueError:
        if "exif" not in kept and "xmp" not in kept:
            raise
        # A segment of JPEG holds 64 KiB.
        note = f"its graph is longer than a {job.format} can hold, and was left out"
        kept = {name: value for name, value in kept.items() if name == "icc_profile"}
        picture.save(job.target, job.format.upper(), **options, **kept)
    return Converted(note=note)


def _fitting(picture: Any, format_: str) -> Any:
    """Return a picture in a mode that the format can hold; on white where it cannot be transparent."""
    from PIL import Image  # noqa: PLC0415

    if picture.mode.startswith("I;16") and format_ != "png":
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    if format_ == "jpeg" and has_alpha:
        whole = picture.convert("RGBA")
        ground = Image.new("RGBA", whole.size, "white")
        return Image.alpha_composite(ground, whole).convert("RGB")
    if picture.mode in _MODES[format_]:
        return picture
    return picture.convert("RGBA" if has_alpha else "RGB")


def _metadata(picture: Any, format_: str) -> dict[str, Any]:
    """Return what is carried over, as arguments of `save`."""
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    texts = {
        str(name): str(text)
        for name, text in getattr(picture, "text", {}).items()
        if name != "XML:com.adobe.xmp"
    }
    exif = picture.getexif()
    kept: dict[str, Any] = {}
    if format_ == "png":
        info = PngInfo()
        for name, text in texts.items():
            info.add_itxt(name, text) if not text.isascii() else info.add_text(name, text)
        kept["pnginfo"] = info
    else:
        number = _EXIF_PROMPT
        if "prompt" in texts:
            exif[number] = _in_ascii(f"prompt:{texts.pop('prompt')}")
        for name, text in texts.items():
            number -= 1
            exif[number] = _in_ascii(f"{name}:{text}")
        if xmp := picture.info.get("xmp"):
            kept["xmp"] = xmp
    if exif:
        kept["exif"] = exif
    return kept


def _in_ascii(text: str) -> str:
    """Return a text as EXIF holds it, other characters escaped as JSON does."""
    units = text.encode("utf-16-be", "surrogatepass")
    found = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(unit) if unit < 0x80 else f"\\u{unit:04x}" for unit in found)  # noqa: PLR2004 - ASCII


def _bound_itself() -> None:
    """Leave the render cycle its card and its processors, and the machine its memory."""
    try:
        import os  # noqa: PLC0415
        import resource  # noqa: PLC0415

        os.nice(10)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    except (ImportError, OSError, ValueError, AttributeError):  # not on Windows, or not allowed
        return


def main() -> None:
    """Convert what the command line says, and print what has come of it."""
    _bound_itself()
    job = Conversion(**json.loads(sys.argv[1]))
    try:
        outcome = _run(job)
    except MemoryError:
        outcome = Converted(error="its conversion needs more memory than it may have")
    except Exception as exc:  # noqa: BLE001 - whatever a file makes Pillow raise
        outcome = Converted(
            error=f"Pillow cannot convert it: {type(exc).__name__}: {str(exc)[:200]}"
        )
    if outcome.error or outcome.is_animated:
        Path(job.target).unlink(missing_ok=True)
    sys.stdout.write(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
