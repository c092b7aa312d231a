"""What becomes of a history entry, in the shapes that ComfyUI 0.3.64 and 0.33.0 were seen to send."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.comfyui.history import HistoryEntry, Outcome
from worker.comfyui.returned_values import KEPT_BYTES
from worker.errors import NodeFault

START = ["execution_start", {"prompt_id": "p", "timestamp": 10_000}]
CACHED = ["execution_cached", {"prompt_id": "p", "timestamp": 10_100, "nodes": ["1", "7"]}]
SUCCESS = ["execution_success", {"prompt_id": "p", "timestamp": 12_500}]
INTERRUPTED = ["execution_interrupted", {"prompt_id": "p", "timestamp": 12_500, "node_id": "2"}]
ERROR = [
    "execution_error",
    {
        "prompt_id": "p",
        "timestamp": 12_500,
        "node_id": "3",
        "node_type": "KSampler",
        "exception_type": "torch.OutOfMemoryError",
        "exception_message": "no room\n",
        "traceback": ['  File "/comfyui/execution.py", line 1\n'],
    },
]


NONE: dict = {}


def parse(outputs=NONE, messages=(START, CACHED, SUCCESS), status_str="success"):
    status = {"status_str": status_str, "completed": True, "messages": list(messages)}
    return HistoryEntry.parse("p", {"outputs": outputs, "status": status}, node="gpu-1")


def file(name, subfolder="", kind="output"):
    return {"filename": name, "subfolder": subfolder, "type": kind}


def listed(entry):
    return [(o.graph_node, o.kind, o.index, o.filename) for o in entry.outputs]


# The verdict


def test_a_success_says_what_was_cached_and_how_long_it_took():
    entry = parse()
    assert entry.outcome is Outcome.SUCCEEDED
    assert entry.error is None
    assert entry.cached == {"1", "7"}
    assert entry.duration_s == 2.5


def test_an_error_is_one_though_the_status_says_success():
    """A cycle found at run time: `status_str` is "success", the last message an error."""
    entry = parse(messages=[START, CACHED, ERROR], status_str="success")
    assert entry.outcome is Outcome.FAILED
    assert entry.error.graph_node == "3"
    assert entry.error.class_type == "KSampler"
    assert entry.error.exception_type == "torch.OutOfMemoryError"
    assert entry.error.message == "no room"


def test_an_interrupt_is_told_apart_from_an_error():
    entry = parse(messages=[START, INTERRUPTED], status_str="error")
    assert entry.outcome is Outcome.INTERRUPTED
    assert entry.error is None


@pytest.mark.parametrize("last", [CACHED, ["", {}], ["execution_sucess", {}]])
def test_messages_without_an_end_tell_nothing_and_are_the_nodes_fault(last):
    with pytest.raises(NodeFault, match="does not say how prompt p ended"):
        parse(messages=[START, last], status_str="success")


def test_a_traceback_within_the_message_is_cut_off():
    data = {**ERROR[1], "exception_message": 'bad\nTraceback (most recent call last):\n  File "/x"'}
    assert parse(messages=[START, ["execution_error", data]]).error.message == "bad"


def test_a_clock_that_was_set_back_makes_no_negative_duration():
    early = ["execution_success", {"timestamp": 9_000}]
    assert parse(messages=[START, early]).duration_s == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"status_str": "success"}, Outcome.SUCCEEDED),
        ({"status_str": "error", "messages": None}, Outcome.FAILED),
        ({"status_str": "success", "messages": ["odd", [], [1, {}]]}, Outcome.SUCCEEDED),
        ({"messages": [["execution_success", None]]}, Outcome.SUCCEEDED),
        ({"messages": [["execution_error", "odd"]]}, Outcome.FAILED),
    ],
)
def test_odd_statuses_are_judged_by_what_is_there(status, outcome):
    assert HistoryEntry.parse("p", {"status": status}, node="gpu-1").outcome is outcome


@pytest.mark.parametrize(
    "raw", [None, [], "x", {}, {"status": None}, {"status": {"messages": []}}, {"outputs": {}}]
)
def test_nothing_to_judge_by_is_a_node_fault(raw):
    with pytest.raises(NodeFault, match=r"node gpu-1: .* prompt p ended"):
        HistoryEntry.parse("p", raw, node="gpu-1")


# Files


def test_files_come_in_the_order_of_graph_node_kind_and_index():
    outputs = {
        "10": {"images": [file("d.png")]},
        "9": {"images": [file("b.png"), file("c.png")], "audio": [file("a.flac")]},
        "x": {"3d": [file("e.glb")]},
    }
    assert listed(parse(outputs)) == [
        ("9", "audio", 0, "a.flac"),
        ("9", "images", 1, "b.png"),
        ("9", "images", 2, "c.png"),
        ("10", "images", 0, "d.png"),
        ("x", "3d", 0, "e.glb"),
    ]


def test_a_file_is_whatever_has_a_name_under_any_key():
    gif = {**file("x.mp4", "vid", "temp"), "format": "video/h264-mp4", "frame_rate": 8.0}
    (output,) = parse({"2": {"gifs": [gif]}}).outputs
    assert (output.subfolder, output.type) == ("vid", "temp")
    assert str(output) == "temp file vid/x.mp4 of graph node 2"


def test_files_are_found_one_level_down():
    outputs = {
        "2": {
            "nested": [{"video": file("a.mp4")}, {"frames": [file("b.png"), 5]}, [file("c.png")]],
            "single": file("d.png"),
        }
    }
    assert [name for *_, name in listed(parse(outputs))] == ["a.mp4", "b.png", "c.png", "d.png"]


def test_a_file_listed_twice_by_its_graph_node_is_one():
    outputs = {"2": {"gifs": [file("a.mp4")], "videos": [file("a.mp4"), file("a.mp4", "other")]}}
    assert listed(parse(outputs)) == [("2", "gifs", 0, "a.mp4"), ("2", "videos", 1, "a.mp4")]


def test_a_bare_file_name_lies_in_the_output_folder():
    (output,) = parse({"2": {"images": [{"filename": "a.png"}]}}).outputs
    assert (output.subfolder, output.type) == ("", "output")


@pytest.mark.parametrize(
    "outputs",
    [{}, {"2": {}}, {"2": {"images": None}}, {"2": {"images": [None, {"filename": ""}]}}],
)
def test_odd_outputs_hold_no_files(outputs):
    assert parse(outputs).outputs == ()


@pytest.mark.parametrize("outputs", [None, [], "x", {"2": None}, {"2": [file("a.png")]}])
def test_a_list_of_outputs_that_is_none_is_a_node_fault_and_no_success_without_files(outputs):
    with pytest.raises(NodeFault, match="prompt p has outputs of another shape"):
        parse(outputs)
    assert parse(outputs, messages=[START, ERROR]).outcome is Outcome.FAILED


# Values


def test_text_and_numbers_are_values_and_files_are_not():
    outputs = {
        "1": {"text": ["t"], "value": [1, 2.5, None, True, {"a": [1]}]},
        "2": {"images": [file("a.png")], "animated": [True]},
    }
    assert parse(outputs).values == {
        "1": {"text": ["t"], "value": [1, 2.5, None, True, {"a": [1]}]},
        "2": {"animated": [True]},
    }


def test_not_a_number_becomes_null():
    raw = json.loads('{"1": {"value": [NaN, Infinity, {"x": [-Infinity, 1.5]}]}}')
    assert parse(raw).values == {"1": {"value": [None, None, {"x": [None, 1.5]}]}}


def test_a_text_that_came_letter_by_letter_is_whole_again():
    assert parse({"1": {"text": list("hello")}}).values == {"1": {"text": ["hello"]}}


@pytest.mark.parametrize(
    "outputs", [{"1": {"labels": ["a", "b"]}}, {"1": {"text": ["a", "bc"]}}, {"1": {"text": [1]}}]
)
def test_other_lists_stay_as_they_are(outputs):
    assert parse(outputs).values == outputs


def test_what_is_too_large_is_left_out_and_named():
    outputs = {"1": {"base64": ["x" * KEPT_BYTES], "text": ["kept"]}, "2": {"n": [1]}}
    entry = parse(outputs)
    assert entry.values == {"1": {"text": ["kept"]}, "2": {"n": [1]}}
    assert entry.left_out == ("1.base64",)


@pytest.mark.parametrize("long", [{"1": {"k" * KEPT_BYTES: ["x"]}}, {"1" * KEPT_BYTES: {"k": [1]}}])
def test_a_key_counts_as_much_as_its_value_and_is_named_shortly(long):
    entry = parse({**long, "2": {"text": ["kept"]}})
    assert entry.values == {"2": {"text": ["kept"]}}
    assert len(entry.left_out[0]) < 250


def test_a_file_with_a_name_that_no_disk_has_is_named_shortly():
    [output] = parse({"1" * 9_000: {"images": [file("n" * 9_000, "s" * 9_000)]}}).outputs
    assert len(str(output)) < 500
    assert output.filename == "n" * 9_000  # it is asked for as it is listed


def test_files_that_are_named_with_more_than_a_record_can_hold_are_the_nodes_fault():
    few = [file(f"{number}.png", "s" * 4_000) for number in range(1_900)]
    assert len(parse({"1": {"images": few}}).outputs) == len(few)
    many = [file(f"{number}.png", "s" * 4_000) for number in range(2_100)]
    with pytest.raises(NodeFault, match=r"names its 2,100 files with 8,4.* characters, more than"):
        parse({"1": {"images": many}})


def test_what_is_nested_without_end_is_left_out():
    deep = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    assert parse({"1": {"deep": deep}}).left_out == ("1.deep",)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["filename", "images", "type", "1"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(outputs=_json)
def test_no_shape_of_outputs_breaks_it(outputs):
    try:
        entry = parse(outputs)
    except NodeFault:
        return
    json.dumps(entry.values, allow_nan=False)
    keys = [(output.graph_node, output.index) for output in entry.outputs]
    assert len(keys) == len(set(keys))
