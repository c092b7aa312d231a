"""Access keys by their hash, and how fast each may be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from producer.contract.access import AccessKey
from producer.contract.errors import FleetError
from producer.contract.json_texts import read_json
from producer.store import keys
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

#: Digits of a hash by which a key is called.
ID_DIGITS: Final = 12
#: Records that are remembered as they were read; each request brings one.
_READ_KEYS: Final = 256


class Admission(NamedTuple):
    """What Redis says of a request with a key.

    Args:
        outcome: `ok`, `unknown`, `expired` or `limited`.
        key: None where it is unknown.
        after: for `limited`: when to come again.
    """

    outcome: str
    key: AccessKey | None
    after: timedelta


class AccessKeyRecords:
    """Keeps access keys under the hash of what their holder sends.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    def add(
        self, sha256: str, fields: Mapping[str, Any], *, life: timedelta | None
    ) -> AccessKey | None:
        """Keep a new key; None if another one has its name.

        Args:
            fields: of `AccessKey`, as JSON has them, without id and times.
        """
        life_ms = 0 if life is None else life // timedelta(milliseconds=1)
        record = {name: value for name, value in fields.items() if value is not None}
        text = self._scripts.run("key_add", args=[sha256, json.dumps(record), life_ms])
        return _key(sha256, text) if text else None

    def admit(self, sha256: str) -> Admission:
        """Count one request with a key, and tell whether it may go on."""
        return _admission(sha256, self._scripts.run("key_admit", args=[sha256]))

    def admit_each(
        self, hashes: Sequence[str], *, counts: bool = True
    ) -> list[Admission | FleetError]:
        """Do the same for several requests in one round trip; one that fails takes no other with it.

        Args:
            counts: whether they count; else the keys are looked at alone.
        """
        calls = [((), [sha256, "" if counts else "look"]) for sha256 in hashes]
        replies = self._scripts.run_each("key_admit", calls)
        return [
            reply if isinstance(reply, FleetError) else _admission(sha256, reply)
            for sha256, reply in zip(hashes, replies, strict=True)
        ]

    def all(self) -> list[AccessKey]:
        """Return every key, by name; one that cannot be read is left out."""
        with translated(self._redis):
            found: Any = self._redis.hgetall(keys.ACCESS_KEYS)
        read = (_key(sha256, text) for sha256, text in found.items())
        return sorted((key for key in read if key), key=lambda key: key.name)

    def remove(self, name: str) -> bool:
        """Forget the key of a name; return whether there was one. It opens nothing from then on."""
        with translated(self._redis):
            found: Any = self._redis.hgetall(keys.ACCESS_KEYS)
            named = [sha256 for sha256, text in found.items() if _named(text) == name]
            return bool(named) and bool(self._redis.hdel(keys.ACCESS_KEYS, *named))


def _admission(sha256: str, reply: Any) -> Admission:
    outcome, text, after_ms = reply
    key = _key(sha256, text) if text else None
    return Admission(outcome if key else "unknown", key, timedelta(milliseconds=int(after_ms)))


@lru_cache(_READ_KEYS)
def _key(sha256: str, text: str) -> AccessKey | None:
    try:
        record = read_json(text)
        times: dict[str, datetime | None] = {
            "created_at": utc(record["created_ms"]),
            "expires_at": utc(record["expires_ms"]) if record.get("expires_ms") else None,
        }
        return AccessKey.model_validate({**record, **times, "id": sha256[:ID_DIGITS]})
    except (ValueError, TypeError, KeyError):
        return None


def _named(text: str) -> str | None:
    """Return the name in a record, whatever else is wrong with it."""
    try:
        return str(read_json(text)["name"])
    except (ValueError, TypeError, KeyError):
        return None
