"""Copy policy: where the copies of a request may be put, by the settings of this producer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from producer.contract.config.deliver_buckets import DeliverBuckets
from producer.contract.config.settings import Settings
from producer.contract.deliver import Deliver
from producer.contract.deliver_requests import read_deliver, template_of
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.storage.object_keys import is_own


def checked_deliver(
    given: Mapping[str, Any] | Deliver | None, *, owner: str, has_batch: bool, settings: Settings
) -> Deliver | None:
    """Return where copies are put, if that is allowed.

    Args:
        owner: of the jobs; empty for none.
        has_batch: whether they are rows of a batch.

    Raises:
        InvalidJob: it makes no sense, two copies could have one key, or the operator does not allow it.
    """
    deliver = read_deliver(given)
    if deliver is None:
        return None
    template = template_of(deliver, owner=owner, has_batch=has_batch)
    begin = template.begin(owner)
    DeliverBuckets.parse(settings.deliver_buckets).check(template.bucket, begin, owner=owner)
    if template.bucket == settings.s3_bucket and is_own(settings.s3_prefix, begin):
        raise InvalidJob(
            f"deliver.to begins with {printable(begin) if begin else 'a placeholder'}, and in its own bucket the fleet "
            "keeps its artifacts there, or may",
            field="deliver.to",
            advice="begin the key with a folder for copies, as copies/",
        )
    return deliver
