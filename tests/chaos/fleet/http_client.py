"""The client of the HTTP API: it repeats what was not answered, at any process, and keeps the same journal."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

from producer.contract.ids import row_id
from tests.chaos.fleet.http_calls import CONFLICT, FOUND, MADE, UNFIT, Answer
from tests.chaos.fleet.http_operations import HttpOperations
from tests.chaos.fleet.journal import said_of, surely
from tests.chaos.fleet.workload import Work

#: Processes of the API that were killed take a while to come back on two busy cores, s.
_TAKEN_WITHIN_S: Final = 180.0
_REUSED: Final = "idempotency-key-reuse"
#: Who waits for each job of a request without a webhook of its own.
HOOK: Final = "hook-1"


class HttpClient(HttpOperations):
    """Hands jobs in as a web backend does, with a key of its owner; threads may share it."""

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
        owner, hook = owner or self.first_owner, hook or HOOK
        said = said_of(work, key=key, batch="", hook=hook, owner=owner, **where)
        said["by"] = "http"
        self.journal.write(said | {"answer": "asked", "job": None})
        graph = {"template": work.named} if work.named else {"graph": work.graph}
        body = {**graph, "params": dict(work.params), "inputs": _inputs(work)}
        told = self.ask(owner, "/v1/jobs", {**body, "hook": hook, **where}, key=key)
        job = told.body.get("id")
        if told.status in {MADE, FOUND}:
            self.journal.write(said | {"answer": "accepted", "job": job, "status": told.status})
            return str(job)
        if told.status == UNFIT and _REUSED in told.body.get("type", ""):
            self.journal.write(said | {"answer": "key reused", "job": ""})
        elif told.status:
            self.journal.write(said | {"answer": "raised", "job": None, "why": repr(told)[:500]})
        else:
            self.journal.write(said | {"answer": "unknown", "job": None})
        return None

    def submit_surely(self, work: Work, *, within_s: float = _TAKEN_WITHIN_S, **how: Any) -> str:
        """Hand a job in as often as it takes, under one key; raises TimeoutError."""
        return surely(lambda: self.submit(work, **how), within_s)

    def submit_rows(
        self, works: Sequence[Work], *, key: str, hook: str = "", owner: str = "", **where: Any
    ) -> list[str] | None:
        """Hand in a batch, of which all requests must be answered; return its jobs' ids, else None."""
        owner, hook = owner or self.first_owner, hook or HOOK
        asked = {"graph": works[0].graph, "hook": hook, **where}
        begun = self.ask(owner, "/v1/batches", asked, key=key)
        if begun.status not in {MADE, FOUND}:
            return self._unmade(begun, key, owner)
        batch = begun.body["id"]
        lines = "".join(json.dumps(dict(work.params)) + "\n" for work in works)
        part = f"rows 0-{len(works) - 1}/*"
        added = self.ask(owner, f"/v1/batches/{batch}/rows", lines, part=part)
        if added.status not in {FOUND, CONFLICT}:  # it may be sealed, and nobody heard it
            return self._unmade(added, key, owner)
        sealed = self.ask(owner, f"/v1/batches/{batch}/seal", None)
        if sealed.status != FOUND:
            return self._unmade(sealed, key, owner)
        jobs = [str(row_id(batch, number)) for number in range(1, len(works) + 1)]
        for job, work in zip(jobs, works, strict=True):
            said = said_of(work, key=job, batch=batch, owner=owner, **where)
            self.journal.write(said | {"answer": "accepted", "job": job, "by": "http"})
        brake = {"max_failed": where["max_failed"]} if "max_failed" in where else {}
        self.journal.write({"do": "open", "batch": batch, "hook": hook, **brake})
        return jobs

    def submit_rows_surely(
        self, works: Sequence[Work], *, within_s: float = _TAKEN_WITHIN_S, **how: Any
    ) -> list[str]:
        """Hand in a batch as often as it takes; raises TimeoutError."""
        return surely(lambda: self.submit_rows(works, **how), within_s)

    def cancel(self, job_id: str) -> str:
        """Ask for a job's end once; return the answer, or `unknown`."""
        told = self.ask("*", f"/v1/jobs/{job_id}/cancel", None)
        answer = str(told.body.get("outcome", "unknown"))
        self.journal.write({"do": "cancel", "job": job_id, "answer": answer})
        return answer

    def _unmade(self, told: Answer, key: str, owner: str) -> None:
        """Note an answer that nobody has promised."""
        if told.status:
            said = {"do": "submit", "key": key, "owner": owner, "batch": key, "expects": {}}
            why = repr(told)[:500]
            self.journal.write(said | {"answer": "raised", "job": None, "why": why})


def _inputs(work: Work) -> dict[str, Any]:
    return {
        address: {"base64": base64.b64encode(content).decode()}
        for address, content in work.inputs.items()
    }
