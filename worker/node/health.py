"""The health of a node as a state machine: may it be given the next job? Pure: faults, canaries and times decide.

    well ──fault──▶ suspect ──canary──▶ well
                      │ third fault within ten minutes
                      ▼
                 quarantined ──back-off, canary──▶ trial ──success──▶ well
                      ▲                              │ fault
                      └──────── twice the back-off ◀─┘

A canary is a tiny prompt: a node may answer HTTP and execute nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from producer.contract.nodes import NodeState


class Standing(StrEnum):
    """What a node's own history says of it."""

    WELL = "well"
    SUSPECT = "suspect"  #: A canary must succeed before it takes a job.
    QUARANTINED = "quarantined"  #: The same, and not before its time is up.
    TRIAL = "trial"  #: One job decides.


#: What the fleet is told of each.
STATES: Final = {
    Standing.WELL: NodeState.READY,
    Standing.TRIAL: NodeState.READY,
    Standing.SUSPECT: NodeState.SUSPECT,
    Standing.QUARANTINED: NodeState.QUARANTINED,
}


@dataclass(frozen=True, kw_only=True)
class HealthPolicy:
    """How much is forgiven. Times in seconds."""

    faults: int = 3
    window_s: float = 600
    first_s: float = 60
    longest_s: float = 3600


class Health:
    """One node's standing."""

    def __init__(
        self, policy: HealthPolicy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._clock = clock
        self.standing = Standing.WELL
        self.reason = ""
        self._faults: list[float] = []
        self._back_off_s = policy.first_s
        self._until = 0.0
        self.fault_count = 0  #: All faults so far.
        self._is_asked = False  #: Somebody wants a canary, whatever the standing is.

    @property
    def may_take(self) -> bool:
        """Whether the node may take a job now."""
        return self.standing in {Standing.WELL, Standing.TRIAL}

    @property
    def needs_canary(self) -> bool:
        """Whether it is time to see if the node executes anything."""
        is_up = self._clock() >= self._until
        return (
            self._is_asked
            or self.standing is Standing.SUSPECT
            or (self.standing is Standing.QUARANTINED and is_up)
        )

    def on_fault(self, reason: str, *, is_last_of_pool: bool = False) -> None:
        """Count a fault of the node: suspect, or quarantined after several.

        Args:
            is_last_of_pool: no other node of the pool is ready. Then it is not set aside, as
                nobody would be left; each job still waits for a canary.
        """
        now = self._clock()
        oldest = now - self._policy.window_s
        self._faults = [at for at in self._faults if at > oldest] + [now]
        self.fault_count += 1
        self.reason = reason
        in_a_row = len(self._faults) >= self._policy.faults
        if not (in_a_row or self.standing in {Standing.TRIAL, Standing.QUARANTINED}):
            self.standing = Standing.SUSPECT
        elif is_last_of_pool:
            self.standing = Standing.SUSPECT
            self.reason = f"{reason}; not set aside, as no other node of the pool was ready"
        else:
            self._quarantine(now)

    def on_success(self) -> None:
        """End a trial: a job succeeded here."""
        if self.standing is Standing.TRIAL:
            self.standing = Standing.WELL
            self.reason = ""
            self._faults.clear()
            self._back_off_s = self._policy.first_s

    def on_canary_passed(self, *, faults_before: int | None = None) -> None:
        """Leave suspicion, or begin the trial after quarantine: the node executes prompts.

        Args:
            faults_before: `fault_count` when it was sent: of a fault that came since, it says nothing.
        """
        if faults_before not in {None, self.fault_count}:
            return
        if self.may_take:  # it was asked for
            return
        trusted = self.standing is Standing.SUSPECT
        self.standing = Standing.WELL if trusted else Standing.TRIAL
        self.reason = "" if trusted else "on trial: its next job decides"

    def on_probe_asked(self) -> None:
        """Have a canary sent with the next check: a person wants to know, so no back-off is waited for."""
        self._is_asked = True

    def take_probe(self) -> bool:
        """Return whether the canary that is sent now was asked for; it is asked for no longer."""
        is_asked, self._is_asked = self._is_asked, False
        return is_asked

    def clear(self) -> None:
        """Forget every fault: a person says that the node is well."""
        self.standing = Standing.WELL
        self.reason = ""
        self._faults.clear()
        self._back_off_s = self._policy.first_s
        self._until = 0.0

    def _quarantine(self, now: float) -> None:
        self.standing = Standing.QUARANTINED
        self._until = now + self._back_off_s
        self.reason = f"{self.reason}; set aside for {self._back_off_s:.0f} s"
        self._back_off_s = min(2 * self._back_off_s, self._policy.longest_s)
