"""Settings of the pure tests."""

from __future__ import annotations

from hypothesis import settings

# Hypothesis fails an example that takes 200 ms; on a shared machine that is only bad luck.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
