"""Faults of an answer's body: truncated, slow, with a wrong length, altered, or of another file."""

from __future__ import annotations

import asyncio
import io
from typing import Final

from aiohttp import web
from PIL import Image, UnidentifiedImageError

from infra.standin.faults import Fault, FaultRule
from infra.standin.painter import paint

_SLICES_A_SECOND: Final = 20
_PAGE: Final = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>"


def other_body(rule: FaultRule, answer: web.Response) -> web.Response:
    """Return a well-formed answer with other bytes, as the rule's fault says."""
    body = _bytes_of(answer)
    match rule.do:
        case Fault.FLIP:
            altered = bytearray(body or b"\0")
            altered[len(altered) // 2] ^= 0b0001_0000
            return _with_body(answer, bytes(altered))
        case Fault.SWAP:
            return _with_body(answer, _somebody_elses(body))
        case Fault.HTML:
            return web.Response(text=_PAGE, content_type="text/html")
        case _:
            return _with_body(answer, b"")


async def send_damaged(rule: FaultRule, request: web.Request, answer: web.Response) -> None:
    """Write the answer with wrong framing, or slowly; the caller closes the connection."""
    body = _bytes_of(answer)
    match rule.do:
        case Fault.SLOW:
            await _write(request, answer, f"Content-Length: {len(body)}")
            await _trickle(request, body, rule.bytes_per_s)
        case Fault.MISCOUNT:
            length = max(0, len(body) + rule.size)
            await _write(request, answer, f"Content-Length: {length}", body)
        case _:
            part = body[: int(len(body) * rule.keep)]
            framings = {
                "length": f"Content-Length: {len(body)}",
                "chunked": "Transfer-Encoding: chunked",
                "close": "Connection: close",
            }
            chunk = b"%x\r\n%s\r\n" % (len(part), part) if rule.form == "chunked" else part
            await _write(request, answer, framings[rule.form], chunk)


async def _write(
    request: web.Request, answer: web.Response, framing: str, body: bytes = b""
) -> None:
    # Directly to the transport: aiohttp does not send a body that contradicts its headers.
    head = (
        f"HTTP/1.1 {answer.status} OK\r\nContent-Type: {answer.content_type}\r\n{framing}\r\n\r\n"
    )
    if request.transport:
        request.transport.write(head.encode() + body)
    await asyncio.sleep(0)


async def _trickle(request: web.Request, body: bytes, bytes_per_s: int) -> None:
    size = max(1, bytes_per_s // _SLICES_A_SECOND)
    for start in range(0, len(body), size):
        if request.transport is None or request.transport.is_closing():
            return
        request.transport.write(body[start : start + size])
        await asyncio.sleep(size / bytes_per_s)


def _bytes_of(answer: web.Response) -> bytes:
    return bytes(answer.body) if isinstance(answer.body, bytes | bytearray) else b""


def _with_body(answer: web.Response, body: bytes) -> web.Response:
    return web.Response(body=body, content_type=answer.content_type)


def _somebody_elses(body: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(body)) as picture:
            other = paint(*picture.size, {"job": "another", "prompt": "another"})
            form = picture.format
    except UnidentifiedImageError:
        return b"somebody else's " + body
    content = io.BytesIO()
    other.save(content, form)
    return content.getvalue()
