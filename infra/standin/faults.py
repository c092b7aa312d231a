"""What a stand-in does wrong when it is told to: the rules, and who asks for them.

A rule names a place, what goes wrong there, and how often. Places and what may go wrong:

=====================  ==========================================================================
``on``                 ``do``
=====================  ==========================================================================
``GET /history``       *a request* of that method, path and all below it; ``* /*`` is any, and
                       ``GET /ws`` a websocket's handshake: ``answer``, ``hang``, ``close``,
                       ``vanish``, ``delay``, ``slow``, ``truncate``, ``miscount``, ``flip``,
                       ``empty``, ``html``, ``swap``
``ws``, ``ws executed``  *a message* on a websocket, any or of one type (a picture's is
                       ``preview``): ``drop``, ``swallow``
``accept``             *a valid prompt* about to be queued: ``forget``, ``foreign``
``prompt``             *a prompt* taken from the queue, nothing told yet: ``hang`` (the zombie),
                       ``forget``, ``exit``
``run KSampler``       *a graph node* of that class, or of any, about to run: ``hang``, ``raise``,
                       ``oom``, ``disk_full``, ``interrupt``, ``forget``, ``exit``
``step KSampler``      *a step* of it, as it reports progress: the same
``end``                *a prompt* that has ended and told so: ``lose``, ``late``, ``short``
=====================  ==========================================================================
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from infra.standin.journal import Journal


class Fault(StrEnum):
    """What goes wrong."""

    # Of a request; with ``handled`` it takes effect first and only its answer suffers.
    ANSWER = "answer"  #: ``status`` and ``body`` are the answer.
    HANG = "hang"  #: No answer for ``seconds`` (0: until cleared), then the connection ends.
    CLOSE = "close"  #: The connection ends without an answer.
    VANISH = "vanish"  #: The same, and every websocket's too, as when the process is gone.
    DELAY = "delay"  #: It arrives, or with ``handled`` is answered, ``seconds`` later.
    # Of an answer's body.
    SLOW = "slow"  #: It comes at ``bytes_per_s``.
    TRUNCATE = "truncate"  #: ``keep`` of it comes, in the ``form`` length, chunked or close.
    MISCOUNT = "miscount"  #: Content-Length is off by ``size``; what is lacking never comes.
    FLIP = "flip"  #: The bit in the middle is another one.
    EMPTY = "empty"  #: 200, and no byte of it.
    HTML = "html"  #: 200, and a page as a proxy in between shows it.
    SWAP = "swap"  #: Another picture of the same size, or other bytes where it is none.
    # Of a message on a websocket.
    DROP = "drop"  #: The connection ends in its place.
    SWALLOW = "swallow"  #: It is not sent, and nothing tells so.
    # Of a prompt.
    FORGET = "forget"  #: From here on it is in neither queue nor history.
    FOREIGN = "foreign"  #: Somebody else's prompt, ``seconds`` long, runs before it.
    RAISE = "raise"  #: The graph node raises RuntimeError with ``body``.
    OOM = "oom"  #: It raises for want of video memory.
    DISK_FULL = "disk_full"  #: It raises as if the disk were full.
    INTERRUPT = "interrupt"  #: Somebody interrupts the prompt.
    EXIT = "exit"  #: The process ends at once.
    LOSE = "lose"  #: It does not enter history.
    LATE = "late"  #: It enters history ``seconds`` after its last message.
    SHORT = "short"  #: Its history lacks the last output.


_OF_A_REQUEST = frozenset(
    {Fault.ANSWER, Fault.HANG, Fault.CLOSE, Fault.VANISH, Fault.DELAY, Fault.SLOW, Fault.TRUNCATE}
    | {Fault.MISCOUNT, Fault.FLIP, Fault.EMPTY, Fault.HTML, Fault.SWAP}
)
_OF_A_GRAPH_NODE = frozenset(
    {Fault.HANG, Fault.RAISE, Fault.OOM, Fault.DISK_FULL, Fault.INTERRUPT, Fault.FORGET}
    | {Fault.EXIT}
)
_POSSIBLE: Mapping[str, Collection[Fault]] = {
    "ws": {Fault.DROP, Fault.SWALLOW},
    "accept": {Fault.FORGET, Fault.FOREIGN},
    "prompt": {Fault.HANG, Fault.FORGET, Fault.EXIT},
    "run": _OF_A_GRAPH_NODE,
    "step": _OF_A_GRAPH_NODE,
    "end": {Fault.LOSE, Fault.LATE, Fault.SHORT},
}


class InvalidRule(ValueError):
    """A rule that cannot be; the message says why."""


@dataclass(kw_only=True, eq=False)
class FaultRule:
    """One thing that goes wrong in one place; what ``do`` does not use is without meaning.

    Args:
        on, do: as the module's table has them.
        count: how many times; 0 means until it is cleared.
        after: how many fitting ones are spared first.
        about: only those whose URL, prompt id or job id contains this text.
        from_s, for_s, every_s: in force only from so many seconds after it was set, for so long,
            and again and again; 0 means at once, without end, once.
        handled: whether a request takes effect before its answer suffers.
        deaf: whether a hanging graph node ignores an interrupt, too.
        keep: the share of the body that comes, from 0 to 1.
        size: how much more Content-Length says than is sent, in bytes; may be negative.
    """

    on: str
    do: Fault
    count: int = 1
    after: int = 0
    about: str = ""
    from_s: float = 0
    for_s: float = 0
    every_s: float = 0
    handled: bool = False
    status: int = 503
    body: str = "as asked"
    seconds: float = 0
    bytes_per_s: int = 10_000
    form: str = "length"
    keep: float = 0.5
    size: int = -10
    deaf: bool = False
    #: Filled in by the stand-in.
    id: int = 0
    seen: int = 0
    fired: int = 0
    _set_at: float = field(default_factory=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            InvalidRule: the place does not exist, or nothing like this can go wrong there.
        """
        if self.do not in list(Fault):
            raise InvalidRule(f"do: no fault is called {self.do!r}")
        self.do = Fault(self.do)
        place = self.on.partition(" ")[0]
        possible = _OF_A_REQUEST if " /" in self.on else _POSSIBLE.get(place, ())
        if self.do not in possible:
            raise InvalidRule(f"{self.do} cannot happen on {self.on!r}")
        if self.form not in ("length", "chunked", "close"):
            raise InvalidRule(f"form: {self.form!r} is none of length, chunked, close")

    @classmethod
    def read(cls, message: Any) -> Self:
        """Read a rule as `POST /standin/faults` gets it.

        Raises:
            InvalidRule: it is none.
        """
        known = {one.name for one in fields(cls)} - {"_set_at"}
        if not isinstance(message, dict) or not {"on", "do"} <= message.keys() <= known:
            raise InvalidRule(f"a rule has on, do and some of {', '.join(sorted(known))}")
        return cls(**message)

    def as_message(self) -> dict[str, Any]:
        """Return it as `GET /standin/faults` shows it."""
        return {name: value for name, value in asdict(self).items() if name != "_set_at"}

    def is_in_force(self) -> bool:
        """Tell whether now is one of its times."""
        age = time.monotonic() - self._set_at - self.from_s
        if self.every_s and age >= 0:
            age %= self.every_s
        return age >= 0 and (not self.for_s or age < self.for_s)

    def fits(self, place: str, names: Iterable[str]) -> bool:
        """Tell whether something in *place*, known by *names*, is meant."""
        is_there = fnmatchcase(place, self.on) or place.startswith((f"{self.on} ", f"{self.on}/"))
        return is_there and any(self.about in name for name in names)

    def is_due(self) -> bool:
        """Count one that fits; tell whether it is to suffer."""
        if not self.is_in_force():
            return False
        self.seen += 1
        is_due = self.seen > self.after and (not self.count or self.fired < self.count)
        self.fired += is_due
        return is_due


class Faults:
    """The rules that are set on one node; any thread may ask."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self._made = 0

    def add(self, *rules: FaultRule) -> None:
        """Set *rules*; an earlier one goes before a later one in the same place."""
        with self._lock:
            for rule in rules:
                self._made += 1
                rule.id = self._made
                self._rules.append(rule)

    def clear(self, *ids: int) -> None:
        """Lift the rules of these *ids*, or all; what hangs on one goes on."""
        with self._lock:
            self._rules = [rule for rule in self._rules if ids and rule.id not in ids]

    def rules(self) -> list[FaultRule]:
        """Return what is set, in order."""
        with self._lock:
            return list(self._rules)

    def strike(self, place: str, *names: str) -> FaultRule | None:
        """Tell what goes wrong in *place* now: the first rule that is due, or None."""
        if not self._rules:
            return None
        with self._lock:
            fitting = (rule for rule in self._rules if rule.fits(place, names or ("",)))
            struck = next((rule for rule in fitting if rule.is_due()), None)
        if struck:
            self._journal.count(f"fault {struck.do}")
        return struck

    def holds(self, rule: FaultRule) -> bool:
        """Tell whether what hangs on *rule* still does."""
        return rule in self._rules and rule.is_in_force()
