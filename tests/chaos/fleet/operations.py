"""What a client asks of more than one job: actions, moves, graphs by name, and rests of nodes; all of it is journaled.

Each is asked once; those called `surely` are asked as often as it takes, as a careful person does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from producer.client import Producer
from producer.contract.errors import FleetError
from tests.chaos.fleet.journal import Journal, said_of, surely
from tests.chaos.fleet.workload import Work

#: The state that each verb wants of a node, or of all nodes of a pool; of doubts it is the one that is wanted or lifted.
WANTED: Final = {
    "drain": "drained",
    "pause": "paused",
    "quarantine": "quarantined",
    "resume": "",
    "clear": "",
}
#: What takes back a wish of a kind.
LIFTED_BY: Final = {"node": "resume", "pool": "resume", "doubt": "clear"}
_WHY: Final = "a storm wants it"
_POLLS_S: Final = 0.2
#: What does more than ask a node for what it does anyway needs to know which pool may be left without one.
_NEEDS_POOL: Final = frozenset({"drain", "pause", "quarantine"})


class OperationCalls:
    """The calls of a `JournalingClient` for operations."""

    _producer: Producer
    journal: Journal

    def move(self, filter_: str, **where: str) -> None:
        """Have waiting jobs of a filter go to another tier or pool; some may stay if a connection breaks."""
        said = {"do": "move", "filter": filter_, **where, "asked_at": time.time()}
        try:
            moved = self._producer.move(filter_, **where)  # type: ignore[arg-type] # tier, pool
        except FleetError as exc:
            self.journal.write(said | {"answer": "unknown", "why": str(exc)})
        else:
            self.journal.write(said | {"answer": "done", "moved": moved})

    def act(self, action: str, about: str, *, key: str) -> str | None:
        """Have upkeep do one thing with all jobs of a filter; return the action's id, None without an answer."""
        said = {"do": "act", "action": action, "about": about, "key": key, "asked_at": time.time()}
        try:
            begun = self._producer.begin_action(action, about, idempotency_key=key)
        except FleetError as exc:
            self.journal.write(said | {"answer": "unknown", "why": str(exc)})
            return None
        self.journal.write(said | {"answer": "accepted", "id": begun.id})
        return begun.id

    def act_surely(self, action: str, about: str, *, key: str, within_s: float = 60) -> str:
        """Have it begun as often as it takes, under one key; raises TimeoutError."""
        return surely(lambda: self.act(action, about, key=key), within_s)

    def stop_action(self, action_id: str) -> None:
        """Have an action stopped, once."""
        self.journal.write({"do": "stop", "id": action_id, "answer": "asked"})
        try:
            self._producer.cancel_action(action_id)
        except FleetError:
            return
        self.journal.write({"do": "stop", "id": action_id, "answer": "done"})

    def wait_action(self, action_id: str, *, within_s: float = 90) -> None:
        """Wait until an action has ended, or until it is clear that it never will; write down what came of it."""
        deadline = time.monotonic() + within_s
        told: dict[str, Any] = {}
        while time.monotonic() < deadline and not told.get("ended_at"):
            try:
                told = self._producer.action(action_id).model_dump(mode="json")
            except FleetError:
                told = {}
            time.sleep(0 if told.get("ended_at") else _POLLS_S)
        self.journal.write(acted(action_id, told))

    def made_again(self, jobs: Sequence[str], works: Sequence[Work], owner: str) -> dict[str, Work]:
        """Return the jobs that an action has made of *jobs*, with their work, and write them down as asked for."""
        found: dict[str, Work] = {}
        for job, work in zip(jobs, works, strict=True):
            if made := surely(lambda job=job: self._retried_as(job), 60):  # type: ignore[misc]
                said = said_of(work, key=made, batch="", owner=owner)
                self.journal.write(said | {"answer": "accepted", "job": made, "retry_of": job})
                found[made] = work
        return found

    def name_graph(self, name: str, work: Work, *, owner: str) -> bool | None:
        """Give the graph of *work* a name, once; return True when that was answered."""
        said = naming(name, work, owner=owner)
        try:
            put = self._producer.templates.put(name, work.graph, owner=owner)
        except FleetError as exc:
            self.journal.write(said | {"answer": "unknown", "why": str(exc)})
            return None
        self.journal.write(said | {"answer": "done", "template": put.template})
        return True

    def wish(self, verb: str, about: str, *, kind: str = "node", pool: str = "default") -> bool:
        """Have a node, or all of a pool, drain, pause or resume, once; return whether that was answered.

        Args:
            kind: `node`, `pool`, or `doubt` about a node: it is quarantined, or cleared.
            pool: the node's, which may be left without a node that is ready.
        """
        said: dict[str, Any] = {"do": "wish", "kind": kind, "about": about, "wanted": WANTED[verb]}
        said["asked_at"] = time.time()
        call = getattr(self._producer, f"{verb}_{'pools' if kind == 'pool' else 'nodes'}")
        how = {"last_of": pool} if kind != "pool" and verb in _NEEDS_POOL else {}
        try:
            call([about], actor="storm", reason=_WHY, **how)
        except FleetError as exc:
            self.journal.write(said | {"answer": "unknown", "why": str(exc)})
            return False
        self.journal.write(said | {"answer": "done"})
        return True

    def lift_surely(self, about: str, *, kind: str = "node", within_s: float = 60) -> None:
        """Have a node, or a pool, take work again, as often as it takes; raises TimeoutError."""
        surely(lambda: self.wish(LIFTED_BY[kind], about, kind=kind) or None, within_s)

    def ask_node(self, verb: str, node: str, **how: Any) -> bool:
        """Have a node probed, or its ComfyUI restarted, once; return whether that was answered."""
        said = {"do": "ask", "verb": verb, "about": node, "asked_at": time.time(), **how}
        try:
            getattr(self._producer, f"{verb}_nodes")([node], actor="storm", **how)
        except FleetError as exc:
            self.journal.write(said | {"answer": "unknown", "why": str(exc)})
            return False
        self.journal.write(said | {"answer": "done"})
        return True

    def is_braked(self, batch: str) -> bool | None:
        """Tell whether a batch is held by its brake; None: it is over, or nobody answers."""
        try:
            found = self._producer.batch(batch)
        except FleetError:
            return None
        return None if found.ended_at else found.braked_at is not None

    def _retried_as(self, job: str) -> str | None:
        """Return which job was made of another one; empty if none was, None without an answer."""
        try:
            return self._producer.get(job).retried_as or ""
        except FleetError:
            return None


def acted(action_id: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return what the journal keeps of an action when it has ended."""
    kept = ("state", "error", "counted", "matched", "done", "refused", "refusals")
    return {"do": "acted", "id": action_id, **{name: told.get(name) for name in kept}}


def naming(name: str, work: Work, *, owner: str) -> dict[str, Any]:
    """Return what the journal keeps of a graph that gets a name: it is known by the colour of its picture."""
    [file] = work.expects["files"]
    said = {"do": "name", "name": name, "owner": owner, "color": file["color"]}
    return said | {"asked_at": time.time()}
