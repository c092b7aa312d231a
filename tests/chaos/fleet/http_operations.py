"""The same operations over the HTTP API as `operations` has of the library, with the same journal."""

from __future__ import annotations

import time
from typing import Any, Final

from tests.chaos.fleet.http_calls import ACCEPTED, ANYBODY, FOUND, MADE, HttpCalls
from tests.chaos.fleet.journal import surely
from tests.chaos.fleet.operations import LIFTED_BY, WANTED, acted, naming
from tests.chaos.fleet.workload import Work

_POLLS_S: Final = 0.2
_WHY: Final = "a storm wants it"


class HttpOperations(HttpCalls):
    """What a client of the API asks of more than one job: each is as of `OperationCalls`."""

    def move(self, filter_: str, **where: str) -> None:
        """Have waiting jobs of a filter go to another tier or pool."""
        said = {"do": "move", "filter": filter_, **where, "asked_at": time.time()}
        told = self.ask(ANYBODY, "/v1/moves", {"filter": filter_, **where})
        answer = "done" if told.status == FOUND else "unknown"
        self.journal.write(said | {"answer": answer, "moved": told.body.get("moved")})

    def act(self, action: str, about: str, *, key: str) -> str | None:
        """Have upkeep do one thing with all jobs of a filter; return the action's id, None without an answer."""
        said = {"do": "act", "action": action, "about": about, "key": key, "asked_at": time.time()}
        told = self.ask(ANYBODY, "/v1/actions", {"action": action, "filter": about}, key=key)
        if told.status != ACCEPTED:
            self.journal.write(said | {"answer": "unknown", "why": repr(told)[:500]})
            return None
        self.journal.write(said | {"answer": "accepted", "id": told.body["id"]})
        return str(told.body["id"])

    def act_surely(self, action: str, about: str, *, key: str, within_s: float = 60) -> str:
        """Have it begun as often as it takes, under one key; raises TimeoutError."""
        return surely(lambda: self.act(action, about, key=key), within_s)

    def stop_action(self, action_id: str) -> None:
        """Have an action stopped, once."""
        self.journal.write({"do": "stop", "id": action_id, "answer": "asked"})
        if self.ask(ANYBODY, f"/v1/actions/{action_id}/cancel", {}).status == FOUND:
            self.journal.write({"do": "stop", "id": action_id, "answer": "done"})

    def wait_action(self, action_id: str, *, within_s: float = 90) -> None:
        """Wait until an action has ended, or until it is clear that it never will; write down what came of it."""
        deadline = time.monotonic() + within_s
        told: dict[str, Any] = {}
        while time.monotonic() < deadline and not told.get("ended_at"):
            told = self.ask(ANYBODY, f"/v1/actions/{action_id}", None, method="GET").body
            time.sleep(0 if told.get("ended_at") else _POLLS_S)
        self.journal.write(acted(action_id, told))

    def name_graph(self, name: str, work: Work, *, owner: str) -> bool | None:
        """Give the graph of *work* a name, once; return True when that was answered."""
        said = naming(name, work, owner=owner)
        path = f"/v1/templates/{name}"
        told = self.ask(owner, path, {"graph": work.graph}, method="PUT")
        if told.status not in {FOUND, MADE}:
            self.journal.write(said | {"answer": "unknown", "why": repr(told)[:500]})
            return None
        self.journal.write(said | {"answer": "done", "template": told.body["template"]})
        return True

    def wish(self, verb: str, about: str, *, kind: str = "node", pool: str = "default") -> bool:
        """Have a node, or all of a pool, drain, pause or resume, once; return whether that was answered."""
        said = {"do": "wish", "kind": kind, "about": about, "wanted": WANTED[verb]}
        said["asked_at"] = time.time()  # type: ignore[assignment] # beside texts
        why = {"reason": _WHY} if WANTED[verb] or kind == "pool" else {}
        if kind == "pool":
            told = self.ask(ANYBODY, f"/v1/pools/{verb}", {"pool": [about], **why})
        else:
            body = {**why, "last_of": pool} if why else None
            told = self.ask(ANYBODY, f"/v1/nodes/{about}/{verb}", body)
        is_done = told.status == FOUND
        why = {} if is_done else {"why": repr(told)[:500]}
        self.journal.write(said | {"answer": "done" if is_done else "unknown", **why})
        return is_done

    def lift_surely(self, about: str, *, kind: str = "node", within_s: float = 60) -> None:
        """Have a node, or a pool, take work again, as often as it takes; raises TimeoutError."""
        surely(lambda: self.wish(LIFTED_BY[kind], about, kind=kind) or None, within_s)

    def ask_node(self, verb: str, node: str, **how: Any) -> bool:
        """Have a node probed, or its ComfyUI restarted, once; return whether that was answered."""
        said = {"do": "ask", "verb": verb, "about": node, "asked_at": time.time(), **how}
        told = self.ask(ANYBODY, f"/v1/nodes/{node}/{verb}", how or None)
        answer = "done" if told.status == FOUND else "unknown"
        self.journal.write(said | {"answer": answer})
        return told.status == FOUND
