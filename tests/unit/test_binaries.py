"""Where the programs of the embedded stack come from."""

from __future__ import annotations

import pytest

from infra.local import binaries


@pytest.fixture
def debians_redis(tmp_path):
    """Return a folder as Debian's: the server is a link to a tool that looks at its own name."""
    tool = tmp_path / "redis-check-rdb"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (tmp_path / "redis-server").symlink_to(tool)
    return tmp_path


def test_a_program_that_looks_at_its_name_is_started_by_it(debians_redis, monkeypatch):
    server = debians_redis / "redis-server"
    monkeypatch.setenv("PATH", str(debians_redis))
    assert binaries.find_on_path("valkey-server", "redis-server") == server
    monkeypatch.setenv("COMFYFLEET_REDIS_BIN", str(server))
    assert binaries.chosen_by("COMFYFLEET_REDIS_BIN") == server
