"""Websocket of a stand-in: its registered sockets, and which of them get a message."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import WSMessage, WSMsgType, web
from PIL import Image

from infra.standin.faults import Fault, Faults

_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4
_FORMATS = {"JPEG": 1, "PNG": 2}

#: Returns the first messages to a new socket, by its client id: ``[{"type": …, "data": …}, …]``.
Greeting = Callable[[str], list[dict[str, Any]]]


class Sockets:
    """The connected sockets by client id; one task writes to them in turn, as in ComfyUI.

    A slow reader therefore delays all others, and a socket gets no more messages once *any* socket
    of its client id closes (0.3.64 and 0.33.0).
    """

    def __init__(self, features: Mapping[str, Any], faults: Faults) -> None:
        self._features = features
        self._faults = faults
        self._registered: dict[str, web.WebSocketResponse] = {}
        self._flags: dict[str, Mapping[str, Any]] = {}
        self._transports: dict[web.WebSocketResponse, asyncio.Transport] = {}
        self._messages: asyncio.Queue[Callable[[], Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def send(self, type_: str, data: Mapping[str, Any], client_id: str | None) -> None:
        """Queue a message to one client, or to all with None. Thread-safe."""
        text = json.dumps({"type": type_, "data": data})
        self._post(lambda: self._publish(type_, text, client_id))

    def send_status(self, remaining: int) -> None:
        """Send the number of remaining prompts to all."""
        self.send("status", {"status": exec_info(remaining)}, None)

    def send_preview(
        self, picture: Image.Image, kind: str, place: Mapping[str, str], client_id: str | None
    ) -> None:
        """Queue a preview as a binary frame: event 4 to a client that negotiated it, else 1.

        *kind* is ``JPEG`` or ``PNG``; *place* has ``node_id`` and ``prompt_id``.
        """
        body = io.BytesIO()
        picture.convert("RGB").save(body, kind, compress_level=1)
        if self.wants_metadata(client_id):
            head = _described(place, kind)
        else:
            head = struct.pack(">II", _PREVIEW, _FORMATS[kind])
        frame = head + body.getvalue()
        self._post(lambda: self._publish("preview", frame, client_id))

    def wants_metadata(self, client_id: str | None) -> bool:
        """Tell whether the client negotiated ``supports_preview_metadata``, with True itself."""
        flags = self._flags.get(client_id or "", {})
        return flags.get("supports_preview_metadata") is True

    async def publish(self) -> None:
        """Write queued messages until cancelled.

        Raises:
            TypeError: a client id is a JSON list or object; ComfyUI's process ends by it, too.
        """
        while True:
            await (await self._messages.get())()

    async def serve(self, request: web.Request, greeting: Greeting) -> web.WebSocketResponse:
        """Handle `GET /ws?clientId=…`."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._registered[client_id] = socket
        self._flags.pop(client_id, None)
        if request.transport:
            self._transports[socket] = request.transport
        try:
            for message in greeting(client_id):
                await socket.send_json(message)
            await self._listen(socket, client_id)
        finally:
            self._registered.pop(client_id, None)
            self._transports.pop(socket, None)
        return socket

    def drop(self) -> None:
        """Cut every socket without a close frame, as the end of ComfyUI's process does (code 1006)."""
        for transport in self._transports.values():
            transport.abort()

    async def _listen(self, socket: web.WebSocketResponse, client_id: str) -> None:
        is_first = True
        async for frame in socket:
            message = _parsed(frame)
            if is_first and message.get("type") == "feature_flags":
                self._flags[client_id] = message.get("data", {})
                await socket.send_json({"type": "feature_flags", "data": self._features})
            is_first = is_first and not message

    def _post(self, write: Callable[[], Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._messages.put_nowait, write)

    async def _publish(self, type_: str, frame: str | bytes, client_id: str | None) -> None:
        if client_id is None:
            hearers = list(self._registered.values())
        else:
            hearers = [self._registered[client_id]] if client_id in self._registered else []
        for socket in hearers:
            if self._suffers(f"ws {type_}", socket):
                continue
            try:
                if isinstance(frame, str):
                    await socket.send_str(frame)
                else:
                    await socket.send_bytes(frame)
            except ConnectionError:
                continue

    def _suffers(self, message: str, socket: web.WebSocketResponse) -> bool:
        """Tell whether a fault suppresses the message; cut the connection if it is `drop`."""
        rule = self._faults.strike(message)
        if rule and rule.do is Fault.DROP and socket in self._transports:
            self._transports[socket].abort()
        return rule is not None


def exec_info(remaining: int) -> dict[str, Any]:
    """Return the body of `GET /prompt`, which is also the status of `status` messages."""
    return {"exec_info": {"queue_remaining": remaining}}


def _parsed(frame: WSMessage) -> dict[str, Any]:
    """Return the JSON object in a client's frame, or an empty one if it holds none."""
    if frame.type != WSMsgType.TEXT:
        return {}
    try:
        message = json.loads(frame.data)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _described(place: Mapping[str, str], kind: str) -> bytes:
    graph_node = place["node_id"]
    about = {
        **place,
        "display_node_id": graph_node,
        "parent_node_id": None,
        "real_node_id": graph_node,
        "image_type": f"image/{kind.lower()}",
    }
    metadata = json.dumps(about).encode()
    return struct.pack(">II", _PREVIEW_WITH_METADATA, len(metadata)) + metadata
