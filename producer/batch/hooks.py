"""The webhook that a batch names, checked when it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.errors import InvalidJob
from producer.intake.request import Request
from producer.store.made_jobs import made_under
from producer.webhooks.methods import Webhooks

if TYPE_CHECKING:
    from redis import Redis


def check_batch_hook(webhooks: Webhooks, redis: Redis, request: Request) -> None:
    """Check that a batch's `hook` names a webhook of its owner, unless its idempotency key has made a batch before.

    Raises:
        InvalidJob: there is none of this name.
    """
    try:
        webhooks.check_hook(request.hook, owner=request.owner)
    except InvalidJob:
        key = request.idempotency_key
        if not (isinstance(key, str) and key and made_under(redis, key, owner=request.owner)):
            raise
