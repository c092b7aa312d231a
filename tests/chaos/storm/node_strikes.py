"""What odd nodes do in a storm: they answer nonsense, drip, break down and refuse.

Each method sets a rule of the stand-in itself, past the proxy, and lifts it when it returns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests

from tests.chaos.fleet.members import Member
from tests.chaos.storm.strikes import Strikes

#: A rule waits so long for somebody to meet it, s.
_LURKS_S: Final = 3.0

#: Answers of another shape than ComfyUI's, for any route.
_NONSENSE: Final = (
    "null",
    "[]",
    "7",
    '"text"',
    '{"error": ["a", {"b": 1}], "node_errors": [1]}',
    '{"queue_running": {}, "queue_pending": 7, "outputs": [], "status": "done"}',
    '{"\\ud800": "\\u001b]0;x"}',
    '{"a":' * 2_000,
    "[" + "0," * 200_000,
    "<html>a proxy's page</html>",
    "",
)
#: How a card says that it is gone, by its driver's or the framework's words.
_BROKEN_CARD: Final = (
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: unspecified launch failure",
    "HIP error: an illegal memory access was encountered",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
)


def answer_nonsense(_: Strikes, member: Member, chance: random.Random) -> bool:
    """Answer the next requests of a route with JSON of another shape, or with no JSON."""
    route = chance.choice(("GET /history", "GET /queue", "POST /prompt", "GET /object_info"))
    return _meets(
        member,
        on=route,
        do="answer",
        status=200,
        body=chance.choice(_NONSENSE),
        count=chance.randint(1, 3),
    )


def refuse_oddly(_: Strikes, member: Member, chance: random.Random) -> bool:
    """Refuse the next prompts in a shape that no ComfyUI has."""
    status = chance.choice((400, 403, 413, 418, 500))
    body = chance.choice(_NONSENSE)
    return _meets(member, on="POST /prompt", do="answer", status=status, body=body)


def drip(_: Strikes, member: Member, chance: random.Random) -> bool:
    """Send the next answer a few bytes a second."""
    route = chance.choice(("GET /view", "GET /history", "GET /queue"))
    return _meets(member, on=route, do="slow", bytes_per_s=chance.choice((1, 20, 200)))


def refuse_head(_: Strikes, member: Member, chance: random.Random) -> None:
    """Take no HEAD for a while, as some proxies do."""
    with _under(member, on="HEAD /view", do="answer", status=chance.choice((405, 501)), count=0):
        time.sleep(chance.uniform(1, 4))


def break_card(_: Strikes, member: Member, chance: random.Random) -> None:
    """Let every graph node fail for a while, as after a fault of the card."""
    body = chance.choice(_BROKEN_CARD)
    with _under(member, on="run *", do="raise", body=body, count=0):
        time.sleep(chance.uniform(0.2, 3))


def fill_disk(_: Strikes, member: Member, chance: random.Random) -> None:
    """Let every saver fail for a while, as on a full disk: at once, or when its picture is written."""
    place = chance.choice(("run SaveImage", "encode SaveImage"))
    with _under(member, on=place, do="disk_full", count=0):
        time.sleep(chance.uniform(0.2, 2))


def hold_pictures(_: Strikes, member: Member, chance: random.Random) -> bool:
    """Have the next pictures wait to be written: beside other renders with the companion, else before them."""
    seconds, count = chance.uniform(1, 8), chance.randint(1, 3)
    return _meets(member, on="encode SaveImage", do="hang", seconds=seconds, count=count)


def interrupt(_: Strikes, member: Member, __: random.Random) -> bool:
    """Interrupt whatever runs, as a person at the node does."""
    return _meets(member, on="run *", do="interrupt")


def leave_foreign_entries(strikes: Strikes, _: Member, chance: random.Random) -> None:
    """Leave entries in the broker's lists that are no messages."""
    strikes.leave_foreign_entries(chance.sample(_NONSENSE, 3))


def _meets(member: Member, **rule: Any) -> bool:
    """Keep a rule until it has struck as often as it should, or nobody comes; tell whether it has."""
    with _under(member, **rule) as number:
        deadline = time.monotonic() + _LURKS_S
        fired = 0
        while time.monotonic() < deadline and fired < rule.get("count", 1):
            time.sleep(0.1)
            fired = _fired(member, number, fired)
    return fired > 0


@contextmanager
def _under(member: Member, **rule: Any) -> Iterator[int]:
    """Keep a rule on a stand-in for the block; one that is gone, or starts anew, has none."""
    number = 0
    with suppress(requests.RequestException):
        [number] = _ask(member, "POST", json=rule)
    try:
        yield number
    finally:
        with suppress(requests.RequestException):
            _ask(member, "DELETE", f"/{number}")


def _fired(member: Member, number: int, before: int) -> int:
    with suppress(requests.RequestException):
        return next((rule["fired"] for rule in _ask(member, "GET") if rule["id"] == number), before)
    return before


def _ask(member: Member, method: str, below: str = "", **body: Any) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        url = f"{member.url}/standin/faults{below}"
        answer = session.request(method, url, timeout=2, **body)
    return answer.json() if answer.content else None
