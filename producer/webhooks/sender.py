"""The sender: tries deliveries that are due, one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import AddressRefused, HostFault
from producer.contract.webhooks import DeliveryState, DeliveryTry
from producer.outbound.outbound import Outbound, Reply
from producer.store.deliveries import Deliveries, TakenDelivery
from producer.store.webhook_store import WebhookStore
from producer.webhooks.ladder import next_wait
from producer.webhooks.messages import signed_headers

_log = logging.getLogger(__name__)

#: How long one try may take in all, s.
WITHIN_S: Final = 20.0
#: How long a sender has a delivery: one that died leaves it to others then.
_TAKEN: Final = timedelta(seconds=WITHIN_S + 10)
_TAKEN_IN: Final = range(200, 300)
_GONE: Final = 410


class Sender:
    """Delivers messages to webhooks. Thread-safe.

    Args:
        clock: the time that is signed: Unix s.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        webhooks: WebhookStore,
        outbound: Outbound,
        *,
        within_s: float = WITHIN_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._deliveries = deliveries
        self._webhooks = webhooks
        self._outbound = outbound
        self._within_s = within_s
        self._clock = clock

    def try_one(self) -> bool:
        """Try the delivery whose turn it is; return whether there was one that was due.

        Raises:
            FleetUnreachable: Redis did not answer; what was taken is due again in half a minute.
        """
        taken = self._deliveries.take(within=_TAKEN)
        if taken is None:
            return False
        webhook = self._webhooks.find(taken.webhook)
        if webhook is None or webhook.disabled_at is not None:
            at = datetime.fromtimestamp(self._clock(), UTC)
            attempt = DeliveryTry(at=at, error="the webhook is disabled")
            self._deliveries.settle(taken, DeliveryState.DROPPED, attempt)
            return True
        attempt, reply = self._tried(webhook.url, taken)
        crashpoint("webhook.sent")
        if reply is not None and reply.status == _GONE:
            self._webhooks.disable(webhook, why="its receiver answered 410 Gone")
            self._deliveries.settle(taken, DeliveryState.DROPPED, attempt)
        elif reply is not None and reply.status in _TAKEN_IN:
            self._deliveries.settle(taken, DeliveryState.DELIVERED, attempt)
        else:
            self._try_later(taken, attempt, retry_after=reply.retry_after if reply else "")
        return True

    def _tried(self, url: str, taken: TakenDelivery) -> tuple[DeliveryTry, Reply | None]:
        at = datetime.fromtimestamp(self._clock(), UTC)
        secrets = self._webhooks.signing_secrets(taken.webhook)
        headers = signed_headers(taken.id, taken.body, secrets, at=at)
        began = time.monotonic()
        reply, error = None, ""
        try:
            reply = self._outbound.post(
                url, taken.body.encode(), headers=headers, within_s=self._within_s
            )
        except (HostFault, AddressRefused) as exc:
            error = exc.message
        attempt = DeliveryTry(
            at=at,
            status=reply.status if reply else None,
            latency_ms=round(1_000 * (time.monotonic() - began)),
            said=reply.beginning if reply else "",
            error=error,
        )
        return attempt, reply

    def _try_later(self, taken: TakenDelivery, attempt: DeliveryTry, *, retry_after: str) -> None:
        wait = next_wait(taken.tried + 1, retry_after=retry_after)
        what = f"answered {attempt.status}" if attempt.status else attempt.error
        if wait is None:
            _log.warning("webhook %s: %s given up: %s", taken.webhook, taken.id, what)
            self._deliveries.settle(taken, DeliveryState.FAILED, attempt)
            return
        _log.info("webhook %s: %s again in %s: %s", taken.webhook, taken.id, wait, what)
        self._deliveries.settle(taken, DeliveryState.WAITING, attempt, wait=wait)
