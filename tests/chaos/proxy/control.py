"""The fault proxy as the harness holds it: a process of its own, and the orders it takes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from tests.chaos.proxy.rules import Rule

_READY: Final = "proxy control on "
_PATIENCE_S: Final = 20.0


class ProxyRefused(Exception):
    """The proxy could not do as told."""


class FaultProxy:
    """A running proxy; threads may share it."""

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy"],
            stdin=subprocess.PIPE,  # its end is how the proxy hears that we are gone
            stdout=subprocess.PIPE,
            env=dict(environment),
            text=True,
        )
        self._lock = threading.Lock()
        line = self._process.stdout.readline()
        if not line.startswith(_READY):
            raise ProxyRefused(f"it did not start: {line!r}")
        port = int(line.removeprefix(_READY))
        self._line = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._answers = self._line.makefile("r", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._line.close()
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def open(self, edge: str, *, kind: str, host: str, port: int) -> int:
        """Stand in front of a server as *edge*; return the port to connect to.

        Args:
            kind: `redis`, `node` or `s3`: what is spoken there.
        """
        return self._order("open", edge=edge, kind=kind, host=host, port=port)

    def add(self, rule: Rule) -> int:
        """Put a rule in force and return its number."""
        return self._order("add", rule=rule.as_message())

    def look(self, number: int) -> Rule:
        """Return a rule with what it has seen."""
        return Rule.of(self._order("look", number=number))

    def lift(self, number: int) -> Rule:
        """Take a rule out of force and return it with what it has seen."""
        return Rule.of(self._order("lift", number=number))

    @contextmanager
    def under(self, rule: Rule) -> Iterator[int]:
        """Keep a rule in force for the block."""
        number = self.add(rule)
        try:
            yield number
        finally:
            self.lift(number)

    def calm(self) -> None:
        """Lift every rule and condition."""
        self._order("calm")

    def condition(self, edges: str, **conditions: Any) -> None:
        """Put edges under `hold`, `refuse`, `lag_s` or `slice_bytes`; none of them: as usual."""
        self._order("condition", edges=edges, **conditions)

    def cut(self, edges: str) -> None:
        """End every connection of the edges that fit."""
        self._order("cut", edges=edges)

    def record(self, *, on: bool = True) -> None:
        """Begin a new log of requests, or stop logging."""
        self._order("record", on=on)

    def log(self) -> list[dict[str, Any]]:
        """Return the requests since `record`, as `{"at", "edge", "request", "ids"}`."""
        return self._order("log")

    def _order(self, what: str, **details: Any) -> Any:
        with self._lock:
            self._line.sendall(json.dumps({"do": what, **details}).encode() + b"\n")
            answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise ProxyRefused(f"{what}: {answer['error']}")
        return answer["ok"]
