"""Keys that are handed in as a secret text or in a file, and never on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: A key is one line; a file that is longer is another one.
_LONGEST: Final = 4_096


def read_key(file: Path) -> str:
    """Return the key in *file*, without the line's end.

    Raises:
        ValueError: it cannot be read, or holds no key; the message never shows what it holds.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST + 1)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "no file can have that name"
        raise ValueError(f"{file} cannot be read: {why}") from None
    try:
        return check_key(content.decode("ascii"))
    except ValueError as exc:
        said = "it is no plain text" if isinstance(exc, UnicodeDecodeError) else str(exc)
        raise ValueError(f"{file} holds no key: {said}") from None


def check_key(text: str) -> str:
    """Return *text* without blanks around it, if it can be a key.

    Raises:
        ValueError: it cannot; the message does not show it.
    """
    key = text.strip()
    if not key:
        raise ValueError("it is empty")
    if len(key) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST:,} characters")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("it has blanks or characters that no key has")
    return key
