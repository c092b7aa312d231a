"""A receiver of webhooks, as one would write it: it verifies each message by the library of the standard."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from standardwebhooks import Webhook as Verifier

from tests.integration.scripted_node import scripted_node


@dataclass
class Receiver:
    """Where it is, what it has got, and what it answers next: 204 once nothing is planned."""

    url: str = ""
    secret: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)  #: Verified bodies, in order.
    ids: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    answers: deque[web.Response | int] = field(default_factory=deque)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    async def answer(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        self.got.append(Verifier(self.secret).verify(body, dict(request.headers)))
        assert json.loads(body) == self.got[-1]
        self.ids.append(request.headers["webhook-id"])
        self.signatures.append(request.headers["webhook-signature"])
        planned = self.answers.popleft() if self.answers else 204
        return web.Response(status=planned) if isinstance(planned, int) else planned


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive at `/hook` from a thread."""
    found = Receiver()
    with scripted_node({"POST /hook": found.answer}) as server:
        found.url = f"{server.url}/hook"
        yield found
