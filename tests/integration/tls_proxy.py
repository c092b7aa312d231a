"""TLS before a server that has none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.standin.loop_thread import LoopThread


def tls_context(authority: Path) -> ssl.SSLContext:
    """Return a server's context, with the certificate that *authority* has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority / "host.pem", authority / "host.key")
    return context


@contextmanager
def tls_proxy(context: ssl.SSLContext, *, to: tuple[str, int]) -> Iterator[int]:
    """Yield a port of this machine whose encrypted connections end at *to*."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*to)
        try:
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        finally:
            writer.transport.abort()
            inner_writer.transport.abort()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    async def stop() -> None:
        server.close()

    with LoopThread("tls-proxy") as loop:
        server = loop.run(start())
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            loop.run(stop())


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof() if writer.can_write_eof() else writer.close()
