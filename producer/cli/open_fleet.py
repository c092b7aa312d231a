"""Opens the fleet that a command works on, when it runs: the one door from commands to the library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from producer.cli.output import answering

if TYPE_CHECKING:
    from producer.client import Producer


@contextmanager
def opened(*, as_json: bool) -> Iterator[Producer]:
    """Give the fleet of this process' settings; whatever fails ends the command as `answering` says."""
    with answering(as_json=as_json):
        from producer.client import Producer
        from producer.contract.config.settings import load_settings

        with Producer(load_settings()) as fleet:
            yield fleet
