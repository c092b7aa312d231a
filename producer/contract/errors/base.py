"""The base of all errors, and how what a stranger wrote is quoted in them."""

from __future__ import annotations

from typing import Final

from producer.contract.text_cleaning import abridged, escaped

#: Characters of a refusal's message, which may quote the submission.
_LONGEST: Final = 400


class FleetError(Exception):
    """The base of all errors that this project raises on purpose.

    Args:
        message: what happened, in one sentence.
        advice: what to try next, if known.
    """

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


def tidied(text: str, *, longest: int = _LONGEST) -> str:
    """Return a message cut to *longest* characters, with unprintable characters escaped."""
    return escaped(abridged(text, most=longest))
