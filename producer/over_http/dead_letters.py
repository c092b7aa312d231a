"""Dead letters over HTTP, with the scope `admin`; `HttpProducer.dead_letters` is one of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from producer.contract.arguments import checked, job_id_of
from producer.contract.dead_letters import DeadLetter
from producer.contract.jobs import Job
from producer.contract.outcomes import Submitted
from producer.over_http.answers import each, formed
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
        return self.redrive_once(job_id, secrets=secrets).job

    def redrive_once(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Submitted:
        """Submit a dead letter again, and tell whether that was done before; as of `DeadLetters.redrive_once`."""
        body = {"secrets": mapping(secrets or {}, "secrets")}
        # It is made once, however often it is asked for.
        answer = self._connection("POST", _path(job_id, "/redrive"), body=body, is_safe=True)
        return Submitted(formed(answer, Job.model_validate), answer.status_code == 200)  # noqa: PLR2004

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
