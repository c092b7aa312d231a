"""Calls of the HTTP API: each goes to the next of its processes, once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import requests

from tests.chaos.fleet.journal import Journal

#: Of connecting, and of an answer, s.
_TIMEOUTS: Final = (2, 10)
#: What a client is told to ask again for.
_AGAIN: Final = frozenset({408, 429, 503})
MADE, FOUND, ACCEPTED, CONFLICT, UNFIT = 201, 200, 202, 409, 422
#: Whose key sees all, and may do all.
ANYBODY: Final = "*"


class Answer(NamedTuple):
    """What was answered; status 0 stands for no answer, or one that asks to come again."""

    status: int
    body: dict[str, Any]


class HttpCalls:
    """Asks the processes of an API in turn, with a key of whose call it is; threads may share it.

    Args:
        urls: of processes of the API: each request goes to the next.
        keys: access keys by owner; the first owner is that of jobs without one, "*" has a key for all.
        journal: may be another client's.
    """

    def __init__(self, urls: Sequence[str], keys: Mapping[str, str], journal: Journal) -> None:
        self._urls = itertools.cycle(urls)
        self._keys = keys
        self.journal = journal
        self._local = threading.local()

    @property
    def first_owner(self) -> str:
        """Whose what nobody owns is over HTTP."""
        return next(iter(self._keys))

    def knows(self, owner: str) -> bool:
        """Tell whether an owner has a key here; nobody counts as the first owner."""
        return not owner or owner in self._keys

    def ask(
        self,
        owner: str,
        path: str,
        body: dict[str, Any] | str | None,
        *,
        key: str = "",
        part: str = "",
        method: str = "POST",
    ) -> Answer:
        """Ask the next process.

        Args:
            body: JSON, or lines of JSON; None for none.
            key: idempotency key.
            part: which rows of a batch the lines are.
        """
        headers = {"Authorization": f"Bearer {self._keys[owner]}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Range": part, "Content-Type": "application/jsonl"} if part else {}
        sent: dict[str, Any] = {"data": body} if isinstance(body, str) else {"json": body}
        try:
            told = self._session.request(
                method,
                next(self._urls) + path,
                headers=headers,
                timeout=_TIMEOUTS,
                **(sent if body is not None else {}),
            )
            found = told.json()
        except (requests.RequestException, ValueError):
            return Answer(0, {})
        return Answer(0 if told.status_code in _AGAIN else told.status_code, found)

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session
