"""The process that tells webhooks: a Celery worker on a queue of its own, and a sweep beside it.

The sweep makes deliveries of ends, and wakes as many senders as there is work for. A message only wakes: it says
nothing, so one that is lost, or comes twice, changes nothing, and any process may answer it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
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
#: How long messages may wake nobody, s: each sender is done after two tries at most, and kombu pauses up to
#: 30 s once Redis is back.
_STUCK_AFTER_S: Final = 90.0


class HookService:
    """What runs in the process: a sweep in a thread, `send` in each of Celery's.

    Args:
        on_stuck: called when messages have woken no sender for so long.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_stuck: Callable[[], None] = lambda: None,
        stuck_after_s: float = _STUCK_AFTER_S,
    ) -> None:
        self._on_stuck = on_stuck
        self._stuck_after_s = stuck_after_s
        self._tried_at = 0.0
        self._waking_since: float | None = None
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
        self._tried_at = time.monotonic()
        while not self._stopping.is_set() and time.monotonic() < until:
            if not self._sender.try_one():
                break
            tried += 1
        return tried

    def sweep_once(self) -> bool:
        """Make deliveries of some ends that are due, and wake senders; return whether there may be more.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        taken = self._ends.sweep()
        due = self._deliveries.due()
        with translated(self._redis):
            waking = int(self._redis.llen(keys.message_list(HOOK_QUEUE, 0)))
        if wanted := max(0, min(due, SENDERS) - waking):
            self._dispatch.wake_senders(wanted)
        self._check_senders(is_waking=due > 0 and waking > 0)
        return taken > 0

    def _check_senders(self, *, is_waking: bool) -> None:
        """Have the process ended if messages wake no sender for long: kombu may have stopped to ask for them."""
        now = time.monotonic()
        if not is_waking:
            self._waking_since = None
        elif self._waking_since is None or self._tried_at > self._waking_since:
            self._waking_since = now
        elif now - self._waking_since > self._stuck_after_s:
            self._on_stuck()

    def _sweep(self) -> None:
        was_away, has_more = False, False
        while not self._stopping.wait(0 if has_more else _EVERY_S):
            has_more = False
            try:
                has_more = self.sweep_once()
            except FleetUnreachable as exc:
                if not was_away:
                    _log.warning("webhooks wait: %s", exc)
                was_away = True
                self._waking_since = None
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
