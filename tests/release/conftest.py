"""The fleet of the acceptance ring, for what a release must pass beside the tests."""

from __future__ import annotations

from tests.acceptance.conftest import fleet, quick_workers, stack  # noqa: F401 - fixtures
