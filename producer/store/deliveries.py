"""Deliveries: the messages to webhooks, each under its webhook, with when it is due and what came of its tries.

An end passes from the outbox into a delivery in one step, and leaves it in another; in between, whoever takes it
has it for a time. So no sender that dies takes an end with it, and one that was too slow settles nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.json_texts import read_json
from producer.contract.webhooks import Delivery, DeliveryState, DeliveryTry
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.outbox import DueEnd
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms, utc

if TYPE_CHECKING:
    from redis import Redis

#: Tries of one delivery that its record keeps.
_TRIES_KEPT: Final = 20
#: Deliveries to one webhook at the same time.
_AT_ONCE: Final = 4
#: The same to all webhooks of an owner; half as many to those that fail.
_OF_OWNER: Final = 8
#: Deliveries that may wait for a webhook when a test is sent to it.
MOST_BEFORE_TEST: Final = 100


@dataclass(frozen=True)
class TakenDelivery:
    """A delivery that the caller is to try.

    Args:
        webhook: `owner:name`.
        tried: how often it was tried before, since it was last sent anew.
        due_again_ms: when somebody else may take it, Unix ms by Redis' clock.
    """

    webhook: str
    id: str
    event: str
    body: str = field(repr=False)
    tried: int
    due_again_ms: int


class Deliveries:
    """Adds deliveries, takes those that are due, and writes down what has come of them.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def add(
        self,
        webhook: str,
        delivery_id: str,
        *,
        event: str,
        body: str,
        end: DueEnd | None = None,
        is_disabled: bool = False,
        is_for_others: bool = False,
    ) -> bool:
        """Have a message delivered to webhook `owner:name`; the same again changes nothing.

        Args:
            end: what it tells, which leaves the outbox with this step.
            is_disabled: the webhook is told nothing: it is only written down.
            is_for_others: other webhooks are to be told of *end*, too, so it stays in the outbox.

        Returns:
            Whether *end* was still the caller's.
        """
        entry, again = (end.entry, end.due_again_ms) if end else ("", "")
        args = [entry, again, webhook, delivery_id, event, body, int(is_disabled)]
        args += [MOST_BEFORE_TEST, int(is_for_others)]
        return bool(self._scripts.run("delivery_add", args=args))

    def add_test(self, webhook: str, delivery_id: str, *, event: str, body: str) -> bool:
        """Have a test delivered, which tells no end; return False if as many deliveries wait as may."""
        args = ["", "", webhook, delivery_id, event, body, 0, MOST_BEFORE_TEST]
        return int(self._scripts.run("delivery_add", args=args)) > 0

    def take(self, *, within: timedelta) -> TakenDelivery | None:
        """Take the next delivery that is due, or None; webhooks take turns, and none of an owner's all senders.

        Args:
            within: after so long it is due again, unless `settle` was called before.
        """
        reply = self._scripts.run("delivery_take", args=[to_ms(within), _AT_ONCE, _OF_OWNER])
        if not reply:
            return None
        webhook, delivery_id, again, flat = reply
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return TakenDelivery(
            webhook=webhook,
            id=delivery_id,
            event=fields.get("event", ""),
            body=fields.get("body", "{}"),
            tried=int(fields.get("tried", 0)),
            due_again_ms=int(again),
        )

    def settle(
        self,
        taken: TakenDelivery,
        state: DeliveryState,
        attempt: DeliveryTry,
        *,
        wait: timedelta = timedelta(0),
    ) -> bool:
        """Note what came of a try, and with `waiting` have another one made after *wait*.

        Returns:
            Whether it was still the caller's.
        """
        args = [
            taken.webhook,
            taken.id,
            taken.due_again_ms,
            state,
            to_ms(wait),
            attempt.model_dump_json(exclude_defaults=True),
            _TRIES_KEPT,
        ]
        return bool(self._scripts.run("delivery_settle", args=args))

    def again(self, webhook: str, delivery_id: str) -> bool:
        """Have a delivery made again, as if it were new; return whether there is one of this id."""
        return bool(self._scripts.run("delivery_again", args=[webhook, delivery_id]))

    def due(self) -> int:
        """Return how many webhooks have a delivery that is due."""
        now = now_ms(self._redis)
        with translated(self._redis):
            return int(self._redis.zcount(keys.DELIVERIES, "-inf", now))

    def of(self, webhook: str, *, limit: int) -> list[Delivery]:
        """Return the deliveries to webhook `owner:name`: what waits, then the rest, the newest first."""
        with translated(self._redis):
            waiting: Any = self._redis.zrange(
                keys.deliveries(webhook), 0, max(0, limit - 1), withscores=True
            )
            settled: Any = self._redis.zrange(
                keys.settled_deliveries(webhook), 0, max(0, limit - 1), desc=True
            )
        due = {str(name): int(at) for name, at in waiting}
        return self._read(webhook, [*due, *settled][:limit], due)

    def find(self, webhook: str, delivery_id: str) -> Delivery | None:
        """Return one delivery to webhook `owner:name`, or None."""
        with translated(self._redis):
            at: Any = self._redis.zscore(keys.deliveries(webhook), delivery_id)
        found = self._read(webhook, [delivery_id], {delivery_id: int(at)} if at else {})
        return found[0] if found else None

    def _read(self, webhook: str, ids: Sequence[str], due: Mapping[str, int]) -> list[Delivery]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for delivery_id in ids:
                pipe.hgetall(keys.delivery(webhook, delivery_id))
            records = replies_of(pipe)
        return list(_readable(webhook, zip(ids, records, strict=True), due))


def _readable(
    webhook: str, found: Iterable[tuple[str, Any]], due: Mapping[str, int]
) -> Iterable[Delivery]:
    owner, _, name = webhook.rpartition(":")
    for delivery_id, record in found:
        if not record or isinstance(record, Exception):
            continue
        at = due.get(delivery_id)
        yield Delivery(
            id=delivery_id,
            webhook=name,
            owner=owner,
            event=record.get("event", ""),
            subject=record.get("subject", ""),
            state=DeliveryState(record["state"]),
            created_at=utc(record["created_ms"]),
            due_at=utc(at) if at is not None else None,
            tries=[
                DeliveryTry.model_validate_json(text)
                for text in read_json(record.get("tries", "[]"))
            ],
        )
