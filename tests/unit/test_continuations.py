"""Prompts that go on with the work of others: found among whatever a node lists, and put together."""

from __future__ import annotations

from typing import Any

import pytest

from worker.comfyui.continuations import find_next, is_unfinished, joined, may_continue
from worker.comfyui.history import HistoryEntry

MARKS = {"job_id": "j", "job_attempt": 2}


class Node:
    """A node by what it lists."""

    def __init__(self, *, running: Any = (), pending: Any = (), history: Any = None) -> None:
        self.queue = {"queue_running": running, "queue_pending": pending}
        self.ended = history or {}

    def get_object(self, path: str, **_: Any) -> dict[str, Any]:
        return self.queue if path == "/queue" else self.ended


def item(prompt_id: Any, **changed: Any) -> list[Any]:
    return [0, prompt_id, {}, {**MARKS, **changed}, ["3"]]


def entry(prompt_id: str, outputs: dict) -> HistoryEntry:
    status = {"messages": [["execution_success", {}]]}
    return HistoryEntry.parse(prompt_id, {"outputs": outputs, "status": status}, node="gpu-01")


def file(name: str) -> dict:
    return {"filename": name, "subfolder": "", "type": "output"}


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (Node(running=[item("a")], pending=[item("b")]), "b"),
        (Node(history={"c": {"prompt": item("c")}}, running=[item("b")]), "c"),
        (Node(running=[item("b", job_attempt=1)], pending=[item("c", job_id="k")]), None),
        (Node(running=[None, [], [0, "b"], item(7), [0, "b", {}, None]], pending="odd"), None),
        (Node(history={"b": None, "c": {"prompt": 7}, "d": {"prompt": item("d")}}), "d"),
    ],
    ids=["pending", "ended", "of another attempt or job", "odd", "odd history"],
)
def test_only_a_prompt_of_the_attempt_that_is_not_known_goes_on(node, found):
    assert find_next(node, MARKS, known={"a"}) == found  # type: ignore[arg-type]


def test_what_has_ended_is_not_live():
    node = Node(history={"b": {"prompt": item("b")}})
    assert find_next(node, MARKS, known=(), only_live=True) is None  # type: ignore[arg-type]


def test_the_parts_of_a_film_are_one_result():
    first = entry("a", {"4": {"images": [file("1.png")]}, "3": {"unfinished_batch": [True]}})
    cached = {"4": {"images": [file("1.png"), file("2.png")]}}
    last = joined(first, entry("b", {"3": {"gifs": [file("film.mp4")]}, **cached}))

    assert (is_unfinished(first), is_unfinished(last)) == (True, False)
    assert [(one.graph_node, one.index, one.filename) for one in last.outputs] == [
        ("3", 0, "film.mp4"),
        ("4", 0, "1.png"),
        ("4", 1, "2.png"),
    ]
    assert (last.earlier, last.prompt_id, last.values) == (("a",), "b", {})


def test_a_graph_with_a_batch_manager_may_be_continued_and_no_other():
    film = {"1": {"class_type": "VHS_VideoCombine", "inputs": {"meta_batch": ["2", 0]}}}
    assert may_continue(film)
    assert not may_continue({"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}})
