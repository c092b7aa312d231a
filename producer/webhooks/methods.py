"""Webhooks, as `Producer.webhooks` has them: registered, tested, their deliveries listed and sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from producer.contract.arguments import checked
from producer.contract.config.settings import Settings
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import AddressRefused, InvalidJob, WebhookNotFound
from producer.contract.graph.json_values import printable
from producer.contract.ids import new_job_id
from producer.contract.owners import owner_flaw
from producer.contract.queues import is_name
from producer.contract.webhooks import (
    BodyForm,
    Delivery,
    NewWebhook,
    Webhook,
    checked_events,
)
from producer.outbound.outbound import Outbound
from producer.store.actions import Actions
from producer.store.deliveries import MOST_BEFORE_TEST, Deliveries
from producer.store.times import now_ms, utc
from producer.store.webhook_store import WebhookStore, webhook_key
from producer.threaded_calls import ThreadedTwin, in_thread
from producer.webhooks.messages import test_message

if TYPE_CHECKING:
    from redis import Redis

_LONGEST_PAGE: Final = 1_000
#: The longest that messages are signed with the old secret, too.
_LONGEST_KEPT: Final = timedelta(days=7)


class Webhooks:
    """The webhooks of a fleet; those of one owner are no other's. `Producer.webhooks` is one of these."""

    def __init__(self, settings: Settings, redis: Redis, actions: Actions) -> None:
        self._redis = redis
        self._actions = actions
        self._settings = settings
        self._store = WebhookStore(redis)
        self._deliveries = Deliveries(redis)

    def create(
        self,
        name: str,
        url: str,
        *,
        owner: str = "",
        events: Sequence[str] = (),
        body: BodyForm = "thin",
    ) -> NewWebhook:
        """Register a receiver, and return it with its secret, which is never shown again.

        Args:
            name: what jobs name as their `hook`.
            url: where messages are posted to: https, unless the operator trusts the host.
            events: values of `EventType`; the ends of jobs and batches by default.
            body: `thin`, or `full` with the whole record in it.

        Raises:
            AddressRefused: the address is not one that may be asked.
            InvalidJob: another argument makes no sense, or the owner has a webhook of this name.
        """
        _check_name(name, owner)
        if body not in {"thin", "full"}:
            raise InvalidJob(f"body is {printable(str(body))}; expected thin or full", field="body")
        wanted = checked_events(events)
        target = self._outbound.check(url)
        if not (target.is_secure or self._outbound.is_trusted(target)):
            raise AddressRefused(f"{target.shown} is not encrypted", advice="give an https address")
        webhook = Webhook(
            name=name,
            owner=owner,
            url=url,
            events=wanted,
            body=body,
            created_at=utc(now_ms(self._redis)),
        )
        made = NewWebhook(webhook=webhook, secret=self._store.add(webhook))
        self._log("create", name, owner, detail=", ".join(wanted))
        return made

    def list(self, *, owner: str | None = None) -> list[Webhook]:
        """Return the webhooks of an owner, or of all, by name."""
        return self._store.all(owner=owner)

    def get(self, name: str, *, owner: str = "") -> Webhook:
        """Return a webhook; raises WebhookNotFound."""
        return self._store.get(name, owner=owner)

    def delete(self, name: str, *, owner: str = "") -> None:
        """Forget a webhook and what was to be told to it; raises WebhookNotFound."""
        self._store.delete(name, owner=owner)
        self._log("delete", name, owner)

    def enable(self, name: str, *, owner: str = "") -> Webhook:
        """Tell a webhook again that was disabled, and what has waited for it; raises WebhookNotFound."""
        enabled = self._store.enable(self.get(name, owner=owner))
        self._log("enable", name, owner)
        return enabled

    def rotate(
        self, name: str, *, owner: str = "", keep: timedelta = timedelta(hours=24)
    ) -> SecretStr:
        """Return a new secret. Messages are signed with both for as long as *keep*.

        Raises:
            WebhookNotFound: the owner has none of this name.
            InvalidJob: *keep* is negative, or longer than 7 days.
        """
        if not timedelta(0) <= checked(keep, timedelta, field="keep") <= _LONGEST_KEPT:
            raise InvalidJob(f"keep is {keep}; expected 0 s to 7 days", field="keep")
        secret = self._store.rotate(self.get(name, owner=owner), keep=keep)
        self._log("rotate", name, owner)
        return secret

    def test(self, name: str, *, owner: str = "") -> Delivery:
        """Send a webhook a message of type `webhook.test`, and return its delivery, which is on its way.

        Raises:
            WebhookNotFound: the owner has none of this name.
            InvalidJob: it is disabled, or a hundred deliveries wait for it already.
        """
        webhook = self._enabled(name, owner)
        key, delivery_id = webhook_key(name, owner), f"test_{new_job_id()}"
        event, body = test_message(webhook)
        if not self._deliveries.add_test(key, delivery_id, event=event, body=body):
            raise InvalidJob(
                f"webhook {name} has {MOST_BEFORE_TEST} deliveries waiting or more, which are told first",
                field="webhook",
                advice="see what its receiver answers in its deliveries, and test it later",
            )
        return self.delivery(name, delivery_id, owner=owner)

    def deliveries(self, name: str, *, owner: str = "", limit: int = 50) -> Sequence[Delivery]:
        """Return deliveries to a webhook: what waits, then what is settled, the newest first.

        Raises:
            WebhookNotFound: the owner has none of this name.
            InvalidJob: *limit* is not 1 to 1,000.
        """
        if not 1 <= checked(limit, int, field="limit") <= _LONGEST_PAGE:
            raise InvalidJob(f"limit is {limit}; expected 1 to {_LONGEST_PAGE:,}", field="limit")
        self.get(name, owner=owner)
        return self._deliveries.of(webhook_key(name, owner), limit=limit)

    def delivery(self, name: str, delivery_id: str, *, owner: str = "") -> Delivery:
        """Return one delivery to a webhook; raises WebhookNotFound."""
        found = self._deliveries.find(webhook_key(name, owner), delivery_id)
        if found is None:
            raise _no_delivery(name, delivery_id)
        return found

    def redeliver(self, name: str, delivery_id: str, *, owner: str = "") -> Delivery:
        """Send a message again, whatever came of it, and return its delivery.

        Raises:
            WebhookNotFound: there is no such webhook, or delivery.
            InvalidJob: the webhook is disabled.
        """
        self._enabled(name, owner)
        if not self._deliveries.again(webhook_key(name, owner), delivery_id):
            raise _no_delivery(name, delivery_id)
        return self.delivery(name, delivery_id, owner=owner)

    def check_hook(self, name: object, *, owner: str) -> None:
        """Check that a job's `hook` names a webhook of its owner; nothing to check where it has none.

        Raises:
            InvalidJob: there is none of this name; suggests a similar one.
        """
        if not isinstance(name, str) or not name:
            return  # none is named, or what is no name, which is refused as such
        if self._store.find(webhook_key(name, owner)) is None:
            raise InvalidJob(
                f"hook: {self._store.unknown(name, owner=owner)}",
                field="hook",
                advice="comfyfleet webhook create registers one",
            )

    def _log(self, verb: str, name: str, owner: str, *, detail: str = "") -> None:
        self._actions.write(f"webhook.{verb}", selection=name, owner=owner, detail=detail)

    @cached_property
    def _outbound(self) -> Outbound:
        return Outbound(TrustedHosts.parse(self._settings.trusted_hosts))

    def _enabled(self, name: str, owner: str) -> Webhook:
        webhook = self.get(name, owner=owner)
        if webhook.disabled_at is not None:
            raise InvalidJob(
                f"webhook {name} is disabled: {webhook.disabled_why}",
                field="webhook",
                advice=f"comfyfleet webhook enable {name}",
            )
        return webhook


def _check_name(name: object, owner: str) -> None:
    if not isinstance(name, str) or not is_name(name):
        raise InvalidJob(
            f"{printable(str(name))} is no name of a webhook; expected 1 to 63 characters: "
            "a to z, 0 to 9, and . _ - after the first",
            field="name",
        )
    if flaw := owner_flaw(owner):
        raise InvalidJob(f"owner {flaw}", field="owner")


def _no_delivery(name: str, delivery_id: str) -> WebhookNotFound:
    return WebhookNotFound(
        f"webhook {printable(name)} has no delivery {printable(delivery_id)}", field="delivery"
    )


class AsyncWebhooks(ThreadedTwin):
    """The same for asyncio; each call runs in a thread."""

    create = in_thread(Webhooks.create)
    list = in_thread(Webhooks.list)
    get = in_thread(Webhooks.get)
    delete = in_thread(Webhooks.delete)
    enable = in_thread(Webhooks.enable)
    rotate = in_thread(Webhooks.rotate)
    test = in_thread(Webhooks.test)
    deliveries = in_thread(Webhooks.deliveries)
    delivery = in_thread(Webhooks.delivery)
    redeliver = in_thread(Webhooks.redeliver)
