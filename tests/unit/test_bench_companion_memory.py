"""When the benchmark of the companion's memory holds, and whose memory it reads."""

from __future__ import annotations

import os
import socket

import pytest

from tests.bench.companion_memory import WAITING_MB, case_of
from tests.bench.server_memory import ServerMemory, server_pid


@pytest.mark.parametrize(("lent_mb", "holds"), [(99.0, True), (101.0 + WAITING_MB, False)])
def test_it_holds_within_what_may_wait(lent_mb, holds):
    assert case_of(bare_mb=100.0, lent_mb=lent_mb).holds is holds


def test_the_process_that_listens_is_found_and_its_peak_is_counted_from_a_look():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert server_pid(url) == os.getpid()
        memory = ServerMemory(url)
        before = memory.now()
        assert memory.peak() == pytest.approx(before, abs=5)
        held = bytearray(os.urandom(1 << 20)) * 64
        del held
        assert memory.peak() - before > 60
    with pytest.raises(SystemExit, match="nothing on this machine listens"):
        server_pid(url)
