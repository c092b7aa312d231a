"""The kinds of faults, how often each is drawn, and the care that one target is hurt once a time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import redis

from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.members import Member
from tests.chaos.storm import node_strikes, web_strikes
from tests.chaos.storm.strikes import Strikes

MEMBER: Final = "member"
ALL: Final = "all"
PRODUCER: Final = "producer"
#: Of a fleet that serves the web.
SERVERS: Final = "api"
SENDERS: Final = "senders"
RECEIVER: Final = "receiver"
_OF_WEB: Final = (SERVERS, SENDERS, RECEIVER)


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Args:
        weight: how often it is drawn, beside the others.
        hurts: `member`, `all` or `producer`, `api`, `senders` or `receiver`.
        strike: does it and undoes it; False: nobody came to be struck.
    """

    name: str
    weight: float
    hurts: str
    strike: Callable[[Strikes, Member, random.Random], bool | None]


class Faults:
    """Strikes one fleet by chance, each target by one fault at a time."""

    def __init__(self, fleet: ChaosFleet, evidence: Evidence) -> None:
        self._fleet = fleet
        self._evidence = evidence
        self._strikes = Strikes(fleet, evidence)
        targets = (ALL, PRODUCER, *_OF_WEB, *(member.name for member in fleet.members))
        self._locks = {target: threading.Lock() for target in targets}
        self._kinds = [kind for kind in KINDS if fleet.has_web or kind.hurts not in _OF_WEB]

    def draw(self, chance: random.Random) -> Kind:
        """Draw a kind by its weight."""
        return chance.choices(self._kinds, [kind.weight for kind in self._kinds])[0]

    def strike(self, kind: Kind, chance: random.Random) -> None:
        """Do one fault of *kind* and undo it, unless its target is being hurt already."""
        member = chance.choice(self._fleet.members)
        target = member.name if kind.hurts == MEMBER else kind.hurts
        # The harness' own commands may meet a Redis that another fault has just hurt.
        with self._alone(target) as is_free, suppress(redis.RedisError):
            if is_free:
                with self._evidence.fault(kind.name, target) as noted:
                    noted["struck"] = kind.strike(self._strikes, member, chance) is not False

    def calm(self) -> None:
        """Undo whatever is left of any fault."""
        self._strikes.calm()

    @contextmanager
    def _alone(self, target: str) -> Iterator[bool]:
        is_free = self._locks[target].acquire(blocking=False)
        try:
            yield is_free
        finally:
            if is_free:
                self._locks[target].release()


#: By family, as many of each as a bad week brings, all at once.
KINDS: Final = (
    Kind("worker killed", 2, MEMBER, Strikes.kill_worker),
    Kind("worker stopped", 1, MEMBER, Strikes.stop_worker),
    Kind("worker stopped, then killed", 0.5, MEMBER, Strikes.stop_then_kill_worker),
    Kind("worker frozen", 2, MEMBER, Strikes.freeze_worker),
    Kind("node killed", 1.5, MEMBER, Strikes.kill_node),
    Kind("node frozen", 1.5, MEMBER, Strikes.freeze_node),
    Kind("connections cut", 2, MEMBER, Strikes.cut),
    Kind("connection broken at a request", 6, MEMBER, Strikes.break_at),
    Kind("connection held", 2, MEMBER, Strikes.hold),
    Kind("connection refused", 1, MEMBER, Strikes.refuse),
    Kind("connection slow", 1, MEMBER, Strikes.lag),
    Kind("connection in slices", 1, MEMBER, Strikes.slice),
    Kind("socket deaf", 1, MEMBER, Strikes.deafen),
    Kind("output truncated", 1, MEMBER, Strikes.truncate),
    Kind("output flipped", 1, MEMBER, Strikes.flip),
    Kind("node answers 5xx", 1, MEMBER, Strikes.fault_node),
    Kind("node answers nonsense", 1.5, MEMBER, node_strikes.answer_nonsense),
    Kind("node refuses oddly", 0.7, MEMBER, node_strikes.refuse_oddly),
    Kind("node drips", 1, MEMBER, node_strikes.drip),
    Kind("node takes no HEAD", 0.5, MEMBER, node_strikes.refuse_head),
    Kind("card broken", 1, MEMBER, node_strikes.break_card),
    Kind("node's disk full", 0.7, MEMBER, node_strikes.fill_disk),
    Kind("pictures held", 1, MEMBER, node_strikes.hold_pictures),
    Kind("prompt interrupted", 0.5, MEMBER, node_strikes.interrupt),
    Kind("foreign entries in the broker", 0.7, ALL, node_strikes.leave_foreign_entries),
    Kind("store refused", 0.7, ALL, Strikes.refuse_store),
    Kind("store frozen", 0.7, ALL, Strikes.freeze_store),
    Kind("store slow", 0.7, ALL, Strikes.slow_store),
    Kind("store overloaded", 1, ALL, Strikes.overload_store),
    Kind("store's answer lost", 1, MEMBER, Strikes.lose_store_answer),
    Kind("Redis restarted", 0.7, ALL, Strikes.restart_redis),
    Kind("Redis paused", 1, ALL, Strikes.pause_redis),
    Kind("Redis full", 0.7, ALL, Strikes.fill_redis),
    Kind("Redis read-only", 0.7, ALL, Strikes.demote_redis),
    Kind("messages lost", 1, ALL, Strikes.lose_messages),
    Kind("messages doubled", 1, ALL, Strikes.double_messages),
    Kind("producer cut off", 1, PRODUCER, Strikes.cut_producer),
    Kind("submission broken", 1, PRODUCER, Strikes.break_submission),
    Kind("API killed", 1, SERVERS, web_strikes.kill_api),
    Kind("API stopped", 0.3, SERVERS, web_strikes.stop_api),
    Kind("API frozen", 0.7, SERVERS, web_strikes.freeze_api),
    Kind("API broken at a request", 1.5, SERVERS, web_strikes.break_api),
    Kind("API's answer lost", 1.5, SERVERS, web_strikes.lose_api_answer),
    Kind("request to the API cut", 1, SERVERS, web_strikes.cut_api_request),
    Kind("API slow", 0.5, SERVERS, web_strikes.slow_api),
    Kind("senders killed", 1, SENDERS, web_strikes.kill_senders),
    Kind("senders frozen", 0.7, SENDERS, web_strikes.freeze_senders),
    Kind("senders broken at a request", 2, SENDERS, web_strikes.break_senders),
    Kind("receiver killed", 0.5, RECEIVER, web_strikes.kill_receiver),
    Kind("receiver refuses", 1, RECEIVER, web_strikes.refuse_messages),
    Kind("receiver's answer lost", 1, RECEIVER, web_strikes.lose_receipt),
    Kind("message cut", 0.7, RECEIVER, web_strikes.cut_message),
    Kind("receiver slow", 0.5, RECEIVER, web_strikes.slow_receiver),
    Kind("receiver away", 0.5, RECEIVER, web_strikes.away_receiver),
)
