"""A plain client of one ComfyUI, real or stood in for: it says what was asked and what came back."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Any, Self

import requests
import websocket

#: The real ComfyUI to hold the contract against, if there is one.
REAL_URL = os.environ.get("COMFYUI_URL")
#: Seconds that any single thing may take, also on a busy machine.
PATIENCE = 20.0
#: Seconds of silence that count as "hears nothing", after the message was seen elsewhere.
SILENCE = 0.3

#: Colours and nonces, never the same twice: an identical graph node would come from the cache.
_fresh = count(uuid.uuid4().int % 10_000_000)


def fresh() -> int:
    """Return a number that no graph had before."""
    return next(_fresh)


def new_id() -> str:
    """Return a prompt id or client id."""
    return str(uuid.uuid4())


def wait_until(predicate: Callable[[], Any], *, description: str) -> Any:
    """Poll *predicate* until it is truthy and return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (found := predicate()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {description}"
        time.sleep(0.01)
    return found


class Ears:
    """One websocket and everything it has heard."""

    def __init__(self, url: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self._socket = websocket.create_connection(url, timeout=PATIENCE)
        self.sid = self.until(lambda one: one["type"] == "status")["data"]["sid"]

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Listen until a message is *wanted* and return it."""
        while True:
            message = self._next()
            if message is not None and wanted(message):
                return message

    def until_done(self, prompt_id: str) -> list[dict[str, Any]]:
        """Listen until that prompt's last message; return what was heard since the last call."""
        start = len(self.heard)
        self.until(lambda one: is_end(one, prompt_id))
        return self.heard[start:]

    def hears_nothing(self) -> bool:
        """Whether nothing comes for a while."""
        self._socket.settimeout(SILENCE)
        try:
            self._next()
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def say(self, text: str) -> None:
        """Send a text frame."""
        self._socket.send(text)

    def close(self) -> None:
        """Close the socket and wait until the server did too."""
        self._socket.close(timeout=1)

    def _next(self) -> dict[str, Any] | None:
        frame = self._socket.recv()
        if isinstance(frame, bytes):
            self.frames.append(frame)
            return None
        message = json.loads(frame)
        self.heard.append(message)
        return message


def is_end(message: dict[str, Any], prompt_id: str) -> bool:
    """Whether it is the last message of that prompt."""
    data = message["data"]
    is_null = message["type"] == "executing" and data["node"] is None
    return is_null and data.get("prompt_id") == prompt_id


class Comfy:
    """One ComfyUI and what a worker does with it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = requests.Session()
        self._ears: list[Ears] = []
        self.version = self.get("/system_stats").json()["system"]["comfyui_version"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.hang_up()
        self.http.close()

    @property
    def is_current(self) -> bool:
        """Whether it has what came with 0.33 or before."""
        numbers = tuple(int(part) for part in self.version.split(".")[:2])
        return numbers >= (0, 33)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path."""
        return self.http.get(self.url + path, timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        """POST to a path."""
        return self.http.post(self.url + path, timeout=PATIENCE, **options)

    def submit(self, graph: dict[str, Any], **fields: Any) -> requests.Response:
        """POST a graph to `/prompt` and return whatever the answer is."""
        return self.post("/prompt", json={"prompt": graph, **fields})

    def queue_prompt(self, graph: dict[str, Any], **fields: Any) -> str:
        """POST a graph that must be accepted; return its prompt id."""
        fields.setdefault("prompt_id", new_id())
        answer = self.submit(graph, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.json()["node_errors"] == {}
        return answer.json()["prompt_id"]

    def run(self, graph: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """POST a graph, wait for its end and return its history entry."""
        return self.ended(self.queue_prompt(graph, **fields))

    def entry(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a prompt, or None."""
        return self.get(f"/history/{prompt_id}").json().get(prompt_id)

    def ended(self, prompt_id: str) -> dict[str, Any]:
        """Wait for the history entry of a prompt."""
        return wait_until(lambda: self.entry(prompt_id), description=f"the end of {prompt_id}")

    def started(self, prompt_id: str) -> None:
        """Wait until a prompt runs."""
        wait_until(lambda: prompt_id in self.running(), description=f"the start of {prompt_id}")

    def running(self) -> list[str]:
        """Return the ids of running prompts."""
        return [item[1] for item in self.get("/queue").json()["queue_running"]]

    def pending(self) -> list[str]:
        """Return the ids of pending prompts, in no order."""
        return [item[1] for item in self.get("/queue").json()["queue_pending"]]

    def remaining(self) -> int:
        """Return how many prompts are pending or running."""
        return self.get("/prompt").json()["exec_info"]["queue_remaining"]

    def settle(self) -> None:
        """Drop what waits, stop what runs, and wait until nothing is left."""
        if self.remaining():
            self.post("/queue", json={"clear": True})
            self.post("/interrupt")
            wait_until(lambda: not self.remaining(), description="an empty queue")

    def listen(self, client_id: str | None = None) -> Ears:
        """Open a websocket under *client_id*; it is closed with the test."""
        return self.connect(f"/ws?clientId={client_id or new_id()}")

    def connect(self, path: str) -> Ears:
        """Open a websocket at *path*; it is closed with the test."""
        ears = Ears(f"ws{self.url.removeprefix('http')}{path}")
        self._ears.append(ears)
        return ears

    def hang_up(self) -> None:
        """Close every websocket."""
        while self._ears:
            self._ears.pop().close()

    def upload(self, name: str, content: bytes, **fields: str) -> requests.Response:
        """POST a file to `/upload/image`."""
        return self.post("/upload/image", files={"image": (name, content)}, data=fields)

    def view(self, file: dict[str, str], **options: Any) -> requests.Response:
        """GET the file that a history entry names."""
        named = {key: file[key] for key in ("filename", "subfolder", "type")}
        return self.get("/view", params=named, **options)

    def has(self, class_type: str) -> bool:
        """Whether the node has that class."""
        return bool(self.get(f"/object_info/{class_type}").json())
