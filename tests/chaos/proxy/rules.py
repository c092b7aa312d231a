"""What goes wrong, and where: the proxy's rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from tests.chaos.proxy.naming import ids_in


class Fault(StrEnum):
    """What may happen to a request or to its answer."""

    CUT = "cut"  #: The connection ends, as when a process ends.
    RESET = "reset"  #: The same with a RST, as when a host was restarted.
    DELAY = "delay"  #: It arrives `seconds` later.
    SWALLOW = "swallow"  #: It, and all behind it, stays on the way until the rule is lifted.
    LIMIT = "limit"  #: `size` bytes of it arrive, then the connection ends.
    FLIP = "flip"  #: One byte in the middle of the answer's body is another one.
    DROP = "drop"  #: The message never arrives, the connection stays: a deaf socket.
    ANSWER = "answer"  #: It never arrives; the proxy answers it with the HTTP `status`.


@dataclass(kw_only=True)
class Rule:
    """One fault for the requests that fit.

    Args:
        edge, request: shell patterns of names, as `worker-*.redis` and `EVALSHA claim`.
        about: ids of which the request must name one; none: any request.
        nth: the first one that suffers, counted from when the rule was made.
        times: how many suffer; 0 means all until it is lifted.
        after: strike when the request has been served, before its answer arrives.
    """

    edge: str
    request: str
    fault: Fault
    about: list[str] = field(default_factory=list)
    nth: int = 1
    times: int = 1
    after: bool = False
    seconds: float = 0
    size: int = 0
    status: int = 503
    seen: int = 0
    struck: int = 0

    @classmethod
    def of(cls, message: dict[str, Any]) -> Self:
        """Read what `as_message` wrote."""
        return cls(**{**message, "fault": Fault(message["fault"])})

    def as_message(self) -> dict[str, Any]:
        """Write it as JSON carries it."""
        return asdict(self)

    def strikes(self, edge: str, request: str, raw: bytes) -> bool:
        """Count the request if it is one of ours; tell whether it is to suffer."""
        if not (fnmatchcase(edge, self.edge) and fnmatchcase(request, self.request)):
            return False
        if self.about and not set(self.about).intersection(ids_in(raw)):
            return False
        self.seen += 1
        is_due = self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
        self.struck += is_due
        return is_due
