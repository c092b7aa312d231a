"""The process that tells webhooks: a Celery worker on a queue of its own, and a sweep beside it.

The sweep makes deliveries of ends, and wakes as many senders as there is work for. A message only wakes: it says
nothing, so one that is lost, or comes twice, changes nothing, and any process may answer it.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from producer.contract.config.settings import Settings
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import FleetUnreachable
from producer.contract.queues import HOOK_QUEUE
from producer.dispatch import Dispatch
from producer.outbound.outbound import Outbound
from producer.store import keys
from producer.store.batch_store import BatchStore
from producer.store.connection import connect, translated
from producer.store.deliveries import Deliveries
from producer.store.job_store import JobStore
from producer.store.outbox import Outbox
from producer.store.scripts import Scripts
from producer.store.webhook_store import WebhookStore
from producer.webhooks.ends import Ends
from producer.webhooks.sender import Sender

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: Messages that are delivered at the same time by one process.
SENDERS: Final = 16
#: How often the outbox is looked at, s; an end waits half of it on average.
_EVERY_S: Final = 0.5
#: How long one message keeps a sender busy, s; then another has to be sent.
_BUSY_S: Final = 20.0


class HookService:
    """What runs in the process: `sweep` in a thread, `send` in each of Celery's."""

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings)
        self._dispatch = Dispatch(settings)
        self._stopping = Event()
        self._sweeper = Thread(target=self._sweep, name="hook-sweep", daemon=True)
        scripts = Scripts(self._redis)
        self._deliveries = Deliveries(self._redis, scripts=scripts)
        webhooks = WebhookStore(self._redis, scripts=scripts)
        self._ends = _ends(settings, self._redis, scripts, self._deliveries, webhooks)
        outbound = Outbound(TrustedHosts.parse(settings.trusted_hosts))
        self._sender = Sender(self._deliveries, webhooks, outbound)

    def check(self) -> None:
        """Ask Redis whether it is there; raises FleetUnreachable."""
        with translated(self._redis):
            self._redis.ping()

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper.start()

    def stop(self) -> None:
        """Take nothing more; what is being sent gets to its end, within 20 s."""
        self._stopping.set()

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def send(self) -> int:
        """Deliver what is due until nothing is, for 20 s at most; return how many were tried."""
        until, tried = time.monotonic() + _BUSY_S, 0
        while not self._stopping.is_set() and time.monotonic() < until:
            if not self._sender.try_one():
                break
            tried += 1
        return tried

    def sweep_once(self) -> None:
        """Make deliveries of the ends that are due, and wake senders; raises FleetUnreachable."""
        while self._ends.sweep():
            pass
        due = self._deliveries.due()
        with translated(self._redis):
            waking = int(self._redis.llen(keys.message_list(HOOK_QUEUE, 0)))
        if wanted := max(0, min(due, SENDERS) - waking):
            self._dispatch.wake_senders(wanted)

    def _sweep(self) -> None:
        was_away = False
        while not self._stopping.wait(_EVERY_S):
            try:
                self.sweep_once()
            except FleetUnreachable as exc:
                if not was_away:
                    _log.warning("webhooks wait: %s", exc)
                was_away = True
            except Exception:  # noqa: BLE001 - logged, and tried again
                # The sweep is all that finds what is due: it must outlive what nobody thought of.
                _log.exception("the sweep of webhooks failed; it goes on")
            else:
                was_away = False


def _ends(
    settings: Settings,
    redis: Redis,
    scripts: Scripts,
    deliveries: Deliveries,
    webhooks: WebhookStore,
) -> Ends:
    keep_ended = timedelta(seconds=settings.keep_ended_s)
    return Ends(
        Outbox(redis, scripts=scripts),
        deliveries,
        webhooks,
        jobs=JobStore(redis, keep_ended=keep_ended, scripts=scripts),
        batches=BatchStore(redis, keep_ended=keep_ended, scripts=scripts),
    )
