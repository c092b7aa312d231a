"""Connection to the HTTP API: one address and one key, bounded times, repeats where they are safe."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from producer.contract.arguments import checked
from producer.contract.errors import FleetError, FleetUnreachable, InvalidSettings
from producer.over_http.answers import (
    EndlessAnswer,
    formed,
    lines_of,
    paced,
    read_whole,
    why_broken,
)
from producer.over_http.bodies import encoded
from producer.over_http.problems import error_of, retry_after
from producer.over_http.sessions import new_session

T = TypeVar("T")

#: Tries of one call, the first included.
_TRIES: Final = 3
#: The pause before the second try and, doubled, before the third, s; ± half.
_PAUSE_S: Final = 0.3
#: A longer `Retry-After` is for the caller to wait for.
_LONGEST_PAUSE: Final = timedelta(seconds=5)
#: Of what the API, or a proxy before it, cannot answer now. Whether it was done is unknown.
_AWAY: Final = frozenset({502, 503, 504})
_GOOD: Final = range(200, 300)
_MISSING: Final = 404
_TOO_MANY: Final = 429
#: Bytes of an answer that are read at once.
_READ: Final = 1 << 16
_CONNECT_S: Final = 3.0
#: What each path begins with, and people know as the end of an address.
_VERSION: Final = "/v1"


class Connection:
    """Sends requests with the key of one owner. Thread-safe.

    Args:
        url: the API's address, as `https://fleet.example`; with `/v1` at its end it is the same.
        timeout: how long one try may wait for an answer to begin.
        session: for a proxy, or certificates of one's own.

    Raises:
        InvalidSettings: the address is of another form, or the key is none.
    """

    def __init__(
        self, url: str, key: str, *, timeout: timedelta, session: requests.Session | None = None
    ) -> None:
        self.url = _base(url)
        self._timeout_s = checked(timeout, timedelta, field="timeout").total_seconds()
        self._auth = _Bearer(_secret(key))
        self._session = session or new_session()
        self._agent = f"comfyfleet-http/{version('comfyfleet')}"

    def __call__(
        self,
        method: str,
        path: str,
        *,
        is_safe: bool | None = None,
        may_redirect: bool = False,
        may_lack: bool = False,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send a request until it is answered well, up to three times; return the answer.

        Args:
            is_safe: whether it may be sent again when it may have been done; as a GET may by default.
            may_redirect: whether a redirect is a good answer; none is followed.
            may_lack: whether that there is no such thing (404) is one.
            timeout_s: in place of the connection's.
            body: it is sent as JSON.
            options: of `requests.Session.request`.

        Raises:
            InvalidJob: JSON cannot say what the body holds.
            FleetUnreachable: no answer came, or not from the API.
            FleetError: the error that the answer is.
        """
        if body is not None:
            options["data"] = encoded(body)
            headers = {"Content-Type": "application/json", **(headers or {})}
        is_safe = method == "GET" if is_safe is None else is_safe
        for number in range(1, _TRIES + 1):
            try:
                answer = self.send(method, path, timeout_s=timeout_s, headers=headers, **options)
            except FleetUnreachable as exc:
                may_help = is_safe and not isinstance(exc.__cause__, EndlessAnswer)
                if number == _TRIES or not (may_help or _was_never_sent(exc)):
                    raise
                pause = timedelta(0)
            else:
                if _is_good(answer, may_redirect=may_redirect):
                    return answer
                wanted = _pause(answer, is_safe=is_safe)
                if wanted is None or number == _TRIES:
                    error = error_of(answer)
                    if may_lack and answer.status_code == _MISSING and _is_of_api(error):
                        return answer
                    raise error
                pause = wanted
            own_s = _PAUSE_S * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            time.sleep(max(own_s, pause.total_seconds()))
        raise AssertionError("the last try returns or raises")

    def send(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send a request once, and return its answer, whatever it is: read as a whole, or with `stream` if it is a good one.

        Raises:
            FleetUnreachable: no answer came, or it has no end.
        """
        limits = (_CONNECT_S, timeout_s or self._timeout_s)
        is_stream = options.pop("stream", False)
        try:
            answer = self._session.request(
                method,
                self.url + path,
                auth=self._auth,
                timeout=limits,
                allow_redirects=False,
                stream=True,
                headers={"User-Agent": self._agent, **(headers or {})},
                **options,
            )
            if not (is_stream and _is_good(answer)):
                read_whole(answer)
        except requests.RequestException as exc:
            raise self._unreachable(exc) from exc
        except (HTTPError, OSError) as exc:
            raise self._unreachable(why_broken(exc)) from exc
        return answer

    def _unreachable(self, why: requests.RequestException) -> FleetUnreachable:
        return FleetUnreachable(
            f"the API at {self.url} does not answer: {_reason(why)}",
            advice="is it started (comfyfleet api), and is this its address?",
        )

    def read(self, form: Callable[[Any], T], method: str, path: str, **options: Any) -> T:
        """Return what an answer says, in a form; arguments and errors as of a call.

        Raises:
            FleetUnreachable: the answer is no JSON, or *form* can make nothing of it.
        """
        return formed(self(method, path, **options), form)

    def lines(self, answer: requests.Response) -> Iterator[str]:
        """Yield the lines of an answer as they come, without their ends; raises FleetUnreachable where it is cut off."""
        try:
            yield from lines_of(answer.iter_content(_READ))
        except requests.RequestException as exc:
            raise self._unreachable(exc) from exc

    def fetched(self, url: str) -> Iterable[bytes]:
        """Return the content of another address, a presigned one, without the key.

        Raises:
            requests.RequestException: it cannot be read, or is elsewhere: nobody follows it there.
        """
        answer = self._session.get(
            url, stream=True, timeout=(_CONNECT_S, 60), auth=_no_auth, allow_redirects=False
        )
        answer.raise_for_status()
        if answer.is_redirect:
            raise requests.TooManyRedirects("the store's answer is a redirect")
        return paced(answer)

    def close(self) -> None:
        """Close all connections; they are opened again at the next call."""
        self._session.close()


class _Bearer(requests.auth.AuthBase):
    """The key; given as `auth`, it cannot be replaced by what a netrc file says of the host."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _base(url: str) -> str:
    text = checked(url, str, field="url").strip()
    parts = _parts(text)
    if parts is None:
        raise InvalidSettings("url: expected the API's address, as https://fleet.example")
    if parts.username is not None or parts.password is not None:
        raise InvalidSettings("url: the key does not belong into the address; give it as key=")
    text = text.rstrip("/")
    if parts.path.rstrip("/").endswith(_VERSION):  # not a host of this name
        text = text.removesuffix(_VERSION).rstrip("/")
    return text


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address to which paths can be added; None if it is none."""
    if "?" in url or "#" in url or "\\" in url or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port beyond 65535, or half of an IPv6 address
        return None
    return parts if is_one else None


def _secret(key: str) -> str:
    found = checked(key, str, field="key").strip()
    if not found or not found.isascii() or not found.isprintable() or " " in found:
        raise InvalidSettings(
            "key: expected an access key, as comfyfleet key create prints: cfk_..."
        )
    return found


def _is_good(answer: requests.Response, *, may_redirect: bool = False) -> bool:
    return answer.is_redirect if may_redirect else answer.status_code in _GOOD


def _is_of_api(error: FleetError) -> bool:
    return not isinstance(error, FleetUnreachable)


def _pause(answer: requests.Response, *, is_safe: bool) -> timedelta | None:
    """Return how long to wait before the request is sent again; None if it must not be."""
    was_refused = answer.status_code == _TOO_MANY and b"too-many-requests" in answer.content
    if not (was_refused or (is_safe and answer.status_code in _AWAY)):
        return None
    pause = retry_after(answer) or timedelta(0)
    return pause if pause <= _LONGEST_PAUSE else None


def _was_never_sent(error: FleetError) -> bool:
    cause = error.__cause__
    inner = cause.args[0] if cause and cause.args else None
    return isinstance(getattr(inner, "reason", inner), NewConnectionError | ConnectTimeoutError)


def _reason(error: requests.RequestException) -> str:
    """Return why, in a few words: the library's own text shows objects' addresses."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted, or it does not speak TLS"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return str(inner.strerror).lower()
        inner = inner.__cause__ or inner.__context__
    return "the connection ended"
