"""Commands are what redis-py's own writer makes of them, whatever text they have."""

from __future__ import annotations

from enum import StrEnum

import pytest
from redis.connection import Encoder, PythonRespSerializer
from redis.exceptions import DataError

from producer.contract.config.settings import Settings
from producer.store.command_packer import CommandPacker
from producer.store.connection import connect


class Word(StrEnum):
    SOME = "some"


VALUES = [
    *("", "plain", "é日🦊\0\r\n", "a\ud800b", "\udcff" * 3, Word.SOME, b"", b"\xff\r\n"),
    *(0, -1, 10**30, 1.5, 1e22, 0.1 + 0.2, float("inf"), memoryview(b"view")),
]


def own_writer():
    """Return redis-py's own writer with what `connect` has it do."""
    return PythonRespSerializer(
        6_000, Encoder("utf-8", "backslashreplace", decode_responses=True).encode
    )


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:12])
@pytest.mark.parametrize("command", ["SET", "CLIENT ID", b"CLIENT ID"], ids=str)
def test_a_command_is_written_as_ever(command, value):
    written = b"".join(CommandPacker().pack(command, "key\ud800" * 2, value))
    assert written == b"".join(own_writer().pack(command, "key\ud800" * 2, value))


@pytest.mark.parametrize("value", [None, True, ["a"], {}], ids=repr)
def test_what_is_no_argument_is_refused(value):
    with pytest.raises(DataError):
        CommandPacker().pack("SET", "\ud800", value)


def test_our_connections_use_it():
    with connect(Settings(redis_url="redis://127.0.0.1:1/0")) as redis:
        connection = redis.connection_pool.make_connection()
        assert isinstance(connection._command_packer, CommandPacker)
