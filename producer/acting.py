"""Who acts: said once by a door (a command, a request over HTTP), read where a change is written into the log of actions.

    with acting("kim", origin="shop-admin"):
        fleet.move("tier:batch", tier="idle")

It holds for the calls of the block, also for those that run in threads of an event loop's. So no door can forget to
say it with one call, and no call hands it on to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple


class Who(NamedTuple):
    """A person or a program, and from where it acts, as `cli@host` or an address; empty where nobody said.

    `is_stranger` says that it does not run the fleet: what it does may not push what others did out of the log.
    """

    actor: str = ""
    origin: str = ""
    is_stranger: bool = False


_who: Final[ContextVar[Who | None]] = ContextVar("who", default=None)


@contextmanager
def acting(actor: str, origin: str = "", *, is_stranger: bool = False) -> Iterator[None]:
    """Have the log of actions say who does what is called within the block; `is_stranger` as of `Who`."""
    before = _who.set(Who(actor, origin, is_stranger))
    try:
        yield
    finally:
        _who.reset(before)


def who_acts() -> Who:
    """Return who does what is called now."""
    return _who.get() or Who()
