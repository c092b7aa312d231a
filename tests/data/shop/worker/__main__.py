"""What nobody but the backend may start."""

from __future__ import annotations

raise SystemExit("the backend's own worker was started")
