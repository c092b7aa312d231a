"""Webhooks of the access key's owner; `HttpProducer.webhooks` is one of these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from producer.contract.arguments import checked
from producer.contract.errors import WebhookNotFound
from producer.contract.webhooks import BodyForm, Delivery, NewWebhook, Webhook
from producer.over_http.answers import each
from producer.over_http.connection import Connection

_PATH = "/v1/webhooks"


class HttpWebhooks:
    """The same as `Producer.webhooks`, without `owner`: it is that of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, name: str, url: str, *, events: Sequence[str] = (), body: BodyForm = "thin"
    ) -> NewWebhook:
        """Register a receiver; arguments and errors as of `Webhooks.create`."""
        wanted = {"name": name, "url": url, "events": list(events), "body": body}
        return self._connection.read(_new, "POST", _PATH, body=wanted)

    def list(self) -> list[Webhook]:
        """Return the webhooks of the owner, by name."""
        return self._connection.read(each(Webhook, "webhooks"), "GET", _PATH)

    def get(self, name: str) -> Webhook:
        """Return a webhook; raises WebhookNotFound."""
        return self._connection.read(Webhook.model_validate, "GET", _path(name))

    def delete(self, name: str) -> None:
        """Forget a webhook and what was to be told to it; raises WebhookNotFound."""
        self._connection("DELETE", _path(name))

    def enable(self, name: str) -> Webhook:
        """Tell a webhook again that was disabled, and what has waited for it; raises WebhookNotFound."""
        return self._connection.read(Webhook.model_validate, "POST", _path(name, "enable"))

    def rotate(self, name: str, *, keep: timedelta = timedelta(hours=24)) -> SecretStr:
        """Return a new secret; arguments and errors as of `Webhooks.rotate`."""
        body = {"keep_s": checked(keep, timedelta, field="keep").total_seconds()}
        path = _path(name, "rotate")
        return self._connection.read(_secret, "POST", path, body=body)

    def test(self, name: str) -> Delivery:
        """Send a webhook a test message; errors as of `Webhooks.test`."""
        return self._connection.read(Delivery.model_validate, "POST", _path(name, "test"))

    def deliveries(self, name: str, *, limit: int = 50) -> Sequence[Delivery]:
        """Return deliveries to a webhook; errors as of `Webhooks.deliveries`."""
        form, path = each(Delivery, "deliveries"), _path(name, "deliveries")
        return self._connection.read(form, "GET", path, params={"limit": limit})

    def delivery(self, name: str, delivery_id: str) -> Delivery:
        """Return one delivery to a webhook; raises WebhookNotFound."""
        path = _path(name, "deliveries", delivery_id)
        return self._connection.read(Delivery.model_validate, "GET", path)

    def redeliver(self, name: str, delivery_id: str) -> Delivery:
        """Send a message again, whatever came of it; errors as of `Webhooks.redeliver`."""
        path = _path(name, "deliveries", delivery_id, "redeliver")
        return self._connection.read(Delivery.model_validate, "POST", path)


def _new(told: Any) -> NewWebhook:
    return NewWebhook(webhook=Webhook.model_validate(told), secret=_secret(told))


def _secret(told: Any) -> SecretStr:
    return SecretStr(str(told["secret"]))


def _path(*parts: str) -> str:
    for part in parts:
        if str(part) in {"", ".", ".."}:  # what no path can name
            raise WebhookNotFound(f"there is no webhook {str(part)!r}")
    return "/".join([_PATH, *(quote(str(part), safe="") for part in parts)])
