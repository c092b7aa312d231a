"""What persons do in a storm beside handing jobs in: actions on many, moves, rests, brakes, and graphs that get names.

Each story is told by whoever hands jobs in, at its turn; of those that contradict each other one at a time.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from producer.contract.ids import JobId, row_of
from tests.chaos.fleet import workload
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.operations import LIFTED_BY
from tests.chaos.fleet.web_services import OWNERS
from tests.chaos.fleet.workload import Work

#: The pool of each node; of most there is more than one.
POOL_OF: Final = {"n1": "default", "n2": "default", "n3": "default", "n4": "side"}
POOLS: Final = ("default", "side")
TIERS: Final = ("rush", "default", "default", "batch", "idle")
#: The graph that each owner has under a name.
NAME: Final = "portrait"

#: So many submissions are followed by a story of each kind.
_MOVED: Final = 0.02
_RESTED: Final = 0.02
_RESTARTED: Final = 0.005
_NAMED_ANEW: Final = 0.02
_ACTED: Final = 0.012
_BRAKED: Final = 0.004

_RESTS_S: Final = (0.5, 4.0)
#: Jobs that an action is about; now and then more than upkeep does in one turn.
_OF_AN_ACTION: Final = (4, 16)
_MORE_THAN_A_TURN: Final = 104
_LONG: Final = 0.1
_STOPPED: Final = 0.25
_BRAKES_AT: Final = 2
_FAILING: Final = 8
_BRAKED_WITHIN_S: Final = 60.0
#: Colours of graphs with names begin here: no job's own has such a one.
_COLORS: Final = 0x800000


class Stories:
    """Tells them.

    Args:
        keep: is handed each job of a story, which nothing else should happen to, and its work.
    """

    def __init__(self, evidence: Evidence, keep: Callable[[str, Work], None]) -> None:
        self._evidence = evidence
        self._keep = keep
        self._one_rests = threading.Lock()
        self._one_names = threading.Lock()
        self._numbers = count(1)
        self._lock = threading.Lock()

    def begin(self, client: Any) -> None:
        """Give each owner's graph its name."""
        for owner in OWNERS:
            client.name_graph_surely(NAME, self._new_graph(), owner=owner)

    def tell(self, client: Any, chance: random.Random) -> None:
        """Tell those whose turn it is."""
        for share, story in (
            (_MOVED, self._move),
            (_RESTED, self._have_rest),
            (_RESTARTED, self._restart),
            (_NAMED_ANEW, self._name_anew),
            (_ACTED, self._act),
            (_BRAKED, self._brake),
        ):
            if chance.random() < share:
                story(client, chance)

    def end(self, client: Any) -> None:
        """Let all that rests take work again."""
        for pool in POOLS:
            client.lift_surely(pool, kind="pool")
        for node in POOL_OF:
            client.lift_surely(node)
            client.lift_surely(node, kind="doubt")

    def _move(self, client: Any, chance: random.Random) -> None:
        if chance.random() < 0.3:
            client.move("status:queued tier:idle", tier=chance.choice(TIERS))
            return
        old, new = chance.sample(POOLS, 2)
        client.move(f"status:queued pool:{old} tier:{chance.choice(TIERS)}", pool=new)

    def _have_rest(self, client: Any, chance: random.Random) -> None:
        with _if_free(self._one_rests) as is_free:  # of two at once nobody knows which counts
            if not is_free:
                return
            kind = chance.choice(("node", "node", "node", "pool", "doubt"))
            about = chance.choice(POOLS if kind == "pool" else tuple(POOL_OF))
            verb = "quarantine" if kind == "doubt" else chance.choice(("drain", "pause"))
            client.wish(verb, about, kind=kind, pool=POOL_OF.get(about, about))
            time.sleep(chance.uniform(*_RESTS_S))
            client.wish(LIFTED_BY[kind], about, kind=kind)

    def _restart(self, client: Any, chance: random.Random) -> None:
        """Have a ComfyUI restarted, or tried, by its worker: the prompts that are lost with it are lost to a fault."""
        node = chance.choice(tuple(POOL_OF))
        if chance.random() < 0.3:
            client.ask_node("probe", node)
            return
        with _if_free(self._one_rests) as is_free:
            if is_free:
                with self._evidence.fault("node restarted by a person", node) as noted:
                    noted["struck"] = False
                    self._evidence.keep_journal(self._evidence.member(node))
                    client.ask_node("restart", node, now=chance.random() < 0.3)
                    time.sleep(chance.uniform(*_RESTS_S))

    def _name_anew(self, client: Any, chance: random.Random) -> None:
        with _if_free(self._one_names) as is_free:
            if is_free:
                owner = chance.choice(OWNERS)
                client.name_graph_surely(NAME, self._new_graph(), owner=owner)

    def _act(self, client: Any, chance: random.Random) -> None:
        """Have an action change jobs that nobody else changes, and another one take that back."""
        owner = f"group-{self._next()}"
        works, jobs, about = self._group(client, chance, owner)
        is_hold = about.startswith("owner:") and chance.random() < 0.5
        self._have_done(client, "hold" if is_hold else "cancel", about, chance)
        if is_hold:
            time.sleep(chance.uniform(0, 1))
            self._have_done(client, "release", about)
            return
        self._have_done(client, "retry", about, chance)
        for made, work in client.made_again(jobs, works, owner).items():
            self._keep(made, work)

    def _group(
        self, client: Any, chance: random.Random, owner: str
    ) -> tuple[list[Work], list[str], str]:
        """Hand in jobs of an owner, or a batch; return their work, their ids and a filter that means them."""
        number = _MORE_THAN_A_TURN if chance.random() < _LONG else chance.randint(*_OF_AN_ACTION)
        how: dict[str, Any] = {"tier": "idle", "owner": owner}
        if chance.random() < 0.3:
            base = 1_000_000 + 1_000 * self._next()
            works = [workload.sample(seed=base + row) for row in range(number)]
            jobs = client.submit_rows_surely(works, key=_key(chance), **how)
            batch, _ = row_of(JobId(jobs[0]))
            about = f"batch:{batch}"
        else:
            works = [
                workload.sleep(chance.uniform(0.05, 0.2), nonce=500_000 + self._next())
                for _ in range(number)
            ]
            jobs = [client.submit_surely(work, key=_key(chance), **how) for work in works]
            about = f"owner:{owner}"
        for job, work in zip(jobs, works, strict=True):
            self._keep(job, work)
        return works, jobs, about

    def _have_done(
        self, client: Any, action: str, about: str, chance: random.Random | None = None
    ) -> None:
        """Have an action begun, asked for twice now and then, stopped now and then, and wait for its end."""
        key = str(uuid.uuid4())
        begun = client.act_surely(action, about, key=key)
        if chance and chance.random() < _STOPPED:
            time.sleep(chance.uniform(0, 0.3))
            client.stop_action(begun)
        elif chance and chance.random() < _STOPPED:
            client.act(action, about, key=key)
        client.wait_action(begun)

    def _brake(self, client: Any, chance: random.Random) -> None:
        """Hand in a batch of which each job fails, wait for its brake, and let it go on, or end it."""
        works = workload.failing_rows(_FAILING, nonce=600_000 + self._next())
        how = {"owner": chance.choice(("", *OWNERS)), "tier": "default"}
        jobs = client.submit_rows_surely(works, key=_key(chance), max_failed=_BRAKES_AT, **how)
        batch, _ = row_of(JobId(jobs[0]))
        for job, work in zip(jobs, works, strict=True):
            self._keep(job, work)
        deadline = time.monotonic() + _BRAKED_WITHIN_S
        while time.monotonic() < deadline and not client.is_braked(batch):
            time.sleep(0.2)
        if chance.random() < 0.5:
            client.ask_surely("release_batch", batch)
            time.sleep(chance.uniform(0, 2))
        client.ask_surely("cancel_batch", batch)

    def _new_graph(self) -> Work:
        return workload.sleep(0.1, nonce=_COLORS + self._next())

    def _next(self) -> int:
        with self._lock:
            return next(self._numbers)


@contextmanager
def _if_free(lock: threading.Lock) -> Iterator[bool]:
    is_free = lock.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            lock.release()


def _key(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128)))
