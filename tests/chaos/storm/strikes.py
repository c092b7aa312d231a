"""What a storm may do to a fleet: each method hurts it, and has undone it when it returns.

Those that lie in wait for a request tell whether it came.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Sequence
from typing import Final

from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.members import Member
from tests.chaos.proxy.rules import Fault, Rule

#: Where a connection breaks when it is not by chance.
_BREAKABLE: Final = {
    "redis": (
        *("BRPOP queue*", "MULTI", "EXEC", "LPUSH queue", "HGETALL job", "GET template"),
        *("EVALSHA claim", "EVALSHA note", "EVALSHA finish", "EVALSHA requeue", "EVALSHA renew"),
        *("EVALSHA due", "EVALSHA unsent", "EVALSHA take_back", "EVALSHA register"),
        *("EVALSHA pack", "EVALSHA pack_rows", "EVALSHA results_written", "EVALSHA results_left"),
        "EVALSHA script",  # of another version, which the proxy cannot name
    ),
    "node": ("POST /prompt", "GET /history*", "GET /view", "GET /queue", "WS *", "POST *"),
    "s3": ("PUT artifact", "PUT manifest", "PUT results"),
}
_SERVERS: Final = tuple(_BREAKABLE)

#: A rule that waits for its request waits so long, s.
_LURKS_S: Final = 3.0


class Strikes:
    """Hurts one fleet; the member is the one to hurt, where it is not all of them."""

    def __init__(self, fleet: ChaosFleet, evidence: Evidence) -> None:
        self.fleet = fleet
        self._evidence = evidence

    def calm(self) -> None:
        """Undo whatever is left of any fault."""
        self.fleet.proxy.calm()
        self.fleet.s3.thaw()
        self.fleet.redis.empty()
        self.fleet.redis.promote()
        processes = [one for member in self.fleet.members for one in (member.node, member.worker)]
        if self.fleet.has_web:
            processes += self.fleet.web.processes
        for process in processes:
            process.bring_up()
            process.signal(signal.SIGCONT)

    # -- processes

    def kill_worker(self, member: Member, _: random.Random) -> None:
        member.worker.kill()

    def stop_worker(self, member: Member, _: random.Random) -> None:
        member.worker.signal(signal.SIGTERM)

    def stop_then_kill_worker(self, member: Member, chance: random.Random) -> None:
        member.worker.signal(signal.SIGTERM)
        time.sleep(chance.uniform(0.05, 0.5))
        member.worker.kill()

    def freeze_worker(self, member: Member, chance: random.Random) -> None:
        member.worker.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.3, 7))
        member.worker.signal(signal.SIGCONT)

    def kill_node(self, member: Member, _: random.Random) -> None:
        self._evidence.keep_journal(member)
        member.node.kill()

    def freeze_node(self, member: Member, chance: random.Random) -> None:
        member.node.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.3, 6))
        member.node.signal(signal.SIGCONT)

    # -- connections of one worker

    def cut(self, member: Member, chance: random.Random) -> None:
        self.fleet.proxy.cut(f"{member.name}.{chance.choice((*_SERVERS, '*'))}")

    def break_at(self, member: Member, chance: random.Random) -> bool:
        """Break the next request of a name, before or after it was served."""
        server = chance.choice(_SERVERS)
        fault = chance.choice((Fault.CUT, Fault.CUT, Fault.RESET, Fault.LIMIT))
        return self.lurk(
            Rule(
                edge=f"{member.name}.{server}",
                request=chance.choice(_BREAKABLE[server]),
                fault=fault,
                after=chance.random() < 0.5,
                size=chance.randrange(1, 40),
            )
        )

    def hold(self, member: Member, chance: random.Random) -> None:
        edge = f"{member.name}.{chance.choice(_SERVERS)}"
        self.condition(edge, chance.uniform(0.3, 6), hold=True)

    def refuse(self, member: Member, chance: random.Random) -> None:
        edge = f"{member.name}.{chance.choice(_SERVERS)}"
        self.condition(edge, chance.uniform(0.3, 2), refuse=True)

    def lag(self, member: Member, chance: random.Random) -> None:
        edge = f"{member.name}.{chance.choice(_SERVERS)}"
        self.condition(edge, chance.uniform(1, 3), lag_s=chance.uniform(0.02, 0.15))

    def slice(self, member: Member, chance: random.Random) -> None:
        edge = f"{member.name}.{chance.choice(_SERVERS)}"
        self.condition(edge, chance.uniform(0.5, 2), slice_bytes=chance.randrange(16, 300))

    # -- what a node says

    def deafen(self, member: Member, chance: random.Random) -> None:
        rule = Rule(edge=f"{member.name}.node", request="WS *", fault=Fault.DROP, times=0)
        with self.fleet.proxy.under(rule):
            time.sleep(chance.uniform(1, 4))

    def truncate(self, member: Member, chance: random.Random) -> bool:
        """End the next output in the middle of its bytes."""
        size = chance.randrange(200, 700)
        return self.lurk(self._of_view(member, Fault.LIMIT, size=size))

    def flip(self, member: Member, _: random.Random) -> bool:
        return self.lurk(self._of_view(member, Fault.FLIP))

    def fault_node(self, member: Member, chance: random.Random) -> bool:
        request = chance.choice(("POST /prompt", "GET /history*", "GET /view", "GET /queue"))
        rule = Rule(
            edge=f"{member.name}.node",
            request=request,
            fault=Fault.ANSWER,
            status=chance.choice((500, 502, 503)),
            times=chance.randint(1, 3),
        )
        return self.lurk(rule)

    # -- the store

    def refuse_store(self, _: Member, chance: random.Random) -> None:
        self.condition("*.s3", chance.uniform(0.5, 3), refuse=True)

    def freeze_store(self, _: Member, chance: random.Random) -> None:
        self.fleet.s3.freeze()
        time.sleep(chance.uniform(0.5, 3))
        self.fleet.s3.thaw()

    def slow_store(self, _: Member, chance: random.Random) -> None:
        self.condition("*.s3", chance.uniform(1, 3), lag_s=chance.uniform(0.05, 0.3))

    def overload_store(self, _: Member, chance: random.Random) -> bool:
        rule = Rule(edge="*.s3", request="PUT *", fault=Fault.ANSWER, times=chance.randint(2, 12))
        return self.lurk(rule)

    def lose_store_answer(self, member: Member, _: random.Random) -> bool:
        edge = f"{member.name}.s3"
        return self.lurk(Rule(edge=edge, request="PUT *", fault=Fault.CUT, after=True, times=2))

    # -- Redis

    def restart_redis(self, _: Member, __: random.Random) -> None:
        self.fleet.redis.restart()

    def pause_redis(self, _: Member, chance: random.Random) -> None:
        seconds = chance.uniform(0.3, 2)
        self.fleet.redis.pause(seconds)
        time.sleep(seconds)

    def fill_redis(self, _: Member, chance: random.Random) -> None:
        self.fleet.redis.fill()
        time.sleep(chance.uniform(0.3, 2))
        self.fleet.redis.empty()

    def demote_redis(self, _: Member, chance: random.Random) -> None:
        self.fleet.redis.demote()
        time.sleep(chance.uniform(0.3, 1.5))
        self.fleet.redis.promote()

    def lose_messages(self, _: Member, chance: random.Random) -> None:
        """Take messages off their lists, as one that a dying worker has just popped."""
        client = self.fleet.redis.client
        for key in self._message_lists():
            for _ in range(chance.randint(1, 3)):
                client.rpop(key)

    def double_messages(self, _: Member, chance: random.Random) -> None:
        client = self.fleet.redis.client
        for key in self._message_lists():
            messages = client.lrange(key, 0, -1)
            for message in chance.sample(messages, min(3, len(messages))):
                if copy := _copied(message):
                    client.lpush(key, copy)

    def leave_foreign_entries(self, entries: Sequence[str]) -> None:
        """Put entries into every message list, between the messages that are there."""
        client = self.fleet.redis.client
        for key in self._message_lists():
            client.lpush(key, *entries)

    # -- the producer

    def cut_producer(self, _: Member, __: random.Random) -> None:
        self.fleet.proxy.cut("producer.*")

    def break_submission(self, _: Member, chance: random.Random) -> bool:
        request = chance.choice(
            (
                *("EVALSHA submit", "LPUSH queue", "EVALSHA cancel", "EVALSHA retry"),
                "EVALSHA move",
            )
        )
        after = chance.random() < 0.5
        return self.lurk(Rule(edge="producer.redis", request=request, fault=Fault.CUT, after=after))

    def lurk(self, rule: Rule) -> bool:
        """Keep a rule until it has struck as often as it should, or nobody comes any more."""
        number = self.fleet.proxy.add(rule)
        deadline = time.monotonic() + _LURKS_S
        while time.monotonic() < deadline and self.fleet.proxy.look(number).struck < rule.times:
            time.sleep(0.1)
        return self.fleet.proxy.lift(number).struck > 0

    def condition(self, edges: str, seconds: float, **conditions: float) -> None:
        """Have edges be under conditions for so long, as of `FaultProxy.condition`."""
        self.fleet.proxy.condition(edges, **conditions)
        time.sleep(seconds)
        self.fleet.proxy.condition(edges)

    def _of_view(self, member: Member, fault: Fault, *, size: int = 0) -> Rule:
        edge = f"{member.name}.node"
        return Rule(edge=edge, request="GET /view", fault=fault, after=True, size=size)

    def _message_lists(self) -> list[str]:
        return list(self.fleet.redis.client.scan_iter("comfyfleet.*", _type="list"))


def _copied(message: str) -> str | None:
    """Return a message as if it had been sent twice; None for a foreign entry that another fault left."""
    try:
        copy = json.loads(message)
        copy["properties"]["delivery_tag"] = str(random.Random(time.time_ns()).random())
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return json.dumps(copy)
