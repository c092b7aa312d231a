"""API keys, read from a secret setting or from a file; a command line would show them to others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: Characters of a key at most; a longer file is not read to its end.
_LONGEST: Final = 4_096


def read_key(file: Path) -> str:
    """Return the key in *file*, without white space around it.

    Raises:
        ValueError: the file cannot be read or holds no key; the message never shows its content.
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
    """Return *text* without white space around it: 1 to 4,096 printable ASCII characters, no blank.

    Raises:
        ValueError: it is none; the message does not show it.
    """
    key = text.strip()
    if not key:
        raise ValueError("it is empty")
    if len(key) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST:,} characters")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("it has blanks or characters that no key has")
    return key
