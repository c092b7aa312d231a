"""What a delivery needs: a node that holds outputs, a job that it has rendered, a bucket and a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from producer.storage.object_store import ObjectStore
from tests.graphs import picture, sleeping
from tests.integration.hand_led import HandLed, hold
from worker.attempt.delivery import Delivery
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.shared_contents import SharedContents
from worker.attempt.shutdown import Shutdown
from worker.attempt.templates import Templates
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, Outcome, OutputFile
from worker.node.registration import NodeFacts
from worker.node.storage_breaker import StorageBreaker

NODE = "gpu-01"


class Rig:
    """One node's folder, and what a worker has to deliver from it."""

    def __init__(self, led: HandLed, url: str, output: Path, spool: Path) -> None:
        objects = ObjectStore(led.settings)
        outages = Outages(StorageBreaker(objects), Shutdown(NODE), on_damage=lambda: None)
        prefix = led.settings.s3_prefix
        self.objects = objects
        self.led, self.output, self.spool = led, output, spool
        self.url = url
        self.comfyui = ComfyUI(url, node=NODE)
        self.delivery = Delivery(
            node=NODE,
            prefix=prefix,
            comfyui=self.comfyui,
            objects=objects,
            store=led.store,
            outages=outages,
            contents=SharedContents(
                objects, led.store, Templates(led.store), outages, prefix=prefix
            ),
            handed_in=lambda _: sleeping(),
            node_facts=lambda: NodeFacts(device="cuda:0 RTX", comfyui_version="0.33.0"),
        )
        self.take(led.queued())

    def take(self, job) -> None:
        """Have the worker hold this job from now on."""
        self.job = self.led.running(job, node=NODE)
        self.lease = Lease(hold(self.job))
        self.folder = f"comfyfleet/{self.job.id}-1"

    def made(self, *contents: bytes, subfolder: str | None = None) -> tuple[OutputFile, ...]:
        """Write files as a prompt of the job would, and return how the history names them."""
        folder = self.folder if subfolder is None else subfolder
        (self.output / folder).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (self.output / folder / f"{number}.png").write_bytes(content)
        return tuple(
            OutputFile("3", "images", number, f"{number}.png", folder, "output")
            for number in range(len(contents))
        )

    def deliver(self, outputs: tuple[OutputFile, ...]) -> None:
        entry = HistoryEntry(
            prompt_id=str(self.job.prompt_id),
            outcome=Outcome.SUCCEEDED,
            error=None,
            cached=frozenset(),
            duration_s=None,
            outputs=outputs,
            values={},
            left_out=(),
        )
        self.spool.mkdir(exist_ok=True)
        self.delivery.deliver(self.job, sleeping(), entry, self.lease, self.spool)

    def faulty(self, rule: dict) -> None:
        """Have the node do something wrong, as `infra/standin/faults.py` lists it."""
        requests.post(f"{self.url}/standin/faults", json=rule, timeout=5).raise_for_status()

    def manifest(self) -> dict:
        return self.objects.get_json(self.led.manifest_key(self.job))

    def left_on_the_node(self) -> int:
        return sum(path.is_file() for path in self.output.rglob("*"))


def pictures(count: int) -> list[bytes]:
    return [picture((16 + number, 16)) for number in range(count)]


@contextmanager
def rigs(led: HandLed, folder: Path) -> Iterator[Callable[..., Rig]]:
    """Yield what makes a rig, of a stand-in with these options."""
    with ExitStack() as stack:

        def make(**options) -> Rig:
            options = StandinOptions(directory=folder / "node", **options)
            node = stack.enter_context(standin_thread(options))
            return Rig(led, node.url, options.directory / "output", folder / "spool")

        yield make
