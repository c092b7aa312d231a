"""A backend's own Celery app."""

from __future__ import annotations

from celery import Celery

app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.broker_transport_options = {"global_keyprefix": "shop:"}
