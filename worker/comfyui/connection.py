"""HTTP connections to one node, kept alive; every failure is raised as a NodeError."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.exceptions import ChunkedEncodingError

from producer.contract.config.node_address import NodeAddress
from worker.comfyui.certificates import ca_file
from worker.comfyui.proxies import Asked, credentials_advice, proxy_error, web_page_error
from worker.errors import NodeError, NodeFault, NodeTimeout, NodeUnreachable
from worker.foreign_data import (
    SMALL_BYTES,
    UNREADABLE,
    WHOLE_S,
    TooMuch,
    read_json,
    read_whole,
)
from worker.open_connections import CuttableAdapter, NotInTime, cuts

#: Seconds. A node in the same network that has not taken a connection by then is gone.
CONNECT_S: Final = 3.0
#: Seconds of silence. ComfyUI's event loop stands still while it stores an upload, or while
#: a loading model holds the interpreter's lock: seconds, now and then.
READ_S: Final = 30.0
#: The same for requests that ask for nearly nothing.
SMALL_READ_S: Final = 20.0

#: Eight attempts, two files of each at once, and whatever else is asked.
_POOL_SIZE: Final = 24
#: Cookies that are kept: balancers keep a client at one server by one. They go back with each request.
_MOST_COOKIES: Final = 20
_SHOWN_BYTES: Final = 200
_NOT_THERE: Final = "is ComfyUI running there, and started with --listen if it is not local?"
_TOO_MANY_FILES: Final = "the worker has as many files open as it may; raise its limit (ulimit -n)"


class Connection:
    """One node's HTTP; any number of threads may use it at once."""

    def __init__(self, address: NodeAddress, *, node: str, read_s: float) -> None:
        self.node = node
        self.address = address
        self._read_s = read_s
        # One session for all threads: nothing changes it after this line, and the pool of
        # connections below it has its own locks.
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy in the environment is not for GPU nodes
        self._session.verify = ca_file()
        self._session.headers.update(address.credentials.headers)
        self._session.params = dict(address.credentials.query)
        adapter = CuttableAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    @property
    def silence_s(self) -> float:
        """How long the node may be silent by default, s."""
        return self._read_s

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        connect_s: float = CONNECT_S,
        read_s: float | None = None,
        silence_s: float | None = None,
        limit_bytes: int = SMALL_BYTES,
        stream: bool = False,
        **request: Any,
    ) -> requests.Response:
        """Send one request and return the answer, whatever its status.

        Args:
            connect_s: seconds until the node must have taken a new connection. urllib3 also
                holds every write of the body to it.
            read_s: seconds the node may be silent, every time we read, where the usual would be
                too patient.
            silence_s: the same where the usual would not be patient enough.
            limit_bytes: of the answer's body, unpacked; it comes within `WHOLE_S`.
            stream: leave the body to the caller, and its bounds too.
            request: what `requests.Session.request` takes.
        """
        with self.translated(f"{method} {path}"):
            before = cuts()
            response = self._session.request(
                method,
                self.address.http(path),
                timeout=(connect_s, silence_s or min(read_s or self._read_s, self._read_s)),
                allow_redirects=False,  # ComfyUI never does; a login page is no answer
                stream=True,
                **request,
            )
            if len(self._session.cookies) > _MOST_COOKIES:
                self._session.cookies.clear()
            if not stream:
                self._read(response, limit_bytes, max(WHOLE_S, silence_s or 0))
            if cuts() != before:  # half an answer without a length looks like a whole one
                raise requests.ConnectionError("nobody waits for the answer any more")
        if error := proxy_error(response, self._asked(response)):
            response.close()
            raise error
        return response

    def get_object(
        self, path: str, *, read_s: float | None = None, limit_bytes: int = SMALL_BYTES
    ) -> dict[str, Any]:
        """Return the JSON object at *path*."""
        return self.object_in(self.send("GET", path, read_s=read_s, limit_bytes=limit_bytes))

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Post *body* where the answer says nothing but that it arrived."""
        self.accepted(self.send("POST", path, json=body, read_s=SMALL_READ_S))

    def accepted(self, response: requests.Response) -> requests.Response:
        """Return *response* if its status is 200.

        Raises:
            NodeFault: it is another.
        """
        if response.status_code != HTTPStatus.OK:
            raise self.fault(response)
        return response

    def object_in(self, response: requests.Response) -> dict[str, Any]:
        """Return the JSON object that an accepted *response* holds.

        Raises:
            NodeFault: another status, or no JSON object.
        """
        return self.decoded(self.accepted(response))

    def decoded(self, response: requests.Response) -> dict[str, Any]:
        """Return the JSON object that *response* holds, whatever its status."""
        try:
            found = read_json(response.content)
        except TooMuch as exc:
            raise self.fault(response, str(exc)) from None
        except (ValueError, RecursionError, MemoryError) as exc:
            page = response.ok and web_page_error(response, self._asked(response))
            raise page or self.fault(response, "with something that is not JSON") from exc
        if not isinstance(found, dict):
            raise self.fault(response, "with JSON that is no object")
        return found

    def fault(self, response: requests.Response, how: str = "") -> NodeFault:
        """Say what was asked and how the node answered."""
        status = response.status_code
        how = how or f"{status} {_beginning(response)}".strip()
        said = self.address.credentials.scrubbed(f"{self._asked(response).what} was answered {how}")
        return NodeFault(self.node, said, advice=credentials_advice(response))

    def _read(self, response: requests.Response, limit_bytes: int, within_s: float) -> None:
        try:
            read_whole(response, limit_bytes=limit_bytes, within_s=within_s)
        except TooMuch as exc:
            raise self.fault(response, str(exc)) from None

    def _asked(self, response: requests.Response) -> Asked:
        path = urlsplit(response.url).path
        return Asked(self.node, f"{response.request.method} {path} at {self.address}")

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turn what requests raises into a NodeError that says where and *doing* what."""
        where = f"{doing} at {self.address}"
        try:
            yield
        except requests.RequestException as exc:
            # Not from exc: its text holds the URL as it was sent, with a token in its query.
            raise self._error(where, exc) from network_cause(exc)
        except UNREADABLE as exc:  # requests reads a Location that it is not to follow
            said = self.address.credentials.scrubbed(f"{type(exc).__name__}: {exc}")
            raise NodeFault(self.node, f"{where}: its answer makes no sense ({said})") from exc

    def _error(self, where: str, exc: requests.RequestException) -> NodeError:
        if isinstance(exc, requests.ConnectTimeout):  # also a Timeout, but nobody was there
            why = f"{where}: nobody took the connection"
            return NodeUnreachable(self.node, why, advice=_NOT_THERE)
        cause = network_cause(exc)
        if isinstance(cause, NotInTime):
            return NodeTimeout(self.node, f"{where}: the head of its answer was {cause}")
        if isinstance(exc, requests.Timeout):
            return NodeTimeout(self.node, f"{where}: connected, then silent for too long")
        if not isinstance(exc, requests.ConnectionError | ChunkedEncodingError):
            said = self.address.credentials.scrubbed(str(exc))
            return NodeFault(self.node, f"{where}: {said}")
        if isinstance(cause, TimeoutError):
            # Silence within a body, or while ours is sent, is no requests.Timeout.
            return NodeTimeout(self.node, f"{where}: silent for too long in the middle")
        is_ours = isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE)
        return NodeUnreachable(
            self.node,
            f"{where}: {self.address.credentials.scrubbed(_reason(cause or exc))}",
            advice=_TOO_MANY_FILES if is_ours else _NOT_THERE,
        )


def network_cause(exc: BaseException) -> OSError | HTTPException | None:
    """Return what the socket, or the HTTP reader on it, said first; requests hides it deep."""
    cause: BaseException | None = exc
    while cause is not None:
        # requests' own errors are OSErrors by descent alone.
        if isinstance(cause, OSError | HTTPException) and not isinstance(
            cause, requests.RequestException
        ):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _reason(cause: BaseException) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _beginning(response: requests.Response) -> str:
    """Return how an answer that was read whole begins: ComfyUI's reason, or a proxy's page."""
    text = response.content[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
    return text.splitlines()[0] if text else response.reason or ""
