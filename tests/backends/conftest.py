"""The fleet of these tests, by the fixtures that a backend's own tests use; and the examples, by their files."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from infra.pytest_fleet import comfyfleet, comfyfleet_servers  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "infra/samples/text_to_image.json"


@pytest.fixture
def example(monkeypatch):
    """Return an example's module by its name."""
    monkeypatch.syspath_prepend(ROOT / "docs/examples")
    monkeypatch.setenv("GRAPH", str(GRAPH))
    return importlib.import_module


@pytest.fixture
def graph():
    return json.loads(GRAPH.read_text())
