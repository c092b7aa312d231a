"""Which keys of a Redis would stay for ever although nobody says that they do."""

from __future__ import annotations

import re
from typing import Final

import redis

from producer.store import keys

#: The broker's own lists and bindings, which go with their queue when it is retired, and the clock
#: that tests of models hand in.
_NOT_OURS: Final = ("comfyfleet.", "_kombu.", "test:")


def kept_for_ever(table: str = keys.__doc__) -> frozenset[str]:
    """Return the keys whose life is "for ever" in the table of `producer/store/keys.py`."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return frozenset(key for key, _, life in rows if life.startswith("for ever"))


def without_life(client: redis.Redis) -> list[str]:
    """Return the keys that neither expire nor are kept for ever or by others."""
    there = [key for key in client.scan_iter(count=1000) if not key.startswith(_NOT_OURS)]
    with client.pipeline(transaction=False) as pipe:
        for key in there:
            pipe.ttl(key)
        lives = pipe.execute()
    named = re.compile("|".join(map(_pattern, kept_for_ever())))
    return sorted(
        key for key, ttl in zip(there, lives, strict=True) if ttl == -1 and not named.fullmatch(key)
    )


def _pattern(key: str) -> str:
    """Return an expression for a key of the table, in which `<owner>` stands for a name without a colon."""
    return "[^:]*".join(map(re.escape, re.split(r"<\w+>", key)))
