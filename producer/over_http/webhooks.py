"""Webhooks of the access key's owner; `HttpProducer.webhooks` is one of these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from pydantic import SecretStr

from producer.contract.arguments import checked
from producer.contract.errors import WebhookNotFound
from producer.contract.webhooks import BodyForm, Delivery, NewWebhook, Webhook
from producer.over_http.bodies import encoded
from producer.over_http.connection import Connection

_PATH = "/v1/webhooks"
_JSON = {"Content-Type": "application/json"}


class HttpWebhooks:
    """The same as `Producer.webhooks`, without `owner`: it is that of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, name: str, url: str, *, events: Sequence[str] = (), body: BodyForm = "thin"
    ) -> NewWebhook:
        """Register a receiver; arguments and errors as of `Webhooks.create`."""
        wanted = {"name": name, "url": url, "events": list(events), "body": body}
        told = self._connection.json("POST", _PATH, data=encoded(wanted), headers=_JSON)
        return NewWebhook(webhook=Webhook.model_validate(told), secret=SecretStr(told["secret"]))

    def list(self) -> list[Webhook]:
        """Return the webhooks of the owner, by name."""
        told = self._connection.json("GET", _PATH)
        return [Webhook.model_validate(found) for found in told["webhooks"]]

    def get(self, name: str) -> Webhook:
        """Return a webhook; raises WebhookNotFound."""
        return Webhook.model_validate(self._connection.json("GET", _path(name)))

    def delete(self, name: str) -> None:
        """Forget a webhook and what was to be told to it; raises WebhookNotFound."""
        self._connection("DELETE", _path(name))

    def enable(self, name: str) -> Webhook:
        """Tell a webhook again that was disabled, and what has waited for it; raises WebhookNotFound."""
        return Webhook.model_validate(self._connection.json("POST", _path(name, "enable")))

    def rotate(self, name: str, *, keep: timedelta = timedelta(hours=24)) -> SecretStr:
        """Return a new secret; arguments and errors as of `Webhooks.rotate`."""
        body = encoded({"keep_s": checked(keep, timedelta, field="keep").total_seconds()})
        told = self._connection.json("POST", _path(name, "rotate"), data=body, headers=_JSON)
        return SecretStr(told["secret"])

    def test(self, name: str) -> Delivery:
        """Send a webhook a test message; errors as of `Webhooks.test`."""
        return Delivery.model_validate(self._connection.json("POST", _path(name, "test")))

    def deliveries(self, name: str, *, limit: int = 50) -> Sequence[Delivery]:
        """Return deliveries to a webhook; errors as of `Webhooks.deliveries`."""
        told = self._connection.json("GET", _path(name, "deliveries"), params={"limit": limit})
        return [Delivery.model_validate(found) for found in told["deliveries"]]

    def delivery(self, name: str, delivery_id: str) -> Delivery:
        """Return one delivery to a webhook; raises WebhookNotFound."""
        return Delivery.model_validate(
            self._connection.json("GET", _path(name, "deliveries", delivery_id))
        )

    def redeliver(self, name: str, delivery_id: str) -> Delivery:
        """Send a message again, whatever came of it; errors as of `Webhooks.redeliver`."""
        path = _path(name, "deliveries", delivery_id, "redeliver")
        return Delivery.model_validate(self._connection.json("POST", path))


def _path(*parts: str) -> str:
    for part in parts:
        if str(part) in {"", ".", ".."}:  # what no path can name
            raise WebhookNotFound(f"there is no webhook {str(part)!r}")
    return "/".join([_PATH, *(quote(str(part), safe="") for part in parts)])
