"""A store with faults: a relay before the real one, which answers in its place or loses answers."""

from __future__ import annotations

import http.client
import re
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.integration.object_store.providers import Refusal

CUT = object()


class FaultyStore(ThreadingHTTPServer):
    """Passes requests on to the real store, with a fault.

    Args:
        lose: of the requests whose first line matches, the first answer is lost after it was given.
        before: called with each request; may return a status, or a `providers.Refusal`, to answer
            with in the store's place, or `CUT`, to close the connection.
        told: called with each request and the store's `{header: value}`; returns those to answer with.
        keeps_metadata: whether the metadata that came with an object is given out again.
    """

    daemon_threads = True

    def __init__(self, upstream, *, lose=None, before=None, told=None, keeps_metadata=True):
        super().__init__(("127.0.0.1", 0), Relay)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.upstream = urlsplit(upstream).netloc
        self.before = before
        self.told = told or (lambda _request, headers: headers)
        self.keeps_metadata = keeps_metadata
        self.lost = []
        self._lose = lose

    def loses(self, line):
        return self._lose and not self.lost and re.search(self._lose, line)


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.before and (refusal := self.server.before(self)):
            if refusal is CUT:
                self.close_connection = True
            else:
                self.refuse(Refusal(refusal, "") if isinstance(refusal, int) else refusal)
            return
        with closing(http.client.HTTPConnection(self.server.upstream, timeout=10)) as upstream:
            passed_on = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            upstream.request(self.command, self.path, body, passed_on)
            given = upstream.getresponse()
            content = given.read()
        if self.server.loses(f"{self.command} {self.path}"):
            self.server.lost.append(given.status)
            self.close_connection = True
            return
        self.answer(given.status, self.server.told(self, dict(given.getheaders())).items(), content)

    def refuse(self, refusal):
        body = refusal.body if refusal.code and self.command != "HEAD" else b""
        self.answer(refusal.status, refusal.headers.items(), body)

    def answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            is_dropped = name.lower().startswith("x-amz-meta-") and not self.server.keeps_metadata
            if name.lower() != "transfer-encoding" and not is_dropped:
                self.send_header(name, value)
        if self.command != "HEAD" and "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815 - the library's names

    def log_message(self, *_):
        pass


@contextmanager
def faulty_store(upstream, **fault):
    with FaultyStore(upstream, **fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
