"""Batches by the name that a person gave them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import BatchNotFound, InvalidQuery
from producer.contract.graph.json_values import short
from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.connection import replies_of, translated

if TYPE_CHECKING:
    from redis import Redis

_AT_ONCE: Final = 500
#: Batches of everybody that are looked at, the newest, where an owner's are wanted.
_LOOKED_AT: Final = 1_000
#: Ids that a message names.
_TOLD: Final = 3


def find_batch(redis: Redis, name: str, *, owners: Collection[str] | None = None) -> BatchId:
    """Return the batch that *name* stands for: its id, or the name that it alone has.

    Args:
        owners: whose batches count; None for everybody's.

    Raises:
        BatchNotFound: there is none.
        InvalidQuery: several have this name.
    """
    if not name:  # of all that have no name none is meant
        raise BatchNotFound("without a name")
    if (by_id := _as_id(name)) and _exists(redis, by_id, owners):
        return by_id
    found = list(_called(redis, name, owners))
    if not found:
        raise BatchNotFound(short(name))
    if len(found) > 1:
        ids = ", ".join(found[:_TOLD]) + (", …" if len(found) > _TOLD else "")
        raise InvalidQuery(
            f"{len(found)} batches are called '{short(name)}'; expected the id of one: {ids}",
            field="filter",
        )
    return found[0]


def _called(redis: Redis, name: str, owners: Collection[str] | None) -> Iterator[BatchId]:
    """Give the batches of a name, the newest first."""
    if owners is None or "" in owners:  # the default owner has no list of its own
        yield from _called_in(redis, keys.BATCHES, name, owners)
        return
    lists = [f"{keys.BATCHES}:{owner}" for owner in sorted(owners)]
    found = [batch for key in lists for batch in _called_in(redis, key, name, owners)]
    # The version before listed none by owner.
    found += _called_in(redis, keys.BATCHES, name, owners, most=_LOOKED_AT)
    yield from sorted(set(found), reverse=True)


def _called_in(
    redis: Redis, key: str, name: str, owners: Collection[str] | None, *, most: int | None = None
) -> Iterator[BatchId]:
    start = 0
    while most is None or start < most:
        with translated(redis):
            page: Any = redis.zrange(key, start, start + _AT_ONCE - 1, desc=True)
            with redis.pipeline(transaction=False) as pipe:
                for batch in page:
                    pipe.hmget(keys.batch(batch), ["name", "spec"])
                fields = replies_of(pipe)
        for batch, reply in zip(page, fields, strict=True):
            if isinstance(reply, list) and reply[0] == name and _is_of(reply[1], owners):
                yield BatchId(batch)
        if len(page) < _AT_ONCE:
            return
        start += _AT_ONCE


def _is_of(spec: str | None, owners: Collection[str] | None) -> bool:
    if owners is None:
        return True
    try:
        return json.loads(spec or "{}").get("owner", "") in owners
    except (ValueError, AttributeError):
        return False


def _as_id(text: str) -> BatchId | None:
    try:
        return BatchId(str(uuid.UUID(text.strip())))
    except ValueError:
        return None


def _exists(redis: Redis, batch: BatchId, owners: Collection[str] | None) -> bool:
    with translated(redis):
        spec: Any = redis.hget(keys.batch(batch), "spec")
    return spec is not None and _is_of(spec, owners)
