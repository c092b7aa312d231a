"""Which owner has uploaded which content. The content itself is in the bucket, once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.uploads import Upload
from producer.store import keys, limits
from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis


class Uploads:
    """Remembers uploads for 30 days after they were last handed in or named.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, upload: Upload) -> None:
        """Remember an upload; the same content again is the same upload, under its newest name."""
        key = keys.upload(upload.owner, upload.id)
        with translated(self._redis):
            self._redis.set(key, upload.model_dump_json(), px=limits.UPLOAD_KEPT_MS)

    def find(self, upload_id: str, *, owner: str) -> Upload | None:
        """Return an owner's upload, or None; it is remembered for another 30 days."""
        with translated(self._redis):
            text = self._redis.getex(keys.upload(owner, upload_id), px=limits.UPLOAD_KEPT_MS)
        try:
            return Upload.model_validate_json(str(text)) if text is not None else None
        except ValueError:
            return None
