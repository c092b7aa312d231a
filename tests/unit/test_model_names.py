from __future__ import annotations

import pytest

from producer.contract.classes.catalog import Catalog, GraphNodeClass, Missing
from producer.contract.classes.model_names import own_spelling
from producer.contract.classes.models import base_models
from producer.contract.classes.placement import who_can_run
from producer.contract.queues import Needs
from tests.unit.graph_samples import step


def node(*models: str) -> Catalog:
    return Catalog({"CheckpointLoaderSimple": GraphNodeClass(models={"ckpt_name": models})})


WINDOWS, LINUX = node("a.ckpt", "sub\\deep\\b.ckpt"), node("a.ckpt", "sub/deep/b.ckpt")
SPELLINGS = ["sub\\deep\\b.ckpt", "sub/deep/b.ckpt", "sub/deep\\b.ckpt"]


def loading(name):
    return {"4": step("CheckpointLoaderSimple", ckpt_name=name)}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_model_is_the_same_by_either_separator_and_each_node_gets_its_own(name):
    graph = loading(name)
    assert who_can_run(graph, {"w": WINDOWS, "l": LINUX}) == ["w", "l"]
    assert WINDOWS.with_own_spelling(graph) == loading("sub\\deep\\b.ckpt")
    assert LINUX.with_own_spelling(graph) == loading("sub/deep/b.ckpt")
    assert graph == loading(name)


@pytest.mark.parametrize("catalog", [WINDOWS, LINUX], ids=["windows", "linux"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_either_node_serves_what_needs_a_model_by_any_spelling(catalog, name):
    assert catalog.serves(Needs.of("p", models=[name]))
    assert catalog.has(Missing("4", "CheckpointLoaderSimple", "ckpt_name", name))


def test_jobs_that_need_one_model_share_a_queue_however_it_is_spelled():
    assert {base_models(loading(name)) for name in SPELLINGS} == {("sub/deep/b.ckpt",)}


@pytest.mark.parametrize("name", ["sub/b.ckpt", "deep/b.ckpt", "b.ckpt", "sub\\deep\\B.ckpt", ""])
def test_another_name_stays_another(name):
    assert not who_can_run(loading(name), {"w": WINDOWS, "l": LINUX})
    assert WINDOWS.with_own_spelling(loading(name)) == loading(name)


def test_a_node_that_has_both_gets_the_one_that_was_asked_for():
    both = ("x/y.pt", "x\\y.pt")  # on Linux a backslash is a letter like any other
    assert [own_spelling(name, both) for name in both] == list(both)


def test_a_wrapped_name_is_spelled_too_and_a_link_stays():
    wrapped = loading({"__value__": "sub/deep/b.ckpt"})
    assert WINDOWS.with_own_spelling(wrapped) == loading("sub\\deep\\b.ckpt")
    assert WINDOWS.with_own_spelling(loading(["3", 0])) == loading(["3", 0])
