"""Opens the fleet for a command: the only place where commands construct a `Producer` from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from producer.acting import acting
from producer.cli.output import answering
from producer.cli.who import whoever

if TYPE_CHECKING:
    from producer.client import Producer
    from producer.contract.ids import BatchId


@contextmanager
def opened(*, as_json: bool) -> Iterator[Producer]:
    """Yield a `Producer` made from this process' settings; errors end the command, see `answering`."""
    with answering(as_json=as_json):
        from producer.client import Producer
        from producer.contract.config.settings import load_settings

        with Producer(load_settings()) as fleet, acting(**whoever()):
            yield fleet


def the_batch(fleet: Producer, name: str) -> BatchId:
    """Return the batch that a person means by its id, or by the name that it alone has.

    Raises:
        BatchNotFound: none is called so.
        InvalidQuery: several are.
    """
    from producer.contract.arguments import batch_id_of
    from producer.contract.errors import BatchNotFound

    try:
        return batch_id_of(name)  # its results outlast its record
    except BatchNotFound:
        return fleet.find_batch(name)
