"""A browser, the page of the documentation, and what `comfyfleet up` starts for it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.polling import wait_until

expect.set_options(timeout=60_000)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Up:
    """What `comfyfleet up` has started, as it printed it."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def api(self) -> str:
        return re.search(r"^API: (\S+)", self.log.read_text(), re.MULTILINE)[1]

    @property
    def key(self) -> str:
        return re.search(r"cfk_[A-Za-z0-9_-]+", self.log.read_text())[0]

    def kill_api(self) -> None:
        """Kill the API's process; it is started again by itself."""
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = command.read_bytes().split(b"\0")
            except OSError:
                continue
            port = self.api.rpartition(":")[2].encode()
            if b"producer.http" in b" ".join(words) and port in words:
                os.kill(int(command.parent.name), signal.SIGKILL)
                return
        raise AssertionError("the API's process is not there")


@pytest.fixture(scope="session")
def up(tmp_path_factory) -> Iterator[Up]:
    """The stack, with one node."""
    folder = tmp_path_factory.mktemp("up")
    log = folder / "up.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("comfyfleet"), "up", "--nodes", "1"],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if "COMFYFLEET" not in name},
            stdout=written,
            stderr=written,
        )
    try:

        def is_up() -> bool:
            assert process.poll() is None, log.read_text()
            return "The stack is up." in log.read_text()

        wait_until(is_up, description="the stack is up", within_s=120)
        yield Up(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def served(host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the examples, as the page itself says; yield the page's address."""
    handler = partial(_Quiet, directory=ROOT / "docs/examples")
    with ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}/browser.html"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the machine's own, else Playwright's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or None)
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A fresh page of which no script fails."""
    page = browser.new_page(viewport={"width": 1100, "height": 820})
    page.set_default_timeout(60_000)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    yield page
    page.close()
    assert failed == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots are left, to be looked at."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
