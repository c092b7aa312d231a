"""A relay that adds latency to a TCP server, and nothing else: what is sent flows as it came."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 18


@contextmanager
def delayed(host: str, port: int, *, round_trip_s: float) -> Iterator[int]:
    """Relay to a server with half of *round_trip_s* each way; yield the port to connect to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="latency", daemon=True)
    thread.start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, port)
        one_way_s = round_trip_s / 2
        await asyncio.gather(
            _flow(reader, there_writer, one_way_s), _flow(there_reader, writer, one_way_s)
        )

    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(serve, "127.0.0.1", 0), loop
    ).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _flow(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way_s: float
) -> None:
    """Pass bytes on, each *one_way_s* after it came; many may be under way at a time."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    arriving = asyncio.create_task(arrive())
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            under_way.put_nowait((time.monotonic() + one_way_s, data))
    under_way.put_nowait((time.monotonic() + one_way_s, b""))
    with suppress(ConnectionError):
        await arriving
