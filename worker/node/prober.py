"""Prober: sends a canary to a node that is in doubt, and does what a person asks of the node: clear, probe, restart."""

from __future__ import annotations

from collections.abc import Callable

from producer.contract.classes.catalog import Catalog
from producer.contract.operations import Asked
from worker.errors import NodeError
from worker.node.canary import Canary
from worker.node.contradictions import Contradictions
from worker.node.health import Health
from worker.node.peers import Peers
from worker.node.registration import Registration
from worker.node.restarter import Restarter


class Prober:
    """Tries one node; what comes of it is told to its health, and to whoever asked.

    Args:
        is_busy: returns whether the node holds jobs, whose end a restart waits for.
    """

    def __init__(
        self,
        canary: Canary,
        registration: Registration,
        health: Health,
        peers: Peers,
        restarter: Restarter,
        *,
        contradictions: Contradictions,
        is_busy: Callable[[], bool],
    ) -> None:
        self._canary = canary
        self._registration = registration
        self._health = health
        self._peers = peers
        self._restarter = restarter
        self._contradictions = contradictions
        self._is_busy = is_busy
        self._waits_for_jobs = True
        self.must_restart = False  #: Somebody wants that; until then the node takes nothing.

    def on_asked(self, asked: Asked) -> None:
        """Take note of what a person asks; forgetting is done at once."""
        if asked.clear:
            self._health.clear()
            self._contradictions.clear()
        if asked.probe:
            self._health.on_probe_asked()
        if asked.restart or asked.restart_now:
            self._waits_for_jobs, self.must_restart = not asked.restart_now, True

    def restart_if_due(self) -> None:
        """Restart the node's ComfyUI, if somebody asked for that and no job is waited for; a canary shows if it is back."""
        if not self.must_restart or (self._waits_for_jobs and self._is_busy()):
            return
        problem = self._restarter.run_now()
        self.must_restart = False
        self._health.on_probe_asked()
        self._registration.write_outcome("restart", f"failed: {problem}" if problem else "done")

    def __call__(self, catalog: Catalog) -> None:
        """Send a canary and wait for it."""
        is_asked = self._health.take_probe()
        outcome = self._outcome(catalog)
        if is_asked:
            self._registration.write_outcome("probe", outcome)

    def _outcome(self, catalog: Catalog) -> str:
        faults = self._health.fault_count
        try:
            if not self._canary.run(catalog):
                return "not tried: other prompts kept the canary waiting"
        except NodeError as exc:
            self._health.on_fault(exc.detail, is_last_of_pool=not self._peers.has_ready())
            self._restarter()
            return f"failed: {exc.detail}"
        self._health.on_canary_passed(faults_before=faults)
        self._restarter.on_recovered()
        return "passed"
