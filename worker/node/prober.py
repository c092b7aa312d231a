"""Prober: sends a canary to a node that is in doubt, or that a person asks about, and has it count."""

from __future__ import annotations

from producer.contract.classes.catalog import Catalog
from worker.errors import NodeError
from worker.node.canary import Canary
from worker.node.health import Health
from worker.node.peers import Peers
from worker.node.registration import Registration
from worker.node.restarter import Restarter


class Prober:
    """Tries one node; what comes of it is told to its health, and to whoever asked."""

    def __init__(
        self,
        canary: Canary,
        registration: Registration,
        health: Health,
        peers: Peers,
        restarter: Restarter,
    ) -> None:
        self._canary = canary
        self._registration = registration
        self._health = health
        self._peers = peers
        self._restarter = restarter

    def __call__(self, catalog: Catalog) -> None:
        """Send a canary and wait for it."""
        is_asked = self._health.take_probe()
        outcome = self._outcome(catalog)
        if is_asked:
            self._registration.write_probe(outcome)

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
