"""What the fault proxy does to a connection, seen from its two ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from infra.standin.loop_thread import close_connections
from tests.chaos.proxy.edge import Edge
from tests.chaos.proxy.naming import speech_maker
from tests.chaos.proxy.rulebook import RuleBook
from tests.chaos.proxy.rules import Fault, Rule

GET = b"GET /view HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"


class Wire:
    """A client's connection through an edge to a server that answers every request."""

    def __init__(self, edge, rules, served):
        self.edge, self.rules, self.served = edge, rules, served

        self.writer = None

    async def connect(self):
        await self.close()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.edge.port)

    async def close(self):
        if self.writer:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
        self.writer = None

    async def ask(self, *, within_s=5.0) -> bytes:
        self.writer.write(GET)
        async with asyncio.timeout(within_s):
            return await self.reader.read(len(ANSWER)) if not self.writer.is_closing() else b""


@asynccontextmanager
async def wire(*rules: Rule):
    served = []

    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            served.append(1)
            writer.write(ANSWER)

    async def quietly(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    book = RuleBook()
    for rule in rules:
        book.add(rule)
    target = server.sockets[0].getsockname()
    edge = Edge("n1.node", target, speech_maker("node"), book)
    await edge.listen()
    found = Wire(edge, book, served)
    await found.connect()
    try:
        yield found
    finally:
        await found.close()
        await edge.refuse()
        server.close()
        await close_connections()


def view(fault: Fault, **how) -> Rule:
    return Rule(edge="n1.node", request="GET /view", fault=fault, **how)


def run(story):
    """Run a story that is a coroutine function."""
    asyncio.run(story())


def test_without_a_rule_everything_passes():
    async def story():
        async with wire() as found:
            assert await found.ask() == ANSWER

    run(story)


@pytest.mark.parametrize(("after", "served"), [(False, 0), (True, 1)])
def test_a_cut_before_is_never_served_and_one_after_is(after, served):
    async def story():
        async with wire(view(Fault.CUT, after=after)) as found:
            assert await found.ask() == b""
            assert len(found.served) == served

    run(story)


def test_a_reset_is_told_from_an_end():
    async def story():
        async with wire(view(Fault.RESET)) as found:
            with pytest.raises(ConnectionResetError):
                await found.ask()

    run(story)


def test_a_limit_ends_the_answer_in_its_middle():
    async def story():
        async with wire(view(Fault.LIMIT, after=True, size=len(ANSWER) - 4)) as found:
            assert await found.ask() == ANSWER[:-4]
            assert await found.reader.read(9) == b""

    run(story)


def test_a_flip_changes_one_byte_of_the_body():
    async def story():
        async with wire(view(Fault.FLIP, after=True)) as found:
            answer = b""
            while len(answer) < len(ANSWER):
                answer += await found.reader.read(99) if answer else await found.ask()
            assert sum(a != b for a, b in zip(answer, ANSWER, strict=True)) == 1

    run(story)


def test_an_answer_of_the_proxys_own_never_reaches_the_server():
    async def story():
        async with wire(view(Fault.ANSWER, status=503)) as found:
            assert (await found.ask()).startswith(b"HTTP/1.1 503 ")
            assert not found.served

    run(story)


def test_what_was_swallowed_goes_on_when_the_rule_is_lifted():
    async def story():
        async with wire(view(Fault.SWALLOW)) as found:
            with pytest.raises(TimeoutError):
                await found.ask(within_s=0.2)
            found.rules.clear()
            async with asyncio.timeout(5):
                assert await found.reader.read(len(ANSWER)) == ANSWER

    run(story)


def test_an_edge_on_hold_lets_nothing_through_until_it_is_let_go():
    async def story():
        async with wire() as found:
            found.edge.hold(on=True)
            with pytest.raises(TimeoutError):
                await found.ask(within_s=0.2)
            found.edge.hold(on=False)
            async with asyncio.timeout(5):
                assert await found.reader.read(len(ANSWER)) == ANSWER

    run(story)


def test_an_edge_that_refuses_comes_back_on_its_port():
    async def story():
        async with wire() as found:
            port = found.edge.port
            await found.edge.refuse()
            with pytest.raises(ConnectionRefusedError):
                await found.connect()
            await found.edge.listen()
            assert found.edge.port == port
            await found.connect()
            assert await found.ask() == ANSWER

    run(story)


def test_every_request_is_logged_while_asked_for():
    async def story():
        async with wire() as found:
            found.rules.record(on=True)
            await found.ask()
            [entry] = found.rules.log()
            assert (entry["edge"], entry["request"]) == ("n1.node", "GET /view")

    run(story)
