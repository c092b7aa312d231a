"""ComfyUI's websocket: one connection a process, read by one thread, messages dispatched to prompt watches."""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Collection
from contextlib import closing
from typing import Any, Final, Self

import websocket
from websocket import (
    ABNF,
    WebSocket,
    WebSocketBadStatusException,
    WebSocketException,
    WebSocketTimeoutException,
)

from producer.contract.config.node_address import NodeAddress
from producer.contract.text_cleaning import abridged, escaped
from worker.comfyui.bounded_websocket import BoundedWebSocket, HandshakeSocket
from worker.comfyui.certificates import ca_file
from worker.comfyui.preview_frames import OFFER, preview_of
from worker.comfyui.prompt_watch import PromptWatch
from worker.errors import NodeFault
from worker.foreign_data import UNREADABLE, read_as_expected, read_json
from worker.open_connections import shut_down, time_limit

_log = logging.getLogger(__name__)

_CONNECT_S: Final = 3.0
#: Seconds for the whole handshake, which may come a byte now and then.
_HANDSHAKE_S: Final = 5.0
#: Seconds of silence before a ping, and again before the peer counts as dead. ComfyUI never
#: pings by itself (an idle socket was silent for 420 s), but answers.
_SILENCE_S: Final = 9.0
#: Seconds between two attempts to connect: doubled from the first to the last, half of it random.
_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 5.0
#: After a connection that lasted so many seconds, pauses begin small again.
_STEADY_S: Final = 10.0
_CLOSE_S: Final = 1.0
#: Messages that say which prompt runs; of that one are previews that do not name theirs.
_RUNS: Final = frozenset({"executing", "progress", "progress_state"})


class EventSocket:
    """Receives a node's messages, reconnects by itself, and dispatches each to its prompt's watch.

    Messages are lost while it is away, and for prompts that were posted under the id of an
    earlier connection they stay away. ComfyUI unregisters an id when any of its sockets closes,
    so a connection that took over an old id could go deaf for good.

    Args:
        url: ComfyUI's HTTP address.
        node: the node's name, for messages.
        silence_s: seconds without a frame before a ping, and again before a reconnect.
    """

    def __init__(self, url: str | NodeAddress, *, node: str, silence_s: float = _SILENCE_S) -> None:
        self._address = NodeAddress.parse(url) if isinstance(url, str) else url
        self._node = node
        self._silence_s = silence_s
        self._client_id = str(uuid.uuid4())
        self._watches: set[PromptWatch] = set()
        self._watches_lock = threading.Lock()
        self._running: str | None = None
        self._socket: socket.socket | None = None
        self._heard = threading.Event()
        self._closing = threading.Event()
        self._was_connected: bool | None = None
        self._thread = threading.Thread(target=self._run, name=f"events-{node}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def client_id(self) -> str:
        """The id to post prompts under: of the live connection, or of the one that is next."""
        return self._client_id

    @property
    def connected(self) -> bool:
        """Whether this connection has brought a message: only then ComfyUI has registered it."""
        return self._heard.is_set()

    def watch(
        self,
        prompt_id: str,
        *,
        graph_nodes: Collection[str] = (),
    ) -> PromptWatch:
        """Begin to listen for a prompt. Do it before the post: messages may precede its answer.

        Args:
            graph_nodes: the ids in the graph, the total that progress counts up to.
        """
        watch = PromptWatch(prompt_id, graph_nodes=graph_nodes, on_close=self._forget)
        with self._watches_lock:
            self._watches.add(watch)
        return watch

    def close(self) -> None:
        """End the connection and its thread; takes a second at most.

        A thread that just waits for an address where nobody answers ends by itself after it.
        """
        self._closing.set()
        deadline = time.monotonic() + _CLOSE_S
        while self._thread.is_alive() and time.monotonic() < deadline:
            if line := self._socket:
                shut_down(line)
            self._thread.join(0.05)

    def _forget(self, watch: PromptWatch) -> None:
        with self._watches_lock:
            self._watches.discard(watch)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except (OSError, WebSocketException, *UNREADABLE) as exc:
                self._log_change(connected=False, why=_reason(exc))
            except Exception:  # noqa: BLE001 - without this thread every prompt would stay silent
                _log.exception("node %s: reading its events failed", self._node)
            if time.monotonic() - began > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            self._client_id = str(uuid.uuid4())
            self._closing.wait(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    def _listen(self) -> None:
        """Connect, and hand on what comes until the connection ends, which raises."""
        with closing(self._dial()) as line:
            self._socket = line
            self._running = None
            connection = self._shake_hands(line)
            try:
                while not self._closing.is_set():
                    opcode, message = self._receive(connection)
                    if not self._heard.is_set():
                        self._heard.set()
                        self._log_change(connected=True)
                    if opcode == ABNF.OPCODE_TEXT:
                        self._dispatch(message)
                    elif opcode == ABNF.OPCODE_BINARY:
                        self._dispatch_preview(message)
            finally:
                self._socket = None
                self._heard.clear()

    def _dial(self) -> socket.socket:
        # With a socket of its own making, the library would follow $http_proxy; its option
        # against that is ignored unless a proxy is given as well (1.9).
        line = socket.create_connection((self._address.host, self._address.port), _CONNECT_S)
        if not self._address.is_encrypted:
            return line
        context = ssl.create_default_context(cafile=ca_file())
        return context.wrap_socket(line, server_hostname=self._address.host)

    def _shake_hands(self, line: socket.socket) -> WebSocket:
        with time_limit(_HANDSHAKE_S, lambda: shut_down(line)):
            connection = websocket.create_connection(
                self._address.websocket(self._client_id),
                socket=HandshakeSocket(line),
                class_=BoundedWebSocket,
                suppress_origin=True,  # ComfyUI answers 403 to an Origin that is not its own
                redirect_limit=0,
                header=dict(self._address.credentials.headers),
                # It would go byte by byte in Python; large graphs send megabytes, and JSON checks too.
                skip_utf8_validation=True,
            )
        connection.sock = line
        line.settimeout(self._silence_s)
        connection.send(OFFER)
        return connection

    def _receive(self, connection: WebSocket) -> tuple[int, bytes]:
        """Return the next frame: its opcode and what it holds.

        Raises:
            WebSocketTimeoutException: not even a ping was answered.
        """
        try:
            opcode, frame = connection.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            connection.ping()
            opcode, frame = connection.recv_data_frame(control_frame=True)
        if opcode == ABNF.OPCODE_CLOSE:
            raise WebSocketException("closed by the node")
        return opcode, frame.data

    def _dispatch(self, text: bytes) -> None:
        with self._watches_lock:
            watches = tuple(self._watches)
        if not watches:
            return
        try:
            message = read_json(text)
            kind, data = str(message["type"]), message["data"]
            prompt_id = data["prompt_id"]
        except UNREADABLE:
            return  # about the queue, or about the prompt that runs without saying which
        if kind in _RUNS:
            self._running = prompt_id
        for watch in watches:
            if watch.prompt_id == prompt_id:
                self._deliver(watch, kind, data)

    def _dispatch_preview(self, frame: bytes) -> None:
        with self._watches_lock:
            watches = tuple(self._watches)
        if not watches:
            return
        if preview := preview_of(frame):
            prompt_id = self._running if preview.prompt_id is None else preview.prompt_id
            for watch in watches:
                if watch.prompt_id == prompt_id:
                    watch.on_preview(preview)

    def _deliver(self, watch: PromptWatch, kind: str, data: dict[str, Any]) -> None:
        """Hand one message on; an odd one costs no other, and not the connection."""
        try:
            with read_as_expected(self._node, f"its message {kind!a:.40}"):
                watch.on_message(kind, data)
        except NodeFault as exc:
            _log.warning("%s; it is passed over", exc)

    def _log_change(self, *, connected: bool, why: str = "") -> None:
        """Log a change, not every attempt."""
        if connected == self._was_connected or self._closing.is_set():
            return
        self._was_connected = connected
        if connected:
            _log.info("node %s: its events arrive from %s", self._node, self._address)
        else:
            _log.warning(
                "node %s: no events from %s (%s); prompts are polled until they are back",
                self._node,
                self._address,
                why,
            )


def _reason(exc: Exception) -> str:
    if isinstance(exc, WebSocketBadStatusException):
        # Its text holds all headers and the page that came with them.
        return f"the handshake was answered {exc.status_code}"
    return escaped(abridged(str(exc), most=300)) or type(exc).__name__
