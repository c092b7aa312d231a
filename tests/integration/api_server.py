"""A process of the HTTP API, and a client with a key, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from infra.local.ports import choose_ports
from tests.polling import wait_until

#: A graph that no node needs to know.
GRAPH = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}},
}


class ApiUrl(str):  # noqa: SLOT000 - it has a field
    """The address of a process of the API, and its process id."""

    pid: int = 0


@contextmanager
def running_api(
    settings: dict[str, Any],
    log: Path,
    *,
    program: Sequence[str] = ("-m", "producer.http"),
    **environment: str,
) -> Iterator[ApiUrl]:
    """Yield the address of a process of the API that lives as long as the block.

    Args:
        program: what Python runs; it takes the arguments of `comfyfleet api`.
    """
    port = choose_ports(["api"], {})["api"]
    named = {f"COMFYFLEET_{name.upper()}": str(value) for name, value in settings.items()}
    with (
        log.open("ab") as written,
        subprocess.Popen(
            [sys.executable, *program, "--port", str(port)],
            env={**os.environ, **named, **environment},
            stdout=written,
            stderr=written,
        ) as process,
    ):
        url = ApiUrl(f"http://127.0.0.1:{port}")
        url.pid = process.pid
        try:
            wait_until(lambda: is_live(process, url), description="the API serves", within_s=60)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def is_live(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "the API has ended"
    try:
        return requests.get(f"{url}/livez", timeout=2).ok
    except requests.ConnectionError:
        return False


@dataclass
class Client:
    """Sends requests with a key."""

    url: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return self.session.request(
            method, self.url + path, headers=headers, timeout=60, allow_redirects=False, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self("POST", path, json=body, **options)

    def submit(self, **fields: Any) -> dict[str, Any]:
        """Hand a job in, and return it."""
        answer = self.post("/v1/jobs", {"graph": GRAPH, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


def problem(answer: requests.Response, status: int, kind: str) -> dict[str, Any]:
    """Return a problem, which must be whole."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"].endswith(f"/{kind}.md"), told
    assert {"title", "status", "detail", "retryable", "errors"} <= told.keys()
    assert told["status"] == status
    assert told["retryable"] is ("retry-after" in answer.headers)
    return told
