"""Types of Redis keys, by the table in `keys.py`, and which keys of the fleet have another one.

A foreign value in place of an index is told by its name: Redis itself only says that something had another type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from producer.store import keys

if TYPE_CHECKING:
    from redis import Redis

#: Type by key; `none` is a key that is not there.
TYPES: Final = {
    **dict.fromkeys(
        (
            *(keys.NODES, keys.LEASES, keys.DEAD, keys.QUEUES_USED, keys.QUEUES_NEEDED),
            *(keys.DELAYED, keys.JOBS, keys.OWNERS, keys.UNPACKED, keys.UNPACKED_ROWS),
            *(keys.RESULTS, keys.OUTBOX, keys.COPIES, keys.BATCHES, keys.FEEDING, keys.SHAPES),
            *(keys.DELIVERIES, keys.DELIVERING, keys.ACTIONS_WAITING, keys.ACTIONS_ASKED),
        ),
        "zset",
    ),
    **dict.fromkeys(
        (
            *(
                keys.QUEUES,
                keys.QUEUES_RETIRED,
                keys.DESIRED,
                keys.QUARANTINED,
                keys.POOLS,
                keys.ACCESS_KEYS,
            ),
            *(keys.OWNER_LIMITS, keys.TOTALS, keys.RECOVERED, keys.TEMPLATES, keys.ACTIONS_OFTEN),
            *(keys.WEBHOOKS, keys.WEBHOOK_SECRETS, keys.WEBHOOKS_FAILING),
        ),
        "hash",
    ),
    **dict.fromkeys((keys.EVENTS, keys.ACTIONS), "stream"),
    **dict.fromkeys((keys.WAITING, keys.WATCHED), "string"),
}
#: Type by what a key begins with, for keys of which there are few.
INDEXES: Final = {
    keys.QUEUED: "zset",
    f"{keys.JOBS}:": "zset",
    f"{keys.BATCHES}:": "zset",
    f"{keys.TEMPLATES}:": "hash",
    keys.ENDED: "zset",
    f"{keys.ACTIONS_ASKED}:": "zset",
    keys.OWNER: "hash",
    keys.IDLE: "zset",
    keys.LIVE: "zset",
    keys.NODE: "hash",
}
#: Type by what a key begins with, for keys of which there are very many.
_RECORDS: Final = {keys.JOB: "hash", keys.BATCH: "hash", keys.ACTION: "hash"}
#: What scripts say, and redis-py of a pipeline.
_SAID: Final = re.compile(r"WRONGTYPE (comfyfleet:\S+) is (\w+), not (\w+)")
_OF_PIPELINE: Final = re.compile(r"Command # \d+ \(\w+ (comfyfleet:\S+)")
_A_PERSONS_WORD: Final = {"zset": "sorted set"}
_AT_ONCE: Final = 1_000
#: Keys that are looked through for the one that an error is about.
_LOOKED_AT: Final = 20_000


@dataclass(frozen=True)
class ForeignKey:
    """A key of another type than the fleet's."""

    key: str
    found: str
    wanted: str

    @property
    def sentence(self) -> str:
        """What is wrong, without a full stop."""
        return f"{self.key} is a {_word(self.found)}, not a {_word(self.wanted)}"


def foreign_keys(redis: Redis, names: Iterable[str]) -> Iterator[ForeignKey]:
    """Yield those of some keys that have another type than the fleet gives them."""
    names = iter(names)
    while page := list(islice(names, _AT_ONCE)):
        with redis.pipeline(transaction=False) as pipe:
            for key in page:
                pipe.type(key)
            types: list[str] = pipe.execute()
        for key, found in zip(page, types, strict=True):
            wanted = type_of(key)
            if wanted and found not in {"none", wanted}:
                yield ForeignKey(key, found, wanted)


def foreign_key_of(redis: Redis, error: Exception) -> ForeignKey | None:
    """Return the key that an error of Redis is about; None if it cannot be found, or may not be looked for."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - as in `connection`

    if said := _SAID.search(str(error)):
        return ForeignKey(said[1], said[2], said[3])
    named = _OF_PIPELINE.search(str(error))
    likely = [named[1]] if named else []
    try:
        if found := next(foreign_keys(redis, chain(likely, TYPES)), None):
            return found
        scanned = islice(redis.scan_iter("comfyfleet:*", count=_AT_ONCE), _LOOKED_AT)
        indexes = (key for key in scanned if key.startswith(tuple(INDEXES)))
        return next(foreign_keys(redis, indexes), None)
    except RedisError:
        return None


def type_of(key: str) -> str | None:
    """Return the type that a key should have; None for one of no concern here."""
    begins = chain(INDEXES.items(), _RECORDS.items())
    found = (kind for begin, kind in begins if key.startswith(begin))
    return TYPES.get(key) or next(found, None)


def _word(kind: str) -> str:
    return _A_PERSONS_WORD.get(kind, kind)
