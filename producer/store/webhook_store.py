"""The registered webhooks, and the secrets that their messages are signed with, which lie apart from them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from producer.contract.errors import InvalidJob, WebhookNotFound
from producer.contract.graph.json_values import printable
from producer.contract.json_texts import read_json
from producer.contract.near_names import near_names
from producer.contract.webhooks import MOST_WEBHOOKS, Webhook
from producer.store import keys
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms, utc

if TYPE_CHECKING:
    from redis import Redis

#: Bytes of a secret; Standard Webhooks asks for 24 to 64.
_SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"


def webhook_key(name: str, owner: str) -> str:
    """Return how a webhook is called in Redis; neither part can hold a colon."""
    return f"{owner}:{name}"


class WebhookStore:
    """Keeps webhooks, each under its owner and name.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def add(self, webhook: Webhook) -> SecretStr:
        """Register a webhook, and return the secret of its messages.

        Raises:
            InvalidJob: its owner has one of this name, or as many as may be.
        """
        if len(self.all(owner=webhook.owner)) >= MOST_WEBHOOKS:
            raise InvalidJob(
                f"there are {MOST_WEBHOOKS} webhooks already, as many as an owner may have",
                field="name",
                advice="delete one that is not used",
            )
        key, secret = webhook_key(webhook.name, webhook.owner), _new_secret()
        with translated(self._redis), self._redis.pipeline() as pipe:
            pipe.hsetnx(keys.WEBHOOKS, key, webhook.model_dump_json(exclude_none=True))
            pipe.hsetnx(keys.WEBHOOK_SECRETS, key, json.dumps({"now": secret}))
            is_new, _ = pipe.execute()
        if not is_new:
            raise InvalidJob(
                f"there is a webhook {webhook.name} already",
                field="name",
                advice="choose another name, or delete that one first",
            )
        return SecretStr(secret)

    def all(self, *, owner: str | None = None) -> list[Webhook]:
        """Return the webhooks of an owner, or of all, by name; one that makes no sense is left out."""
        with translated(self._redis):
            texts: list[str] = list(self._redis.hvals(keys.WEBHOOKS))  # type: ignore[arg-type]
        found = [webhook for text in texts if (webhook := _read(text))]
        wanted = (webhook for webhook in found if owner is None or webhook.owner == owner)
        return sorted(wanted, key=lambda webhook: (webhook.owner, webhook.name))

    def find(self, key: str) -> Webhook | None:
        """Return the webhook `owner:name`, or None."""
        with translated(self._redis):
            text = self._redis.hget(keys.WEBHOOKS, key)
        return _read(str(text)) if text is not None else None

    def get(self, name: str, *, owner: str) -> Webhook:
        """Return a webhook; raises WebhookNotFound, with the nearest name."""
        found = self.find(webhook_key(name, owner))
        if found is None:
            raise WebhookNotFound(self.unknown(name, owner=owner))
        return found

    def unknown(self, name: str, *, owner: str) -> str:
        """Return the sentence about a name that no webhook of the owner has."""
        names = [webhook.name for webhook in self.all(owner=owner)]
        near = near_names(name, names)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"there is no webhook {printable(name)}{f' of {owner}' if owner else ''}{hint}"

    def disable(self, webhook: Webhook, *, why: str) -> None:
        """Tell a webhook nothing from now on."""
        at = utc(now_ms(self._redis))
        disabled = webhook.model_copy(update={"disabled_at": at, "disabled_why": why})
        self._set(disabled, is_told=False)

    def enable(self, webhook: Webhook) -> Webhook:
        """Tell a webhook again, and what has waited for it; return it. Raises WebhookNotFound."""
        enabled = webhook.model_copy(update={"disabled_at": None, "disabled_why": None})
        if not self._set(enabled, is_told=True):
            raise WebhookNotFound(self.unknown(webhook.name, owner=webhook.owner))
        return enabled

    def delete(self, name: str, *, owner: str) -> None:
        """Forget a webhook, its secrets and its deliveries. Raises WebhookNotFound."""
        if not self._scripts.run("webhook_state", args=[webhook_key(name, owner), "", ""]):
            raise WebhookNotFound(self.unknown(name, owner=owner))

    def rotate(self, webhook: Webhook, *, keep: timedelta) -> SecretStr:
        """Return a new secret; messages are signed with the old one, too, for *keep*."""
        key, secret = webhook_key(webhook.name, webhook.owner), _new_secret()
        now = now_ms(self._redis)
        old = self._secrets(key).get("now")
        kept = {"before": old, "before_until_ms": now + to_ms(keep)} if old else {}
        with translated(self._redis):
            self._redis.hset(keys.WEBHOOK_SECRETS, key, json.dumps({"now": secret, **kept}))
        return SecretStr(secret)

    def signing_secrets(self, key: str) -> Sequence[SecretStr]:
        """Return what the messages of webhook `owner:name` are signed with now, the newest first."""
        found = self._secrets(key)
        is_kept = found.get("before") and int(found["before_until_ms"]) > now_ms(self._redis)
        texts = [found.get("now"), found["before"] if is_kept else None]
        return [SecretStr(text) for text in texts if text]

    def _secrets(self, key: str) -> dict[str, str]:
        with translated(self._redis):
            text = self._redis.hget(keys.WEBHOOK_SECRETS, key)
        found: dict[str, str] = read_json(str(text)) if text is not None else {}
        return found

    def _set(self, webhook: Webhook, *, is_told: bool) -> bool:
        record = webhook.model_dump_json(exclude_none=True)
        key = webhook_key(webhook.name, webhook.owner)
        return bool(self._scripts.run("webhook_state", args=[key, record, int(is_told)]))


def _read(text: str) -> Webhook | None:
    try:
        return Webhook.model_validate_json(text)
    except ValueError:
        return None


def _new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
