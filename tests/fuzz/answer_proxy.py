"""Stands between a worker and its node, and makes what the node says odd."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from aiohttp import ClientConnectionError, ClientSession, WSMsgType, web

from infra.standin.loop_thread import LoopThread
from tests.fuzz.odd_answers import Answer, kinds_for, odd_answer, odd_event

_OWN = {"host", "content-length", "transfer-encoding", "connection", "content-encoding"}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")

#: The endpoint of events; each kind of event is counted apart.
EVENTS = "ws"


@dataclass
class Rule:
    """What is made odd from now on.

    Args:
        endpoints: of which every answer is odd, as `GET /history/{id}`; `ws` for events.
        first: endpoint → the kind in which its next answer is odd; it leads the worker to others.
        left: so many answers, events not counted.
        kind: the one way; else chance decides for each.
    """

    chance: Random
    endpoints: Collection[str]
    first: dict[str, str] = field(default_factory=dict)
    left: int = 1 << 30
    kind: str | None = None
    told: list[str] = field(default_factory=list)


class AnswerProxy:
    """Where it answers, and what it has made odd so far."""

    def __init__(self) -> None:
        self.url = ""
        self.rule: Rule | None = None
        self.sent: Counter[tuple[str, str]] = Counter()  #: Odd ones by endpoint and kind.
        self.asked: Counter[str] = Counter()  #: All, by endpoint.
        self._sockets: set[asyncio.Transport] = set()
        self._loop = asyncio.get_running_loop()

    def cut_sockets(self) -> None:
        """Cut off whoever listens for events; from any thread."""
        for transport in tuple(self._sockets):
            self._loop.call_soon_threadsafe(transport.abort)

    @contextmanager
    def listening(self, request: web.Request) -> Iterator[None]:
        """Know of a socket while it lives."""
        transport = request.transport
        self._sockets.add(transport)
        try:
            yield
        finally:
            self._sockets.discard(transport)

    def take_kind(self, endpoint: str) -> str | None:
        """Return in which way the next answer of *endpoint* is to be odd; None: in none."""
        rule = self.rule
        if rule is None:
            return None
        if kind := rule.first.pop(endpoint, None):
            return kind
        if endpoint not in rule.endpoints or rule.left <= 0:
            return None
        rule.left -= 1
        return rule.kind or rule.chance.choice(kinds_for(endpoint))

    def note(self, endpoint: str, kind: str, rule: Rule | None) -> None:
        """Count an odd answer that went out; not one that only leads to the next."""
        self.sent[endpoint, kind] += kind != "OK"
        if rule is not None:
            rule.told.append(f"{endpoint}: {kind}")


def endpoint_of(method: str, path: str) -> str:
    """Return method and path without what differs from call to call."""
    return f"{method} {_ID.sub('{id}', path)}"


@contextmanager
def answer_proxy(upstream: str) -> Iterator[AnswerProxy]:
    """Have a proxy before *upstream*, in a thread, until the block's end."""
    with LoopThread("answer-proxy") as loop:
        proxy, runner = loop.run(_start(upstream))
        try:
            yield proxy
        finally:
            loop.run(runner.cleanup())


async def _start(upstream: str) -> tuple[AnswerProxy, web.AppRunner]:
    proxy = AnswerProxy()
    app = web.Application(client_max_size=1 << 30)
    session = ClientSession(upstream, auto_decompress=False)

    async def close(_: web.Application) -> None:
        await session.close()

    async def serve(request: web.Request) -> web.StreamResponse:
        passed = _events if request.path == "/ws" else _answer
        return await passed(request, session, proxy)

    app.on_cleanup.append(close)
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return proxy, runner


async def _answer(
    request: web.Request, session: ClientSession, proxy: AnswerProxy
) -> web.StreamResponse:
    endpoint = endpoint_of(request.method, request.path)
    proxy.asked[endpoint] += 1
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _OWN}
    async with session.request(
        request.method, request.rel_url, data=await request.read(), headers=headers
    ) as came:
        kept = {k: v for k, v in came.headers.items() if k.lower() not in _OWN}
        answer = Answer(came.status, await came.read(), kept)
    rule, kind = proxy.rule, proxy.take_kind(endpoint)
    if kind is None:
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
    odd = await asyncio.to_thread(odd_answer, kind, answer, rule.chance)
    response = await _written(request, odd)
    proxy.note(endpoint, kind, rule)
    return response


async def _written(request: web.Request, odd: Answer) -> web.StreamResponse:
    """Write an odd answer to the wire by hand: no server would send some of them."""
    head = {
        "Content-Type": "application/json",
        "Content-Length": str(len(odd.body) + odd.cut),
        **odd.headers,
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {odd.status} Odd", *(f"{name}: {value}" for name, value in head.items())]
    body = b"" if request.method == "HEAD" else odd.body
    transport = request.transport
    if transport is None:
        raise asyncio.CancelledError  # nobody waits for it any more, so it counts for nothing
    transport.write("\r\n".join((*lines, "\r\n")).encode("latin-1", "replace") + body)
    transport.close()  # once all of it is written
    return web.Response()


async def _events(
    request: web.Request, session: ClientSession, proxy: AnswerProxy
) -> web.StreamResponse:
    if kind := proxy.take_kind("GET /ws"):
        response = await _written(request, odd_answer(kind, Answer(400, b"{}"), proxy.rule.chance))
        proxy.note("GET /ws", kind, proxy.rule)
        return response
    outer = web.WebSocketResponse(max_msg_size=0)
    await outer.prepare(request)
    async with session.ws_connect(request.rel_url) as inner:
        pump = asyncio.ensure_future(_pumped(inner, outer, proxy))
        with proxy.listening(request):
            async for _ in outer:
                pass
        pump.cancel()
    return outer


async def _pumped(inner: object, outer: web.WebSocketResponse, proxy: AnswerProxy) -> None:
    with suppress(ConnectionError, ClientConnectionError):
        async for message in inner:
            if message.type is not WSMsgType.TEXT:
                await outer.send_bytes(message.data)
                continue
            rule = proxy.rule
            if rule is None or EVENTS not in rule.endpoints or rule.chance.random() < 0.3:
                await outer.send_str(message.data)
                continue
            kind, said, is_text = odd_event(message.data, rule.chance)
            await outer.send_frame(said, WSMsgType.TEXT if is_text else WSMsgType.BINARY)
            proxy.note(f"event {_type_of(message.data)}", kind, rule)


def _type_of(text: str) -> str:
    found = re.match(r'\{"type": "(\w+)"', text)
    return found[1] if found else "?"


def by_endpoint(sent: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Return how many odd answers each endpoint gave."""
    found: Counter[str] = Counter()
    for (endpoint, _), count in sent.items():
        found[endpoint] += count
    return dict(sorted(found.items()))
