"""What a storm does to the API, to the senders of webhooks and to their receiver.

Each method hurts them, and has undone it when it returns; those that lie in wait tell whether anybody came.
"""

from __future__ import annotations

import random
import signal
import time
from typing import Final

from tests.chaos.fleet.members import Member
from tests.chaos.fleet.processes import KeptProcess
from tests.chaos.fleet.web_services import API, RECEIVER, SENDERS
from tests.chaos.proxy.rules import Fault, Rule
from tests.chaos.storm.strikes import Strikes

#: Where a connection of the API breaks, when a request is what breaks it.
_OF_API: Final = (
    *("EVALSHA key_admit", "EVALSHA submit", "LPUSH queue", "HGETALL job", "HGET webhooks"),
    *("EVALSHA batch_open", "EVALSHA batch_add", "EVALSHA batch_seal", "EVALSHA cancel"),
)
_OF_SENDERS: Final = (
    *("EVALSHA outbox_take", "EVALSHA outbox_settle", "EVALSHA delivery_add", "HGETALL job"),
    *("EVALSHA delivery_take", "EVALSHA delivery_settle", "HGET webhooks*", "LPUSH queue"),
    "BRPOP queue*",
)
#: What is not a webhook's own end: a receiver that says 410 is told no more.
_REFUSALS: Final = (400, 401, 404, 429, 500, 502, 503)


def kill_api(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """End a process of the API as `kill -9` does."""
    chance.choice(strikes.fleet.web.api).kill()


def stop_api(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Tell a process of the API to end."""
    chance.choice(strikes.fleet.web.api).signal(signal.SIGTERM)


def freeze_api(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Have a process of the API stand still."""
    _freeze(chance.choice(strikes.fleet.web.api), chance)


def kill_senders(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """End a process of senders as `kill -9` does."""
    chance.choice(strikes.fleet.web.senders).kill()


def freeze_senders(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Have a process of senders stand still."""
    _freeze(chance.choice(strikes.fleet.web.senders), chance)


def kill_receiver(strikes: Strikes, _: Member, __: random.Random) -> None:
    """End the receiver as `kill -9` does."""
    strikes.fleet.web.receiver.kill()


def break_api(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Break a connection of the API to Redis at a request of a name."""
    return _break(strikes, f"{API}*.redis", chance.choice(_OF_API), chance)


def break_senders(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Break a connection of senders to Redis at a request of a name."""
    return _break(strikes, f"{SENDERS}*.redis", chance.choice(_OF_SENDERS), chance)


def lose_api_answer(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Have the answers to the next requests lost on their way to the client."""
    rule = Rule(edge=f"{API}*.http", request="POST *", fault=Fault.CUT, after=True)
    rule.times = chance.randint(1, 3)
    return strikes.lurk(rule)


def cut_api_request(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Have a request of a client end after some bytes."""
    edge, size = f"{API}*.http", chance.randrange(1, 400)
    return strikes.lurk(Rule(edge=edge, request="POST *", fault=Fault.LIMIT, size=size))


def slow_api(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Let clients wait for every answer."""
    lag_s = chance.uniform(0.05, 0.5)
    strikes.condition(f"{API}*.http", chance.uniform(0.5, 3), lag_s=lag_s)


def refuse_messages(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Answer the next messages by a status that refuses them."""
    status, times = chance.choice(_REFUSALS), chance.randint(1, 3)
    return strikes.lurk(
        Rule(edge=RECEIVER, request="POST *", fault=Fault.ANSWER, status=status, times=times)
    )


def lose_receipt(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Have the next messages received, and their answers lost."""
    rule = Rule(edge=RECEIVER, request="POST *", fault=Fault.CUT, after=True)
    rule.times = chance.randint(1, 3)
    return strikes.lurk(rule)


def cut_message(strikes: Strikes, _: Member, chance: random.Random) -> bool:
    """Have the next message end after some bytes."""
    size = chance.randrange(1, 800)
    return strikes.lurk(Rule(edge=RECEIVER, request="POST *", fault=Fault.LIMIT, size=size))


def slow_receiver(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Let senders wait for every answer."""
    strikes.condition(RECEIVER, chance.uniform(0.5, 3), lag_s=chance.uniform(0.2, 2))


def away_receiver(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Let no sender in."""
    strikes.condition(RECEIVER, chance.uniform(0.3, 2), refuse=True)


def _break(strikes: Strikes, edge: str, request: str, chance: random.Random) -> bool:
    after = chance.random() < 0.5
    return strikes.lurk(Rule(edge=edge, request=request, fault=Fault.CUT, after=after))


def _freeze(process: KeptProcess, chance: random.Random) -> None:
    process.signal(signal.SIGSTOP)
    time.sleep(chance.uniform(0.3, 5))
    process.signal(signal.SIGCONT)
