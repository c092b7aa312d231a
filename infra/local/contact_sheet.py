"""A contact sheet: small pictures in a grid, each with a line below it that says what it is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

_COLUMNS: Final = 4
_SIDE: Final = 320
_GAP: Final = 16
_TEXT: Final = 15
_LINES: Final = 2  #: Of text below a picture.

_PAPER: Final = "#16181d"
_INK: Final = "#e8eaf0"


class Labelled(NamedTuple):
    """A picture's file, and the lines of text below it; at most two are shown."""

    content: bytes
    lines: tuple[str, ...]


def write_sheet(pictures: Sequence[Labelled], title: str, path: Path) -> None:
    """Write *pictures* to *path* as one PNG, four in a row.

    Raises:
        OSError: it cannot be written, or one of them is no picture.
    """
    columns = min(_COLUMNS, len(pictures))
    small = [_small(picture.content) for picture in pictures]
    tall = max(picture.height for picture in small)
    cell = tall + 2 * _GAP + _LINES * (_TEXT + 5)
    rows = -(-len(pictures) // columns)
    size = (_GAP + columns * (_SIDE + _GAP), 3 * _GAP + _TEXT + rows * cell)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, fill=_INK, font=ImageFont.load_default(_TEXT + 5))
    for number, (picture, label) in enumerate(zip(small, pictures, strict=True)):
        x = _GAP + number % columns * (_SIDE + _GAP)
        y = 3 * _GAP + _TEXT + number // columns * cell
        sheet.paste(picture, (x + (_SIDE - picture.width) // 2, y))
        draw.multiline_text(
            (x, y + tall + _GAP // 2),
            "\n".join(label.lines[:_LINES]),
            fill=_INK,
            font=ImageFont.load_default(_TEXT),
        )
    sheet.save(path, "PNG")


def _small(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as picture:
        return ImageOps.contain(picture.convert("RGB"), (_SIDE, _SIDE))
