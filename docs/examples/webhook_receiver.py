"""A receiver of webhooks: verifies each message by its secret, and says what it tells.

    python webhook_receiver.py webhook.json 9000

`webhook.json` is what the HTTP API answered when the webhook was registered: its `secret` is shown that once. It needs
the library `standardwebhooks`, as there is one for most languages, and listens at this machine alone.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

_LONGEST = 1 << 20  # bytes; a message has 256 KiB at most


def receiver(port: int, secret: str) -> ThreadingHTTPServer:
    """Return a server that takes messages signed by a secret, and no others."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(min(length, _LONGEST))
            try:
                message = Webhook(secret).verify(body, dict(self.headers.items()))
            except (WebhookVerificationError, ValueError) as error:
                print(f"refused: {error}", flush=True)
                self.send_error(401)
                return
            # Answer at once, and work afterwards: the same message may come twice, under one webhook-id.
            self.send_response(204)
            self.end_headers()
            print(f"verified: {message['type']} {message['data'].get('id', '')}", flush=True)

        def log_message(self, *_: object) -> None:
            """Print nothing but what is printed above."""

    return ThreadingHTTPServer(("127.0.0.1", port), Receiver)


if __name__ == "__main__":
    registered = json.loads(Path(sys.argv[1]).read_text())
    receiver(int(sys.argv[2]), registered["secret"]).serve_forever()
