"""What a stream is cut into, so that a fault can strike between two requests and not at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Some bytes of one direction of a connection, forwarded together.

    Args:
        opens: the name of the request, or of the server's own message, that begins here.
        answers: whether the last word on the oldest open request begins here (no `100 Continue`).
    """

    raw: bytes
    opens: str | None = None
    answers: bool = False


#: Takes what was read from the network and returns the pieces that are complete.
Splitter = Callable[[bytes], list[Piece]]


@dataclass(frozen=True)
class Speech:
    """One connection's two directions, each cut into pieces by the rules of its protocol."""

    requests: Splitter
    answers: Splitter
