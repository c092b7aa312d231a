"""Dead letters over HTTP, with the scope `admin`; `HttpProducer.dead_letters` is one of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from producer.contract.arguments import checked, job_id_of
from producer.contract.dead_letters import DeadLetter
from producer.contract.jobs import Job
from producer.over_http.answers import each
from producer.over_http.bodies import mapping
from producer.over_http.connection import Connection

_PATH: Final = "/v1/dead-letters"
#: That a page lists.
_MOST: Final = 1_000


class HttpDeadLetters:
    """The same as `Producer.dead_letters`, but for `ids` and `prune`: `list` gives and prunes as much."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, limit: int = 50) -> list[DeadLetter]:
        """Return up to *limit* dead letters, 1,000 at most, the newest first; all as of `DeadLetters.list`."""
        if checked(limit, int, field="limit") < 1:
            return []
        query = {"limit": min(limit, _MOST)}
        return self._connection.read(each(DeadLetter, "dead_letters"), "GET", _PATH, params=query)

    def show(self, job_id: str) -> DeadLetter:
        """Return one dead letter; errors as of `DeadLetters.show`."""
        return self._connection.read(DeadLetter.model_validate, "GET", _path(job_id))

    def redrive(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Job:
        """Submit a dead letter again as a new job; all as of `DeadLetters.redrive`."""
        body = {"secrets": mapping(secrets or {}, "secrets")}
        path = _path(job_id, "/redrive")
        # It is made once, however often it is asked for.
        return self._connection.read(Job.model_validate, "POST", path, body=body, is_safe=True)

    def drop(self, job_id: str) -> bool:
        """Remove a job from the list, keeping its record; return whether it was on the list."""
        return self._connection("DELETE", _path(job_id), may_lack=True).ok

    def causes(self) -> Counter[str]:
        """Return the number of dead letters by cause."""
        return self._connection.read(_causes, "GET", f"{_PATH}/causes")


def _causes(told: Any) -> Counter[str]:
    return Counter({str(cause): int(count) for cause, count in told["causes"].items()})


def _path(job_id: str, end: str = "") -> str:
    return f"{_PATH}/{job_id_of(job_id)}{end}"
