"""What a worker does of what a person asks of its node once, when, and what it says of it."""

from __future__ import annotations

import sys

import pytest

from producer.contract.operations import Asked
from worker.node.contradictions import Contradictions
from worker.node.health import Health, HealthPolicy
from worker.node.prober import Prober
from worker.node.restarter import Restarter


class Rig:
    """A prober of a node whose record a test keeps."""

    def __init__(self, command=f"{sys.executable} -S -c pass"):
        self.health = Health(HealthPolicy())
        self.is_busy = False
        self.said: list[tuple[str, str]] = []
        self.prober = Prober(
            *(None, self, self.health, None, Restarter("gpu-01", command)),
            contradictions=Contradictions(),
            is_busy=lambda: self.is_busy,
        )

    def write_outcome(self, of, outcome):
        self.said.append((of, outcome))


def test_a_restart_waits_for_the_jobs_and_nothing_is_taken_meanwhile():
    rig = Rig()
    rig.is_busy = True
    rig.prober.on_asked(Asked(restart=True))
    rig.prober.restart_if_due()
    assert (rig.said, rig.prober.must_restart) == ([], True)
    rig.is_busy = False
    rig.prober.restart_if_due()
    assert (rig.said, rig.prober.must_restart) == ([("restart", "done")], False)
    assert rig.health.needs_canary
    rig.prober.restart_if_due()
    assert len(rig.said) == 1


def test_nothing_is_restarted_that_nobody_asked_for():
    rig = Rig()
    rig.prober.on_asked(Asked(clear=True, probe=True))
    rig.prober.restart_if_due()
    assert rig.said == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"{sys.executable} -S -c 'raise SystemExit(3)' secret", "the command ended with status 3"),
        ("/nowhere/secret", "the command cannot be run: No such file or directory"),
        ("echo 'secret", "the command cannot be read"),
        (None, "its worker has no restart command"),
    ],
)
def test_an_urgent_one_waits_for_nothing_and_what_fails_is_said_without_the_command(command, told):
    rig = Rig(command)
    rig.is_busy = True
    rig.prober.on_asked(Asked(restart_now=True))
    rig.prober.restart_if_due()
    assert rig.said == [("restart", f"failed: {told}")]
