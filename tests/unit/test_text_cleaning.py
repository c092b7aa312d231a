"""Text from outside, cleaned in one place."""

from __future__ import annotations

import json

import pytest

from producer.contract.graph.json_values import printable
from producer.contract.jobs import JobError, Progress
from producer.contract.notes import fit_notes
from producer.contract.text_cleaning import abridged, escaped, is_whole, writable
from tests.mutations import ODD_TEXTS
from worker.comfyui.history import HistoryEntry
from worker.errors import NodeFault
from worker.node.registration import _facts

HALF = "a\ud800\x1b[31m"


def test_half_a_character_is_shown_and_written():
    assert (is_whole(HALF), writable(HALF), is_whole(writable(HALF))) == (
        False,
        "a\\ud800\x1b[31m",
        True,
    )
    assert writable("é日🦊") == "é日🦊"


def test_what_a_terminal_would_obey_is_shown():
    assert escaped(HALF + "\n\u202e", keep="\n") == "a\\ud800\\x1b[31m\n\\u202e"
    assert escaped("é日🦊") == "é日🦊"


def test_a_long_text_keeps_its_begin_and_its_end():
    assert abridged("a" * 10 + "b" * 10, most=10) == "aaaaa … bbbbb"


@pytest.mark.parametrize("odd", [*ODD_TEXTS, HALF, "x" * 10_000_000])
def test_all_that_is_kept_of_foreign_text_is_whole_bounded_and_can_be_read_again(odd):
    error = JobError(cause="node_fault", message=odd, graph_node=odd, node=odd, advice=odd)
    progress = Progress(graph_node=odd)
    fault = NodeFault("gpu-01", odd)
    for kept in (error, progress):
        text = kept.model_dump_json()
        assert len(text.encode()) < 200_000
        assert type(kept).model_validate_json(text) == kept
    for line in (fault.message, *fit_notes([odd]), printable(odd)):
        assert line.isprintable()
        assert len(line) < 5_000


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_names_in_a_history_are_such_that_a_manifest_can_have_them(odd):
    file = {"filename": "a.png", "subfolder": "", "type": "output"}
    status = {"messages": [["execution_success", {}]]}
    raw = {"outputs": {odd: {odd: [file], "text": [odd]}}, "status": status}
    entry = HistoryEntry.parse("p", raw, node="gpu-01")
    (output,) = entry.outputs
    said = [output.graph_node, output.kind, entry.values, entry.left_out, sorted(entry.shown)]
    json.dumps(said, ensure_ascii=False).encode()


@pytest.mark.parametrize("size", [True, -1, 1 << 60, 10**400, 1.5, "1", None])
def test_a_size_that_no_memory_has_is_not_known(size):
    device = {"name": "cuda:0\x1b[2J", "vram_total": size}
    facts = _facts({"devices": [device], "system": {"comfyui_version": "\ud800"}})
    assert facts == {"comfyui_version": "\\ud800", "device": "cuda:0\\x1b[2J", "vram_total": 0}
