"""Faults that a stand-in injects: rules that tests set, and the places where they are applied.

A rule names a place, the fault there, and how often it occurs. Places and their faults:

=====================  ==========================================================================
``on``                 ``do``
=====================  ==========================================================================
``GET /history``       *a request* of that method, path and all below it; ``* /*`` is any, and
                       ``GET /ws`` is a websocket's handshake: ``answer``, ``hang``, ``close``,
                       ``vanish``, ``delay``, ``slow``, ``truncate``, ``miscount``, ``flip``,
                       ``empty``, ``html``, ``swap``
``ws``, ``ws executed``  *a message* on a websocket, any or of one type (a picture's is
                       ``preview``): ``drop``, ``swallow``
``accept``             *a valid prompt* about to be queued: ``forget``, ``foreign``
``prompt``             *a prompt* taken from the queue, before any message about it: ``hang`` (no
                       prompt is executed any more), ``forget``, ``exit``
``run KSampler``       *a graph node* of that class, or of any, about to run: ``hang``, ``raise``,
                       ``oom``, ``disk_full``, ``interrupt``, ``forget``, ``exit``
``step KSampler``      *a step* of it, as it reports progress: the same
``encode SaveImage``   *a picture* that a graph node of that class saves, about to be encoded, in the
                       companion's pool if there is one: ``hang``, ``raise``, ``disk_full``, ``exit``
``end``                *a prompt* that ended, after its last message: ``lose``, ``late``, ``short``
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
    """The kind of a fault."""

    # Of a request; with ``handled`` it is handled first, and only its answer is affected.
    ANSWER = "answer"  #: ``status`` and ``body`` are the answer.
    HANG = "hang"  #: No answer for ``seconds`` (0: until cleared), then the connection is closed.
    CLOSE = "close"  #: The connection is closed without an answer.
    VANISH = "vanish"  #: The same, and every websocket is cut, as when the process has ended.
    DELAY = "delay"  #: It is handled, or with ``handled`` answered, ``seconds`` later.
    # Of an answer's body.
    SLOW = "slow"  #: It is sent at ``bytes_per_s``.
    TRUNCATE = "truncate"  #: Only the share ``keep`` is sent, framed by ``form``.
    MISCOUNT = "miscount"  #: Content-Length is off by ``size``; missing bytes are never sent.
    FLIP = "flip"  #: One bit in the middle is inverted.
    EMPTY = "empty"  #: 200 with an empty body.
    HTML = "html"  #: 200 with an HTML error page, as from a proxy.
    SWAP = "swap"  #: Another picture of the same size; other bytes if it is no picture.
    # Of a message on a websocket.
    DROP = "drop"  #: The connection is cut instead of sending it.
    SWALLOW = "swallow"  #: It is not sent.
    # Of a prompt.
    FORGET = "forget"  #: It is removed from the queue, and never in history.
    FOREIGN = "foreign"  #: Another client's prompt, ``seconds`` long, runs before it.
    RAISE = "raise"  #: The graph node raises RuntimeError with ``body``.
    OOM = "oom"  #: It raises `OutOfMemory`.
    DISK_FULL = "disk_full"  #: It raises OSError (ENOSPC).
    INTERRUPT = "interrupt"  #: The prompt is interrupted.
    EXIT = "exit"  #: The process ends at once.
    LOSE = "lose"  #: It gets no history entry.
    LATE = "late"  #: Its history entry is written ``seconds`` after its last message.
    SHORT = "short"  #: Its history entry lacks the last output.


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
    "encode": {Fault.HANG, Fault.RAISE, Fault.DISK_FULL, Fault.EXIT},
    "end": {Fault.LOSE, Fault.LATE, Fault.SHORT},
}


class InvalidRule(ValueError):
    """A rule is invalid; the message says why."""


@dataclass(kw_only=True, eq=False)
class FaultRule:
    """One fault in one place; fields that ``do`` does not use are ignored.

    Args:
        on, do: place and fault, see the module's table.
        count: how often it occurs; 0 means until it is cleared.
        after: matching events that pass unaffected first.
        about: only events whose URL, prompt id or job id contains this text.
        from_s, for_s, every_s: active from so many seconds after it was set, for so long, and
            periodically; 0 means at once, without end, once.
        handled: whether a request is handled before its answer is affected.
        deaf: whether a hanging graph node also ignores an interrupt.
        status, body: of the answer; ``body`` also of a raised exception.
        seconds: how long a fault lasts.
        bytes_per_s: the rate of a slow body.
        form: framing of a truncated body: ``length``, ``chunked`` or ``close``.
        keep: the share of the body that is sent, from 0 to 1.
        size: how many bytes more Content-Length says than are sent; may be negative.
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
    #: Set by the stand-in: the rule's id, matching events so far, and faults so far.
    id: int = 0
    seen: int = 0
    fired: int = 0
    _set_at: float = field(default_factory=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            InvalidRule: the fault or its form is unknown, or cannot occur in that place.
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
        """Return the rule in a body of `POST /standin/faults`.

        Raises:
            InvalidRule: it is no valid rule.
        """
        known = {one.name for one in fields(cls)} - {"_set_at"}
        if not isinstance(message, dict) or not {"on", "do"} <= message.keys() <= known:
            raise InvalidRule(f"a rule has on, do and some of {', '.join(sorted(known))}")
        return cls(**message)

    def as_message(self) -> dict[str, Any]:
        """Return it as `GET /standin/faults` shows it."""
        return {name: value for name, value in asdict(self).items() if name != "_set_at"}

    def is_in_force(self) -> bool:
        """Tell whether it is active now, by `from_s`, `for_s` and `every_s`."""
        age = time.monotonic() - self._set_at - self.from_s
        if self.every_s and age >= 0:
            age %= self.every_s
        return age >= 0 and (not self.for_s or age < self.for_s)

    def fits(self, place: str, names: Iterable[str]) -> bool:
        """Tell whether an event in *place*, with one of *names*, matches the rule."""
        is_there = fnmatchcase(place, self.on) or place.startswith((f"{self.on} ", f"{self.on}/"))
        return is_there and any(self.about in name for name in names)

    def is_due(self) -> bool:
        """Count a matching event; tell whether the fault occurs for it."""
        if not self.is_in_force():
            return False
        self.seen += 1
        is_due = self.seen > self.after and (not self.count or self.fired < self.count)
        self.fired += is_due
        return is_due


class Faults:
    """The rules that are set on one node. Thread-safe."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self._made = 0

    def add(self, *rules: FaultRule) -> None:
        """Add *rules*; of several rules for one event the earliest that is due applies."""
        with self._lock:
            for rule in rules:
                self._made += 1
                rule.id = self._made
                self._rules.append(rule)

    def clear(self, *ids: int) -> None:
        """Remove the rules of these *ids*, or all; what hangs by one continues."""
        with self._lock:
            self._rules = [rule for rule in self._rules if ids and rule.id not in ids]

    def rules(self) -> list[FaultRule]:
        """Return the rules in the order in which they were added."""
        with self._lock:
            return list(self._rules)

    def strike(self, place: str, *names: str) -> FaultRule | None:
        """Return the rule that applies to an event in *place* with *names*, and count it; else None."""
        if not self._rules:
            return None
        with self._lock:
            fitting = (rule for rule in self._rules if rule.fits(place, names or ("",)))
            struck = next((rule for rule in fitting if rule.is_due()), None)
        if struck:
            self._journal.count(f"fault {struck.do}")
        return struck

    def holds(self, rule: FaultRule) -> bool:
        """Tell whether *rule* is still set and active, so that what hangs by it goes on hanging."""
        return rule in self._rules and rule.is_in_force()
