"""Jobs by the idempotency key under which they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producer.contract.ids import JobId
from producer.store import keys
from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis


class MadeJob(NamedTuple):
    """What an idempotency key stands for.

    Args:
        fingerprint: of the request that made it.
    """

    id: JobId
    fingerprint: str


def made_under(redis: Redis, key: str, *, owner: str) -> MadeJob | None:
    """Return what a key of an owner's has made, a job or a batch, which may be gone by now; None if it was never used."""
    with translated(redis):
        found = redis.get(keys.idempotency(owner, key))
    made, _, fingerprint = str(found or "").partition(" ")
    return MadeJob(JobId(made), fingerprint) if made and fingerprint else None
