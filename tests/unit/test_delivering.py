"""What goes wrong after a render: tried again in its place, never by another render."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from producer.store.attempts import Hold
from worker.attempt.lease import Lease
from worker.attempt.runner import Runner
from worker.errors import DeliveryFailed, OutputDamaged

JOB = SimpleNamespace(id="job", attempt=1)


@dataclass
class Delivering:
    """A delivery that goes wrong as it is told, then well."""

    troubles: list[Exception]
    tries: int = field(default=0)

    def deliver(self, *_) -> None:
        self.tries += 1
        if self.troubles:
            raise self.troubles.pop(0)


def delivered(*troubles: Exception) -> Delivering:
    """Have a runner deliver, without pauses."""
    delivery, lease = Delivering(list(troubles)), Lease(Hold("job", 1, "worker"))
    lease.lost.wait = lambda _: False
    try:
        Runner._deliver(SimpleNamespace(delivery=delivery), JOB, {}, None, lease, None)
    except Exception as exc:
        exc.tries = delivery.tries
        raise
    return delivery


def test_a_surprise_while_storing_is_tried_again():
    assert delivered(KeyError("ContentLength"), IndexError()).tries == 3


def test_a_surprise_that_stays_ends_the_job_and_names_itself():
    with pytest.raises(DeliveryFailed, match=r"KeyError.*ContentLength") as caught:
        delivered(*[KeyError("ContentLength")] * 3)
    assert caught.value.tries == 3


def test_what_is_foreseen_is_not_delivered_again():
    with pytest.raises(OutputDamaged) as caught:
        delivered(OutputDamaged("gpu-01", "it came short"))
    assert caught.value.tries == 1
