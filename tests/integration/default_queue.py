"""The queue of jobs that any node of the default pool can run, and its index of the default tier."""

from __future__ import annotations

from producer.store import keys

ANY = "comfyfleet.pool.default.any"
QUEUED = keys.queued(ANY, 3)
