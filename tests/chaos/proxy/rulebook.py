"""The rules in force, and a log of every request that they saw."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.proxy.naming import ids_in
from tests.chaos.proxy.rules import Rule


@dataclass
class _InForce:
    rule: Rule
    lifted: asyncio.Event = field(default_factory=asyncio.Event)


class RuleBook:
    """Every edge asks it at every request."""

    def __init__(self) -> None:
        self._rules: dict[int, _InForce] = {}
        self._made = 0
        self._log: list[dict[str, Any]] | None = None

    def add(self, rule: Rule) -> int:
        """Put a rule in force and return its number."""
        self._made += 1
        self._rules[self._made] = _InForce(rule)
        return self._made

    def look(self, number: int) -> Rule:
        """Return a rule with what it has seen so far."""
        return self._rules[number].rule

    def lift(self, number: int) -> Rule:
        """Take a rule out of force and return it; what it swallowed goes on its way."""
        found = self._rules.pop(number)
        found.lifted.set()
        return found.rule

    def clear(self) -> None:
        """Take every rule out of force."""
        for number in list(self._rules):
            self.lift(number)

    def meet(self, edge: str, request: str, raw: bytes) -> Rule | None:
        """Count a request and return the rule that strikes it, if one does."""
        if self._log is not None:
            said = {"at": time.time(), "edge": edge, "request": request, "ids": ids_in(raw)}
            self._log.append(said)
        struck = [
            found.rule for found in self._rules.values() if found.rule.strikes(edge, request, raw)
        ]
        return struck[0] if struck else None

    async def lifted(self, rule: Rule) -> None:
        """Wait until *rule* is out of force."""
        found = next((held for held in self._rules.values() if held.rule is rule), None)
        if found:
            await found.lifted.wait()

    def record(self, *, on: bool) -> None:
        """Begin a new log, or stop logging."""
        self._log = [] if on else None

    def log(self) -> list[dict[str, Any]]:
        """Return the log so far, as `{"at", "edge", "request", "ids"}`."""
        return list(self._log or ())
