"""`python -m tests.chaos.proxy`: the fault proxy, told what to do by JSON lines on a local port.

Prints `proxy control on PORT` when it listens, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any

from tests.chaos.proxy.edge import Edge
from tests.chaos.proxy.naming import speech_maker
from tests.chaos.proxy.rulebook import RuleBook
from tests.chaos.proxy.rules import Rule


class ProxyServer:
    """Edges and rules, and the orders about them."""

    def __init__(self) -> None:
        self._rules = RuleBook()
        self._edges: dict[str, Edge] = {}
        self._orders: dict[str, Callable[..., Awaitable[Any]]] = {
            "open": self._open,
            "add": self._add,
            "look": self._look,
            "lift": self._lift,
            "calm": self._calm,
            "condition": self._condition,
            "cut": self._cut,
            "record": self._record,
            "log": self._log,
        }

    async def run(self) -> None:
        """Take orders until standard input ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        print(f"proxy control on {port}", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            order = json.loads(line)
            try:
                answer = {"ok": await self._orders[order.pop("do")](**order)}
            except Exception as exc:  # noqa: BLE001 - the one who ordered it shall hear
                answer = {"error": repr(exc)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _open(self, *, edge: str, kind: str, host: str, port: int) -> int:
        """Listen for *edge* in front of a server; return the port."""
        self._edges[edge] = Edge(edge, (host, port), speech_maker(kind), self._rules)
        await self._edges[edge].listen()
        return self._edges[edge].port

    async def _add(self, *, rule: dict[str, Any]) -> int:
        return self._rules.add(Rule.of(rule))

    async def _look(self, *, number: int) -> dict[str, Any]:
        return self._rules.look(number).as_message()

    async def _lift(self, *, number: int) -> dict[str, Any]:
        return self._rules.lift(number).as_message()

    async def _calm(self) -> None:
        """Lift every rule and condition."""
        self._rules.clear()
        await self._condition(edges="*")

    async def _condition(
        self,
        *,
        edges: str,
        hold: bool = False,
        refuse: bool = False,
        lag_s: float = 0,
        slice_bytes: int = 0,
    ) -> None:
        """Put the edges that fit under these conditions, and no others."""
        for edge in self._fitting(edges):
            edge.lag_s, edge.slice_bytes = lag_s, slice_bytes
            edge.hold(on=hold)
            await (edge.refuse() if refuse else edge.listen())

    async def _cut(self, *, edges: str) -> None:
        for edge in self._fitting(edges):
            edge.cut()

    async def _record(self, *, on: bool) -> None:
        self._rules.record(on=on)

    async def _log(self) -> list[dict[str, Any]]:
        return self._rules.log()

    def _fitting(self, pattern: str) -> list[Edge]:
        return [edge for name, edge in self._edges.items() if fnmatchcase(name, pattern)]


if __name__ == "__main__":
    asyncio.run(ProxyServer().run())
