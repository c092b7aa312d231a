"""Fixtures for a backend's tests: `pytest_plugins = ["infra.pytest_fleet"]` in its conftest.py.

Not a plugin that pytest loads by itself: who has the fleet installed need not test with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.testing import FleetForTests, running_fleet


@pytest.fixture(scope="session")
def comfyfleet_servers() -> Iterator[FleetForTests]:
    """Redis and an S3 store for the whole session; see `infra.testing`."""
    with running_fleet() as fleet:
        yield fleet


@pytest.fixture
def comfyfleet(comfyfleet_servers: FleetForTests) -> FleetForTests:
    """A fleet without jobs, whose jobs the test leads."""
    comfyfleet_servers.clear()
    return comfyfleet_servers
