"""The client of the HTTP API: it repeats what was not answered, at any process, and keeps the same journal."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import requests

from producer.contract.ids import row_id
from tests.chaos.fleet.journal import Journal, said_of, surely
from tests.chaos.fleet.workload import Work

#: Of connecting, and of an answer, s.
_TIMEOUTS: Final = (2, 10)
#: Processes of the API that were killed take a while to come back on two busy cores, s.
_TAKEN_WITHIN_S: Final = 180.0
#: What a client is told to ask again for.
_AGAIN: Final = frozenset({408, 429, 503})
_MADE, _FOUND, _CONFLICT, _UNFIT = 201, 200, 409, 422
_REUSED: Final = "idempotency-key-reuse"
#: Who waits for each job of a request without a webhook of its own.
HOOK: Final = "hook-1"


class Answer(NamedTuple):
    """What was answered; status 0 stands for no answer, or one that asks to come again."""

    status: int
    body: dict[str, Any]


class HttpClient:
    """Hands jobs in as a web backend does, with a key of its owner; threads may share it.

    Args:
        urls: of processes of the API: each request goes to the next.
        keys: access keys by owner; the first owner is that of jobs without one, "*" has a key for all.
        journal: may be another client's.
    """

    def __init__(self, urls: Sequence[str], keys: Mapping[str, str], journal: Journal) -> None:
        self._urls = itertools.cycle(urls)
        self._keys = keys
        self._journal = journal
        self._local = threading.local()

    def submit(
        self,
        work: Work,
        *,
        key: str,
        hook: str = "",
        owner: str = "",
        batch: str = "",
        **where: Any,
    ) -> str | None:
        """Hand a job in once; return its id, or None when there was no answer.

        Args:
            batch: is left out: a single job that is handed in so has none.
            where: `pool`, `tier` and so on, as the API takes them.
        """
        del batch
        owner, hook = owner or next(iter(self._keys)), hook or HOOK
        said = said_of(work, key=key, batch="", hook=hook, owner=owner, **where)
        said["by"] = "http"
        self._journal.write(said | {"answer": "asked", "job": None})
        body = {"graph": work.graph, "params": dict(work.params), "inputs": _inputs(work)}
        told = self._ask(owner, "/v1/jobs", {**body, "hook": hook, **where}, key=key)
        job = told.body.get("id")
        if told.status in {_MADE, _FOUND}:
            self._journal.write(said | {"answer": "accepted", "job": job, "status": told.status})
            return str(job)
        if told.status == _UNFIT and _REUSED in told.body.get("type", ""):
            self._journal.write(said | {"answer": "key reused", "job": ""})
        elif told.status:
            self._journal.write(said | {"answer": "raised", "job": None, "why": repr(told)[:500]})
        else:
            self._journal.write(said | {"answer": "unknown", "job": None})
        return None

    def submit_surely(self, work: Work, *, within_s: float = _TAKEN_WITHIN_S, **how: Any) -> str:
        """Hand a job in as often as it takes, under one key; raises TimeoutError."""
        return surely(lambda: self.submit(work, **how), within_s)

    def submit_rows(
        self, works: Sequence[Work], *, key: str, hook: str = "", owner: str = "", **where: Any
    ) -> list[str] | None:
        """Hand in a batch, of which all requests must be answered; return its jobs' ids, else None."""
        owner, hook = owner or next(iter(self._keys)), hook or HOOK
        asked = {"graph": works[0].graph, "hook": hook, **where}
        begun = self._ask(owner, "/v1/batches", asked, key=key)
        if begun.status not in {_MADE, _FOUND}:
            return self._unmade(begun, key, owner)
        batch = begun.body["id"]
        lines = "".join(json.dumps(dict(work.params)) + "\n" for work in works)
        part = f"rows 0-{len(works) - 1}/*"
        added = self._ask(owner, f"/v1/batches/{batch}/rows", lines, part=part)
        if added.status not in {_FOUND, _CONFLICT}:  # it may be sealed, and nobody heard it
            return self._unmade(added, key, owner)
        sealed = self._ask(owner, f"/v1/batches/{batch}/seal", None)
        if sealed.status != _FOUND:
            return self._unmade(sealed, key, owner)
        jobs = [str(row_id(batch, number)) for number in range(1, len(works) + 1)]
        for job, work in zip(jobs, works, strict=True):
            said = said_of(work, key=job, batch=batch, owner=owner, **where)
            self._journal.write(said | {"answer": "accepted", "job": job, "by": "http"})
        self._journal.write({"do": "open", "batch": batch, "hook": hook})
        return jobs

    def submit_rows_surely(
        self, works: Sequence[Work], *, within_s: float = _TAKEN_WITHIN_S, **how: Any
    ) -> list[str]:
        """Hand in a batch as often as it takes; raises TimeoutError."""
        return surely(lambda: self.submit_rows(works, **how), within_s)

    def cancel(self, job_id: str) -> str:
        """Ask for a job's end once; return the answer, or `unknown`."""
        told = self._ask("*", f"/v1/jobs/{job_id}/cancel", None)
        answer = str(told.body.get("outcome", "unknown"))
        self._journal.write({"do": "cancel", "job": job_id, "answer": answer})
        return answer

    def _unmade(self, told: Answer, key: str, owner: str) -> None:
        """Note an answer that nobody has promised."""
        if told.status:
            said = {"do": "submit", "key": key, "owner": owner, "batch": key, "expects": {}}
            why = repr(told)[:500]
            self._journal.write(said | {"answer": "raised", "job": None, "why": why})

    def _ask(
        self,
        owner: str,
        path: str,
        body: dict[str, Any] | str | None,
        *,
        key: str = "",
        part: str = "",
    ) -> Answer:
        """Post to the next process."""
        headers = {"Authorization": f"Bearer {self._keys[owner]}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Range": part, "Content-Type": "application/jsonl"} if part else {}
        sent: dict[str, Any] = {"data": body} if isinstance(body, str) else {"json": body}
        try:
            told = self._session.post(
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


def _inputs(work: Work) -> dict[str, Any]:
    return {
        address: {"base64": base64.b64encode(content).decode()}
        for address, content in work.inputs.items()
    }
