"""What a worker says and does when it cannot write files."""

from __future__ import annotations

import pytest

from producer.contract.ids import new_job_id
from producer.store.attempts import Hold
from worker.errors import NodeFault
from worker.node.spool import Spool

HOLD = Hold(new_job_id(), 2, "gpu-01:test")


def test_a_room_is_there_for_its_attempt_alone(tmp_path):
    spool = Spool(tmp_path / "spool", node="gpu-01")
    assert spool.problem() == ""
    with spool.attempt_folder(HOLD) as room:
        (room / "0").write_bytes(b"x")
    assert not list((tmp_path / "spool").iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", node="gpu-01")
    assert spool.problem() == f"its worker cannot write to {tmp_path}/file/spool: Not a directory"
    with (
        pytest.raises(NodeFault, match="gpu-01: its worker cannot spool files"),
        spool.attempt_folder(HOLD),
    ):
        pass
