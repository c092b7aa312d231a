"""Fingerprints: equal for failures of one kind, whatever job, file or size they were about."""

from __future__ import annotations

import time

import pytest

from producer.contract.errors import StorageError
from worker.attempt.fingerprint import fingerprint_of
from worker.errors import NodeUnreachable, PromptFailed


def failed(
    message, *, graph_node="3", class_type="KSampler", exception="RuntimeError", node="gpu-01"
):
    return PromptFailed(
        node,
        f"graph node {graph_node} ({class_type}) raised {exception}: {message}",
        graph_node=graph_node,
        exception_type=exception,
        class_type=class_type,
    )


def test_it_names_class_exception_and_message():
    assert fingerprint_of(
        failed("mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)")
    ) == ("KSampler RuntimeError: mat1 and mat2 shapes cannot be multiplied (# and #)")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "tried to allocate 2.50 GiB (GPU 0; 23.69 GiB total)",
            "tried to allocate 16 GiB (GPU 1; 7.5 GiB total)",
        ),
        (
            "shape '[1, 4, 128, 128]' is invalid for input of size 65537",
            "shape '[2, 16]' is invalid for input of size 7",
        ),
        (
            "[Errno 2] No such file or directory: '/data/in put/a.png'",
            "[Errno 2] No such file or directory: 'C:\\in\\b c.png'",
        ),
        ("Invalid image file: order-17.png", "Invalid image file: fox.webp"),
        ("cannot read models/loras/a.safetensors", "cannot read sub\\b.safetensors"),
        ("no answer from http://10.0.0.1:8188/x?y=1", "no answer from https://gpu.example/z"),
        (
            "job 0198c0de-1111-7000-8000-0123456789ab is odd",
            "job ffffffff-1111-7000-8000-0123456789ab is odd",
        ),
        ("object at 0x7f3a2b", "object at 0xdeadbeef"),
        ("order_0419 of batch20260412", "order_1 of batch123"),
        ("expected -1e-5 to +3.5", "expected 7 to 8"),
    ],
)
def test_numbers_ids_and_paths_make_no_other_kind(one, other):
    assert fingerprint_of(failed(one)) == fingerprint_of(
        failed(other, graph_node="n17", node="gpu-02")
    )


@pytest.mark.parametrize(
    "other",
    [
        failed("expected Half"),
        failed("expected float16", class_type="VAEDecode"),
        failed("expected float16", exception="ValueError"),
        failed("expected float32"),
        NodeUnreachable("gpu-01", "expected float16"),
    ],
)
def test_another_class_exception_or_word_makes_another_kind(other):
    assert fingerprint_of(failed("expected float16")) != fingerprint_of(other)


def test_what_no_graph_node_raised_is_known_by_the_kind_of_error_and_without_the_node():
    assert fingerprint_of(NodeUnreachable("gpu-01", "connection refused (port 8188)")) == (
        "NodeUnreachable: connection refused (port #)"
    )
    assert (
        fingerprint_of(StorageError("no answer within 30 s"))
        == "StorageError: no answer within # s"
    )


@pytest.mark.parametrize(
    "part", ["/", "a.", "0", "a/", "'/", "C:\\", "#,", "deadbeef", " ", "http://"]
)
def test_it_is_short_and_found_at_once_whatever_a_node_says(part):
    began = time.monotonic()
    assert len(fingerprint_of(failed(part * 100_000))) <= 160
    assert time.monotonic() - began < 1
