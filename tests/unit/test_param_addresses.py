from __future__ import annotations

import pytest

from producer.contract.classes.links import check_links
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.errors import InvalidGraph
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import (
    MOST_PARAMS,
    check_count,
    find_values,
    parse_param,
    set_params,
    with_values,
)
from tests.unit.counting import calls_of
from tests.unit.graph_samples import step

GRAPH = {
    "10:12:7": step("ImageInvert", title="Invert = best.ever", image="a"),
    "6": step("CLIPTextEncode", text="", **{"a=b": 1}),
}


@pytest.mark.parametrize(
    ("typed", "address", "value"),
    [
        ("Invert = best.ever.image=b", "Invert = best.ever.image", "b"),
        ("Invert = best.ever.image=b=c.image=d", "Invert = best.ever.image", "b=c.image=d"),
        ("10:12:7.image=b", "10:12:7.image", "b"),
        ("6.a=b=5", "6.a=b", 5),
        ("6.text=6.a=b", "6.text", "6.a=b"),  # a value is never read as a part of the address
        ("6.txt=a=b", "6.txt", "a=b"),  # none is known: refused later, by name
        ("6.text=" + "=" * 100_000, "6.text", "=" * 100_000),
        ("x" + "=" * 100_000, "x", "=" * 99_999),
    ],
)
def test_a_title_with_an_equals_sign_can_be_addressed(typed, address, value):
    assert parse_param(typed, Addresses(GRAPH)) == (address, value)


@pytest.mark.parametrize(
    "address", ["x" * 100_000, "." * 100_000, "6." + "x" * 5_000, "\x1b]0;x\x07.y"]
)
def test_an_odd_address_is_refused_in_a_short_line(address):
    with pytest.raises(InvalidGraph) as caught:
        Addresses(GRAPH).find(address)
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


def test_many_twins_make_no_long_message():
    graph = {str(i): step("A", title="T" * 900, x=1) for i in range(5_000)}
    with pytest.raises(InvalidGraph, match=r"A\.x is ambiguous: .*, and 4,994 more") as caught:
        Addresses(graph).find("A.x")
    assert len(str(caught.value)) < 900


def test_the_cost_of_params_grows_with_their_number_and_not_faster():
    def cost(size: int) -> int:
        graph = {str(i): step("A", title=f"T{i}", x=1) for i in range(size)}
        params = {f"T{i}.x": i for i in range(size)}
        return calls_of(lambda: with_values(graph, find_values(graph, params)))

    assert cost(800) < 5 * cost(200)  # 16 times as much where each looks at the whole graph


def test_the_cost_of_a_deep_graph_grows_with_its_depth_and_not_faster():
    def cost(size: int) -> int:
        graph = {str(i): step("ImageInvert", image=[str(i - 1), 0]) for i in range(1, size)}
        graph |= {"0": step("EmptyImage"), "out": step("SaveImage", images=[str(size - 1), 0])}

        def check() -> None:
            check_links(graph)
            assert len(cut(graph, output_graph_nodes(graph))) == size + 1

        return calls_of(check)

    assert cost(2_000) < 5 * cost(500)


def test_a_long_circle_makes_no_long_message():
    graph = {str(i): step("A", x=[str((i + 1) % 5_000), 0]) for i in range(5_000)}
    with pytest.raises(InvalidGraph, match=r"circle: .* → 4,99\d more → \d+; none") as caught:
        check_links(graph)
    assert len(caught.value.message) < 300


def test_more_params_than_the_limit_are_refused_with_it():
    with pytest.raises(InvalidGraph, match=r"5,001 params are set; the limit is 5,000"):
        check_count({f"6.{i}": 1 for i in range(MOST_PARAMS + 1)})


TWINS = {
    "1": step("EmptyImage", title="Größe", width=8),
    "2": step("SaveImage", title="Größe", images=["1", 0], filename_prefix="a"),
}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("Größe.width", ("1", "width")),
        ("Größe.filename_prefix", ("2", "filename_prefix")),
        ("Gro\u0308ße.width", ("1", "width")),
    ],
)
def test_of_twins_the_one_that_has_the_input_is_meant_in_either_spelling(address, found):
    assert Addresses(TWINS).find(address) == found


def test_an_input_that_no_twin_has_is_told_by_the_first():
    with pytest.raises(InvalidGraph, match=r"graph node 1 \(EmptyImage.* has no input 'widht'"):
        Addresses(TWINS).find("Größe.widht")


def test_what_a_link_holds_is_to_be_set_at_its_source():
    graph = {"1": step("PrimitiveFloat", value=2.0), "2": step("Scale", by=["1", 0])}
    with pytest.raises(InvalidGraph) as caught:
        set_params(graph, {"2.by": 1.5})
    assert caught.value.advice == "set 1.value"
