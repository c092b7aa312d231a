"""Batches by the name that a person gave them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import BatchNotFound, InvalidQuery
from producer.contract.graph.json_values import short
from producer.contract.ids import BatchId
from producer.contract.json_texts import read_json
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
    return find_batches(redis, [name], owners=owners)[name]


def find_batches(
    redis: Redis, names: Collection[str], *, owners: Collection[str] | None = None
) -> dict[str, BatchId]:
    """Return the batches that some names stand for; errors as of `find_batch`.

    The batches are looked at once, however many names there are.
    """
    by_id = {name: found for name in names if (found := _of_id(redis, name, owners))}
    called = _called(redis, set(names) - by_id.keys() - {""}, owners)
    return {name: by_id.get(name) or _only(name, called.get(name, [])) for name in names}


def _of_id(redis: Redis, name: str, owners: Collection[str] | None) -> BatchId | None:
    by_id = _as_id(name)
    return by_id if by_id and _exists(redis, by_id, owners) else None


def _only(name: str, found: Sequence[BatchId]) -> BatchId:
    if not name:  # of all that have no name none is meant
        raise BatchNotFound("without a name")
    if not found:
        raise BatchNotFound(short(name))
    if len(found) > 1:
        ids = ", ".join(found[:_TOLD]) + (", …" if len(found) > _TOLD else "")
        raise InvalidQuery(
            f"{len(found)} batches are called '{short(name)}'; expected the id of one: {ids}",
            field="filter",
        )
    return found[0]


def _called(
    redis: Redis, names: Collection[str], owners: Collection[str] | None
) -> dict[str, list[BatchId]]:
    """Return the batches of some names, the newest first."""
    found: set[tuple[str, BatchId]] = set()
    if names and (owners is None or "" in owners):  # the default owner has no list of its own
        found.update(_called_in(redis, keys.BATCHES, names, owners))
    elif names:
        for owner in owners or ():
            found.update(_called_in(redis, f"{keys.BATCHES}:{owner}", names, owners))
        # The version before listed none by owner.
        found.update(_called_in(redis, keys.BATCHES, names, owners, most=_LOOKED_AT))
    by_name: dict[str, list[BatchId]] = {}
    for name, batch in sorted(found, key=itemgetter(1), reverse=True):
        by_name.setdefault(name, []).append(batch)
    return by_name


def _called_in(
    redis: Redis,
    key: str,
    names: Collection[str],
    owners: Collection[str] | None,
    *,
    most: int | None = None,
) -> Iterator[tuple[str, BatchId]]:
    start = 0
    while most is None or start < most:
        with translated(redis):
            page: Any = redis.zrange(key, start, start + _AT_ONCE - 1, desc=True)
            with redis.pipeline(transaction=False) as pipe:
                for batch in page:
                    pipe.hmget(keys.batch(batch), ["name", "spec"])
                fields = replies_of(pipe)
        for batch, reply in zip(page, fields, strict=True):
            if isinstance(reply, list) and reply[0] in names and _is_of(reply[1], owners):
                yield reply[0], BatchId(batch)
        if len(page) < _AT_ONCE:
            return
        start += _AT_ONCE


def _is_of(spec: str | None, owners: Collection[str] | None) -> bool:
    if owners is None:
        return True
    try:
        return read_json(spec or "{}").get("owner", "") in owners
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
