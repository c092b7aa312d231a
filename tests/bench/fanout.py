"""One event to a thousand watchers on sockets: what it costs, and when the last one has it.

Floor: one buffer of as many bytes, written to the same thousand sockets by the same process.
Plain is what an SSE endpoint usually is: a queue and a task a client, each encoding for itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.aio import AsyncProducer
from producer.contract.config.settings import load_settings
from producer.contract.ids import new_job_id
from producer.events.event_pipe import Pipe
from producer.events.notices import encoded
from producer.events.subscribers import EVERYTHING
from producer.store import keys
from tests import servers
from tests.bench.results import Case, Result, median, percentile

WATCHERS = 1000
ROUNDS, EVENTS, EVERY_S = 8, 30, 0.05
GOAL_CPU, GOAL_LAST, GOAL_OWN_MS = 1.5, 2.0, 1.0


@dataclass
class Samples:
    """CPU of each round, and the delay of each event's last watcher, both ms."""

    cpu: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)


def run() -> Result:
    """Measure floor, product and plain in turns on the same sockets."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        BackgroundSupervisor(Supervisor(Path(folder))) as services,
    ):
        server = servers.start_redis(services, Path(folder, "redis"))
        floor, piped, iterated, plain, own = asyncio.run(_measured(server.url))
    cpu = median(floor.cpu)
    return Result(
        name="fanout",
        unit="ms",
        cases=[
            Case(
                name=f"CPU of an event to {WATCHERS} watchers of everything",
                value=median(piped.cpu),
                floor=cpu,
                plain=median(plain.cpu),
                goal=f"<= {GOAL_CPU:g} x floor",
                holds=median(piped.cpu) <= GOAL_CPU * cpu,
            ),
            Case(
                name=f"an event to {WATCHERS} watchers, published until the last has it, p99",
                value=percentile(piped.last, 99),
                floor=percentile(floor.last, 99),
                plain=percentile(plain.last, 99),
                goal=f"<= {GOAL_LAST:g} x floor",
                holds=percentile(piped.last, 99) <= GOAL_LAST * percentile(floor.last, 99),
            ),
            Case(
                name=f"CPU of an event to {WATCHERS} watchers of a job of their own",
                value=median(own.cpu),
                floor=cpu,
                plain=None,
                goal=f"<= {GOAL_OWN_MS:g} ms",
                holds=median(own.cpu) <= GOAL_OWN_MS,
            ),
        ],
        figures={
            "watchers": WATCHERS,
            "events": ROUNDS * EVENTS,
            "async_watch_cpu_ratio": median(iterated.cpu) / cpu,
            "last_p50_ms": median(piped.last),
            "last_p50_floor_ms": median(floor.last),
        },
    )


async def _measured(redis_url: str) -> list[Samples]:
    floor, piped, iterated, plain, own = measured = [Samples() for _ in range(5)]
    everything = [[EVERYTHING]] * WATCHERS
    jobs = [new_job_id() for _ in range(WATCHERS)]
    async with AsyncExitStack() as undo:
        room = await undo.enter_async_context(_room(redis_url))
        fleet = await undo.enter_async_context(AsyncProducer(load_settings(redis_url=redis_url)))
        for _ in range(ROUNDS + 1):
            await room.broadcast(floor)
            async with _piped(fleet, room, everything):
                await room.publish(jobs[:EVENTS], piped)
            async with _iterated(fleet, room):
                await room.publish(jobs[:EVENTS], iterated)
            async with _plainly(redis_url, room):
                await room.publish(jobs[:EVENTS], plain)
            async with _piped(fleet, room, [[job] for job in jobs]):
                await room.publish(jobs, own, every_s=EVERY_S / 20, each=1)
    for samples in measured:  # the first round loads code and opens connections
        del samples.cpu[0], samples.last[: len(samples.last) // (ROUNDS + 1)]
    return measured


class Room:
    """The server's ends of the clients' connections, and the process that holds the others."""

    def __init__(self, transports: list[asyncio.Transport], clients: Process) -> None:
        self.transports = transports
        self._clients = clients
        self._buffer = b"id: 1790000000000-0\ndata: " + b"x" * 240 + b"\n\n"

    async def publish(self, jobs: list[str], into: Samples, *, every_s=EVERY_S, each=WATCHERS):
        """Have the clients publish events and count what comes."""
        order = {"publish": jobs, "every_s": every_s, "each": each}
        began = time.process_time()
        answer = await self._order(order)
        into.cpu.append((time.process_time() - began) * 1000 / len(jobs))
        if each > 1:
            into.last += _delays(answer["sent"], answer["last"])

    async def broadcast(self, into: Samples) -> None:
        """Write one buffer to each socket, with nothing in between."""
        sockets = [transport.get_extra_info("socket")._sock for transport in self.transports]
        sent: list[float] = []

        async def write() -> None:
            for number in range(EVENTS):
                await asyncio.sleep(begin + number * EVERY_S - time.monotonic())
                sent.append(time.monotonic())
                for one in sockets:
                    one.send(self._buffer)

        began, begin = time.process_time(), time.monotonic() + EVERY_S
        answer, _ = await asyncio.gather(self._order({"expect": EVENTS, "each": WATCHERS}), write())
        into.cpu.append((time.process_time() - began) * 1000 / EVENTS)
        into.last += _delays(sent, answer["last"])

    async def _order(self, order: dict) -> dict:
        self._clients.stdin.write(f"{json.dumps(order)}\n".encode())
        return json.loads(await self._clients.stdout.readline())


def _delays(sent: list[float], last: list[float]) -> list[float]:
    return [(heard - began) * 1000 for began, heard in zip(sent, last, strict=True)]


@asynccontextmanager
async def _room(redis_url: str) -> AsyncIterator[Room]:
    loop = asyncio.get_running_loop()
    transports: list[asyncio.Transport] = []
    full = asyncio.Event()

    class Connection(asyncio.Protocol):
        def connection_made(self, transport) -> None:
            transports.append(transport)
            if len(transports) == WATCHERS:
                full.set()

    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=WATCHERS)
    port = server.sockets[0].getsockname()[1]
    command = ("-m", "tests.bench.fanout_clients", str(port), redis_url, str(WATCHERS))
    clients = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    try:
        await asyncio.wait_for(full.wait(), 60)
        await clients.stdout.readline()
        yield Room(transports, clients)
    finally:
        server.close()
        clients.terminate()
        await clients.wait()
        for transport in transports:
            transport.abort()


@asynccontextmanager
async def _piped(fleet: AsyncProducer, room: Room, topics: list[list[str]]) -> AsyncIterator[None]:
    """Write to each connection as the API does."""
    pipes = [
        Pipe(fleet.fanout, watched, transport)
        for watched, transport in zip(topics, room.transports, strict=True)
    ]
    for pipe in pipes:
        await pipe.open()
        pipe.flow()
    yield
    for pipe in pipes:
        pipe.close()


@asynccontextmanager
async def _iterated(fleet: AsyncProducer, room: Room) -> AsyncIterator[None]:
    """Have a task a client take what is told, as web frameworks without the transport need it."""

    async def serve(transport: asyncio.Transport, is_ready: Callable[[], None]) -> None:
        async with fleet.watch(EVERYTHING) as watch:
            is_ready()
            while True:
                transport.write(encoded(await watch.take()))

    async with _tasks(room, serve):
        yield


@asynccontextmanager
async def _plainly(redis_url: str, room: Room) -> AsyncIterator[None]:
    """Have a queue and a task a client, which encodes what it gets."""
    queues: list[asyncio.Queue] = []

    async def serve(transport: asyncio.Transport, is_ready: Callable[[], None]) -> None:
        queue: asyncio.Queue = asyncio.Queue()
        queues.append(queue)
        is_ready()
        while True:
            entry_id, fields = await queue.get()
            transport.write(f"id: {entry_id}\ndata: {json.dumps(fields)}\n\n".encode())

    async def read(redis: Redis) -> None:
        position = "$"
        while True:
            reply = await redis.xread({keys.EVENTS: position}, block=2000)
            for position, fields in reply[0][1] if reply else ():
                for queue in queues:
                    queue.put_nowait((position, fields))

    async with (
        Redis.from_url(redis_url, decode_responses=True, protocol=2) as redis,
        _tasks(room, serve),
    ):
        reading = asyncio.create_task(read(redis))
        await asyncio.sleep(0.1)  # a `$` means from when it has arrived
        yield
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def _tasks(room: Room, serve: Callable[..., Awaitable[None]]) -> AsyncIterator[None]:
    """Run a task for each connection; begin when all say that they are ready."""
    ready = asyncio.Event()
    missing = len(room.transports)

    def is_ready() -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            ready.set()

    tasks = [asyncio.ensure_future(serve(transport, is_ready)) for transport in room.transports]
    await ready.wait()
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
