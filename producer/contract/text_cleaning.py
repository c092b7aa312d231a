"""Text cleaning: makes text from nodes, graphs and producers safe to store and to print.

JSON can hold lone surrogates (halves of characters), which UTF-8 cannot encode; terminals interpret
control characters.
"""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Tell whether *text* has no lone surrogate, so that it can be encoded as UTF-8."""
    # ASCII first: it is a flag of the string, and true for nearly all of them.
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def writable(text: str) -> str:
    """Return *text* with lone surrogates written as `\\ud800`, otherwise unchanged."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def escaped(text: str, *, keep: str = "") -> str:
    """Return *text* with unprintable characters escaped as in Python, as `\\x1b`.

    Args:
        keep: unprintable characters that are not escaped, as line ends.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )


def abridged(text: str, *, most: int) -> str:
    """Return *text*, or its beginning and end if it has more than *most* characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-half:]}"
