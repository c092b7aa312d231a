"""A node is asked what it can run when something may have changed, and not before."""

from __future__ import annotations

import pytest

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.clock import Clock
from tests.integration.scripted_node import answer, scripted_client
from worker.comfyui.client import ComfyUI
from worker.node.catalog_age import CatalogAge


@pytest.fixture
def models():
    return {"loras": ("a.safetensors",)}


@pytest.fixture
def age(models, tmp_path):
    """The age of a node's catalog that has just been read, by a clock of its own."""
    with standin_thread(StandinOptions(directory=tmp_path, models=models)) as node:
        age = CatalogAge(ComfyUI(node.url, node="gpu-01"), clock=Clock())
        assert age.must_read()
        read(age)
        yield age


def read(age: CatalogAge) -> None:
    age.on_reading()
    age.on_read()


def later(age: CatalogAge, seconds: float) -> bool:
    age._clock.now += seconds
    return age.must_read()


def test_a_node_that_has_what_it_had_is_asked_once_an_hour(age):
    assert not any(later(age, 301) for _ in range(11))
    assert later(age, 301)


def test_a_new_model_is_seen(age, models):
    models["loras"] += ("b.safetensors",)
    assert not later(age, 299)
    assert later(age, 2)
    read(age)
    assert not later(age, 301)


def test_it_is_asked_when_somebody_wants_it(age):
    age.forget()
    assert age.seconds is None
    assert age.must_read()


def test_a_node_that_lists_no_models_is_asked_every_time():
    routes = {"GET /system_stats": answer({"system": {}})}
    with scripted_client(routes) as (client, _):
        age = CatalogAge(client, clock=Clock())
        read(age)
        assert not later(age, 299)
        assert later(age, 2)
