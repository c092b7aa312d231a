"""One edge of the fleet through the fault proxy: a listener, and the connections it carries."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

from tests.chaos.proxy.naming import SpeechMaker
from tests.chaos.proxy.pieces import Piece, Speech
from tests.chaos.proxy.rulebook import RuleBook
from tests.chaos.proxy.rules import Fault, Rule

_READ_BYTES: Final = 65536
_CONNECT_S: Final = 5.0


class Broken(Exception):
    """The connection ends here, by a fault; what is on its way is lost."""


class Ended(Exception):
    """The connection ends here; what is on its way arrives."""


class Edge:
    """A listener on a port of its own that stands for one server.

    `hold`, `lag_s`, `slice_bytes` and `refuse` are conditions of all its connections: nothing
    gets through; everything comes later; or in small slices; or nobody is let in.
    """

    def __init__(
        self, name: str, target: tuple[str, int], speech: SpeechMaker, rules: RuleBook
    ) -> None:
        self.name = name
        self.rules = rules
        self.port = 0
        self.lag_s = 0.0
        self.slice_bytes = 0
        self._target = target
        self._speech = speech
        self._passing = asyncio.Event()
        self._passing.set()
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take connections, on the same port as before if there was one."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Let nobody in, and end what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        for link in self._links:
            link.abort()

    def hold(self, *, on: bool) -> None:
        """Let nothing through, in either direction, as a network that drops packets."""
        if on:
            self._passing.clear()
        else:
            self._passing.set()

    async def carry(self, writer: asyncio.StreamWriter, raw: bytes) -> None:
        """Forward *raw* under the edge's present conditions."""
        await self._passing.wait()
        if self.lag_s:
            await asyncio.sleep(self.lag_s)
        if not self.slice_bytes:
            writer.write(raw)
            await writer.drain()
            return
        for start in range(0, len(raw), self.slice_bytes):
            writer.write(raw[start : start + self.slice_bytes])
            await writer.drain()
            await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._passing.wait()
            async with asyncio.timeout(_CONNECT_S):
                server = await asyncio.open_connection(*self._target)
        except (OSError, TimeoutError, asyncio.CancelledError):  # the last: the proxy is ending
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), server, self._speech())
        self._links.add(link)
        try:
            await link.run()
        except asyncio.CancelledError:
            link.abort()  # the proxy itself is ending
        finally:
            self._links.discard(link)


class Link:
    """One client's connection and ours to the server on its behalf."""

    def __init__(
        self,
        edge: Edge,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        speech: Speech,
    ) -> None:
        self._edge = edge
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._speech = speech
        self._afters: list[Rule | None] = []  # one for each request that is not answered yet
        self._flips = False
        self._left: dict[asyncio.StreamWriter, int] = {}  # bytes until the connection breaks

    async def run(self) -> None:
        """Carry both directions until one ends or a fault ends both."""
        directions = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            await next(direction for direction in directions if direction.done())
        except (OSError, Broken):
            self.abort()
        except Ended:
            self._close()
        else:
            # One side has said its last word; its peer gets all of it.
            self._close()
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    def abort(self, *, reset: bool = False) -> None:
        """End both connections at once."""
        for writer in (self._to_client, self._to_server):
            found = writer.get_extra_info("socket")
            if reset and found is not None:
                with suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _close(self) -> None:
        for writer in (self._to_client, self._to_server):
            writer.close()

    async def _up(self) -> None:
        while data := await self._from_client.read(_READ_BYTES):
            for piece in self._speech.requests(data):
                if piece.opens is None:
                    await self._carry(self._to_server, piece.raw)
                else:
                    await self._request(piece, piece.opens)

    async def _request(self, piece: Piece, name: str) -> None:
        rule = self._edge.rules.meet(self._edge.name, name, piece.raw)
        is_after = rule is not None and rule.after
        self._afters.append(rule if is_after else None)
        if is_after or await self._passes(rule, self._to_server):
            await self._carry(self._to_server, piece.raw)

    async def _down(self) -> None:
        while data := await self._from_server.read(_READ_BYTES):
            for piece in self._speech.answers(data):
                await self._answer(piece)

    async def _answer(self, piece: Piece) -> None:
        rule = self._afters.pop(0) if piece.answers and self._afters else None
        passes = await self._passes(rule, self._to_client)
        # A message of the server's own, or one that a blocking pop brings, is a site of its own.
        own = None
        if piece.opens:
            own = self._edge.rules.meet(self._edge.name, piece.opens, piece.raw)
        if own and not own.after:
            passes = await self._passes(own, self._to_client) and passes
        if passes:
            is_body = not piece.answers and piece.opens is None
            await self._carry(self._to_client, self._flipped(piece.raw) if is_body else piece.raw)
        if own and own.after:
            await self._passes(own, self._to_client)

    async def _carry(self, writer: asyncio.StreamWriter, raw: bytes) -> None:
        left = self._left.get(writer)
        await self._edge.carry(writer, raw if left is None else raw[:left])
        if left is not None:
            self._left[writer] = left - len(raw)
            if self._left[writer] <= 0:
                raise Ended

    async def _passes(self, rule: Rule | None, to: asyncio.StreamWriter) -> bool:
        """Do what *rule* says, if there is one; return whether the piece is still carried."""
        match rule and rule.fault:
            case Fault.CUT | Fault.RESET as fault:
                self.abort(reset=fault is Fault.RESET)
                raise Broken
            case Fault.DELAY:
                await asyncio.sleep(rule.seconds)
            case Fault.SWALLOW:
                await self._edge.rules.lifted(rule)
            case Fault.DROP:
                return False
            case Fault.FLIP:
                self._flips = True
            case Fault.LIMIT:
                self._left[to] = rule.size
            case Fault.ANSWER:
                head = f"HTTP/1.1 {rule.status} Fault\r\nContent-Length: 0\r\n"
                await self._carry(self._to_client, f"{head}Connection: close\r\n\r\n".encode())
                raise Ended
        return True

    def _flipped(self, raw: bytes) -> bytes:
        if not self._flips:
            return raw
        self._flips = False
        middle = len(raw) // 2
        return raw[:middle] + bytes([raw[middle] ^ 0xFF]) + raw[middle + 1 :]
