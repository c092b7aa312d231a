"""Text from outside, of nodes, graphs and whoever hands in jobs, made fit to be kept and shown.

All of the fleet cleans text here. Halves of characters (lone surrogates) come out of JSON, and no
UTF-8 carries them; control characters and the like would be commands to a terminal.
"""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Tell whether *text* has no half of a character, so that it can be sent and written."""
    # ASCII first: it is a flag of the string, and true for nearly all of them.
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def writable(text: str) -> str:
    """Return *text* with halves of characters shown as `\\ud800`; all else stays as it is."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def escaped(text: str, *, keep: str = "") -> str:
    """Return *text* with signs that are not to be printed as a program would write them: `\\x1b`.

    Args:
        keep: such signs that stay, as line ends.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )


def abridged(text: str, *, most: int) -> str:
    """Return *text*, or its begin and its end where it has more than *most* characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-half:]}"
