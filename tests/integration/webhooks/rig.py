"""What tests of webhooks do in the place of the sweep, a sender, and the time."""

from __future__ import annotations

from producer.store import keys


def register(led, to, name="shop", **options):
    made = led.fleet.webhooks.create(name, to.url, **options)
    to.secret = made.secret.get_secret_value()
    return made.webhook


def told(service):
    """Do what the sweep and one sender would."""
    service.sweep_once()
    return service.send()


def due_now(led, *, webhook=":shop"):
    """Move all that waits to its next try."""
    for delivery, _ in led.redis.zrange(keys.deliveries(webhook), 0, -1, withscores=True):
        led.redis.zadd(keys.deliveries(webhook), {delivery: 1})
    led.redis.zadd(keys.DELIVERIES, {webhook: 1}, xx=True)
    led.redis.delete(keys.DELIVERING)
