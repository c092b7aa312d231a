"""`python -m tests.chaos.fleet.receiver PORT WEBHOOKS JOURNAL`: who is told of ends, as a shop would write it.

It verifies each message by the library of the standard, writes down what it got, and then answers 204. WEBHOOKS is a
file of JSON, `{path: {"hook": "owner:name", "secret": ...}}`. It shares no code with the product.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.chaos.fleet.journal import Journal

_TAKEN: Final = 204
_REFUSED: Final = 401


class Receiver(ThreadingHTTPServer):
    """Takes messages at the paths of its webhooks."""

    daemon_threads = True

    def __init__(self, port: int, webhooks: Path, journal: Path) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._webhooks = webhooks
        self._journal = Journal(journal)

    def take(self, path: str, headers: dict[str, str], body: str) -> int:
        """Write a message down; return the status of the answer."""
        known = json.loads(self._webhooks.read_text())[path]
        got: dict[str, Any] = {"hook": known["hook"], "id": headers.get("webhook-id", "")}
        try:
            got["message"] = Webhook(known["secret"]).verify(body, headers)
        except WebhookVerificationError as exc:
            got |= {"why": repr(exc), "body": body[:1000]}
        status = _TAKEN if "message" in got else _REFUSED
        self._journal.write({**got, "answer": status})
        return status


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take one message, if it is whole: of one that was cut off nothing is known."""
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode()
        if not length or len(body) < length:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.take(self.path, headers, body))
        self.end_headers()

    def do_GET(self) -> None:
        """Say that it is there."""
        self.send_response(_TAKEN)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: what counts stands in the journal."""


if __name__ == "__main__":
    Receiver(int(sys.argv[1]), *map(Path, sys.argv[2:])).serve_forever()
