"""Every public call with its types, as a backend writes it. mypy reads it in CI; nothing runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from pydantic import SecretStr

from producer.aio import AsyncProducer
from producer.batch.rows import Row
from producer.batch.writer import BatchWriter
from producer.client import Producer
from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled, Cancelled
from producer.contract.dead_letters import DeadLetter
from producer.contract.figures import FleetFigures
from producer.contract.fleet_events import FleetEvent
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.graph_checks import GraphCheck
from producer.contract.ids import BatchId, JobId
from producer.contract.job_pages import JobPage
from producer.contract.jobs import Artifact, Job, JobEvent, JobStatus
from producer.contract.nodes import Node, NodeTimes, Pool
from producer.contract.operations import Action
from producer.contract.outcomes import Acted, ActionRecord, Submitted
from producer.contract.owners import OwnerUsage
from producer.contract.previews import Preview, PreviewNote
from producer.contract.queue_lines import QueueLine
from producer.contract.queues import Tier
from producer.contract.templates import Template, TemplateGraph
from producer.contract.totals import PoolTotals
from producer.contract.uploads import Upload
from producer.events.async_event_watch import AsyncEventWatch, AsyncFleetWatch
from producer.events.event_watch import EventWatch, FleetWatch
from producer.events.loop_fanout import LoopFanout
from producer.events.missed import Missed
from producer.http_aio import AsyncHttpProducer
from producer.http_client import HttpProducer
from producer.intake.input_policy import InputPolicy

GRAPH = {"3": {"class_type": "KSampler", "inputs": {"seed": 7}}}
UNTIL = datetime(2040, 1, 1, tzinfo=UTC)


def told(row: BadRow) -> None:
    """Take a row that was left out."""
    print(row.sentence)


def seen(batch: Batch) -> None:
    """Take a batch as it is."""
    print(batch.counts.succeeded)


def over_http(fleet: HttpProducer) -> Batch:
    """Do the same over the HTTP API, where the key says who the owner is."""
    job = fleet.submit(
        GRAPH, params={"3.seed": 7}, inputs={"10.image": Path("fox.png")}, tier="rush"
    )
    assert_type(job, Job)
    assert_type(fleet.stream(job.id, timeout=timedelta(minutes=2)), Iterator[JobEvent])
    assert_type(fleet.wait(job.id), Job)
    assert_type(fleet.url(job.artifacts[0], expires=timedelta(minutes=5)), str)
    assert_type(fleet.upload(b"...", name="fox.png"), Upload)
    assert_type(fleet.act("cancel", "status:queued", dry_run=True), Acted)
    assert_type(fleet.wait_action(fleet.begin_action("hold", "all", reason="it").id), ActionRecord)
    assert_type(fleet.cancel_action(fleet.actions()[0].id, reason="a typo"), ActionRecord)
    assert_type(fleet.action_log(5), list[Action])
    assert_type(fleet.dead_letters.redrive(job.id), Job)
    assert_type(fleet.webhooks.create("orders", "https://shop.example/hook").secret, SecretStr)
    template = fleet.templates.put("portrait", Path("graph.json").read_bytes(), must_be_new=True)
    assert_type(template, Template)
    assert_type(fleet.templates.check(NamedGraph("portrait"), pool="video").runs_on, int)
    assert_type(fleet.templates.get("portrait").graph, dict[str, Any])
    assert_type(fleet.templates.list(), list[Template])
    fleet.templates.delete("portrait", if_match=template.etag)
    return fleet.submit_many(
        GRAPH, [{"3.seed": 7}, Row({"3.seed": 8})], on_skipped=told, name="night"
    )


async def over_http_from_a_loop(fleet: AsyncHttpProducer) -> None:
    """Do the same from an event loop."""
    job = await fleet.submit(GRAPH, params={"3.seed": 7}, tier="rush")
    assert_type(job, Job)
    assert_type(fleet.stream(job.id, after="0-0"), AsyncIterator[JobEvent])
    assert_type(fleet.watch(job.id), AsyncEventWatch)
    assert_type(await fleet.preview(job.id), Preview | None)
    assert_type(await fleet.jobs("status:failed", limit=5), JobPage)
    assert_type(await fleet.totals(), dict[str, PoolTotals])
    assert_type(await fleet.drain_nodes(["gpu-01"], until=UNTIL), list[Node])
    assert_type(await fleet.submit_many(GRAPH, [{"3.seed": 7}], name="night"), Batch)
    assert_type(await fleet.webhooks.rotate("orders"), SecretStr)


def jobs(fleet: Producer) -> Job:
    """Hand one job in, follow it, fetch what it made."""
    job = fleet.submit(
        GRAPH,
        params={"3.seed": 7, "6.text": "a red fox"},
        inputs={"10.image": Path("fox.png"), "11.image": b"...", "12.image": "s3://bucket/key"},
        extra_data={"extra_pnginfo": {}},
        pool="default",
        tier=Tier.RUSH,
        pin=None,
        metadata={"customer": "4711"},
        owner="shop",
        deliver={"to": "s3://shop/{owner}/{job}-{n}{ext}", "metadata": "strip", "thumbnail": 512},
        idempotency_key="order-1",
        start_within=timedelta(hours=1),
        run_within=timedelta(minutes=5),
    )
    assert_type(job, Job)
    assert_type(fleet.submit_once(GRAPH, idempotency_key="order-1").is_replay, bool)
    assert_type(fleet.made_before(GRAPH, idempotency_key="order-1"), Job | None)
    upload = fleet.upload(b"...", owner="shop", name="fox.png")
    assert_type(upload, Upload)
    fleet.submit(GRAPH, inputs={"10.image": {"upload": upload.id}}, owner="shop")
    template = fleet.templates.put("portrait", GRAPH, owner="shop", if_match=None)
    assert_type(template, Template)
    assert_type(fleet.templates.get("portrait", owner="shop"), TemplateGraph)
    assert_type(fleet.templates.list(owner="shop"), list[Template])
    assert_type(fleet.templates.check(GRAPH, params={"3.seed": 7}), GraphCheck)
    fleet.submit(NamedGraph("portrait"), params={"3.seed": 7}, owner="shop")
    fleet.templates.delete("portrait", owner="shop", if_match=template.etag)
    assert_type(fleet.get(job.id), Job)
    assert_type(fleet.get_many([job.id]), list[Job])
    page = fleet.jobs("status:failed owner:shop", limit=20)
    assert_type(page, JobPage)
    assert_type(fleet.queue(), list[QueueLine])
    assert_type(fleet.owner("shop"), OwnerUsage)
    assert_type(fleet.owners(), list[OwnerUsage])
    assert_type(fleet.totals(), dict[str, PoolTotals])
    assert_type(fleet.figures(), FleetFigures)
    assert_type(fleet.find_batch("night"), BatchId)
    assert_type(fleet.limit_owner("shop", max_waiting=None), OwnerUsage)
    assert_type(fleet.move("owner:shop", tier=Tier.RUSH, pool="video", dry_run=True), int)
    assert_type(fleet.move_job(job.id, pool="video"), int)
    assert_type(fleet.move_batch("night-0412", tier="idle"), int)
    assert_type(fleet.jobs("status:failed owner:shop", page.cursor, 20).jobs, list[Job])
    assert_type(fleet.stream(job.id, timeout=timedelta(minutes=2), after=None), Iterator[JobEvent])
    assert_type(fleet.events(after="0-0"), Iterator[JobEvent])
    assert_type(fleet.watch(job.id), EventWatch)
    assert_type(fleet.watch_fleet("batch:" + (job.batch or ""), "nodes"), FleetWatch)
    assert_type(fleet.missed("batch:x", after="0-0"), Missed | None)
    assert_type(fleet.position(), str)
    if preview := fleet.preview(job.id):
        Path("preview").write_bytes(preview.content)
    assert_type(fleet.preview_note(job.id), PreviewNote | None)
    assert_type(fleet.fleet_events(after="0-0"), Iterator[JobEvent | FleetEvent])
    assert_type(fleet.wait(job.id, timeout=timedelta(minutes=2)), Job)
    artifact: Artifact = job.artifacts[0]
    assert_type(fleet.url(artifact, expires=timedelta(hours=1)), str)
    fleet.fetch(artifact, Path(artifact.name))
    return job


def changes(fleet: Producer, job: Job) -> None:
    """End jobs, keep them back, make them again."""
    assert_type(fleet.cancel(job.id), Cancelled)
    assert_type(fleet.hold(job.id), Job)
    assert_type(fleet.release(job.id), Job)
    assert_type(fleet.retry(job.id, tier="batch", pin="gpu-01", secrets={"key": "k"}), Job)
    assert_type(fleet.retry_once(job.id, pin="gpu-01").is_replay, bool)
    assert_type(fleet.dead_letters.list(10), list[DeadLetter])
    assert_type(fleet.dead_letters.show(job.id), DeadLetter)
    assert_type(fleet.dead_letters.redrive(job.id, secrets=None), Job)
    assert_type(fleet.dead_letters.redrive_once(job.id, secrets=None), Submitted)
    assert_type(fleet.dead_letters.drop(job.id), bool)
    assert_type(fleet.dead_letters.ids(), tuple[JobId, ...])
    assert_type(fleet.dead_letters.causes(), Counter[str])
    assert_type(fleet.dead_letters.prune(), int)
    assert_type(fleet.nodes(), list[Node])
    assert_type(fleet.node_times("gpu-01"), NodeTimes)
    fleet.rescan("gpu-01")
    assert_type(fleet.drain_nodes(["gpu-01"], reason="a new card", last_of="video"), list[Node])
    assert_type(fleet.pause_nodes(["gpu-01"], until=UNTIL, actor="kim"), list[Node])
    assert_type(fleet.resume_nodes(["gpu-01"], reason="done", origin="cli@desk"), list[Node])
    assert_type(fleet.quarantine_nodes(["gpu-01"], reason="it smells"), list[Node])
    assert_type(fleet.clear_nodes(["gpu-01"], reason="a new fan"), list[Node])
    assert_type(fleet.probe_nodes(["gpu-01"]), list[Node])
    assert_type(fleet.restart_nodes(["gpu-01"], now=True, reason="it hangs"), list[Node])
    assert_type(fleet.pools(), list[Pool])
    assert_type(fleet.drain_pools(["video"], until=UNTIL), list[Pool])
    assert_type(fleet.pause_pools(["video"], reason="the night"), list[Pool])
    assert_type(fleet.resume_pools(["video"], actor="kim"), list[Pool])


def batches(fleet: Producer) -> None:
    """Hand in many jobs at once."""
    batch = fleet.submit_many(
        GRAPH,
        [{"3.seed": 1}, Row({"3.seed": 2}, metadata={"sku": "b"})],
        name="night",
        skip_invalid=True,
        on_skipped=told,
        on_progress=print,
        idempotency_key="night-1",
    )
    assert_type(batch, Batch)
    with fleet.open_batch(GRAPH, name="slowly", pool="default") as writer:
        assert_type(writer, BatchWriter)
        writer.add({"3.seed": 3})
    assert_type(fleet.batch(batch.id), Batch)
    assert_type(fleet.act("cancel", "status:queued", dry_run=True).matched, int)
    assert_type(fleet.wait_action(fleet.begin_action("hold", "all", owner="shop").id), ActionRecord)
    assert_type(fleet.actions(owner="shop"), list[ActionRecord])
    assert_type(fleet.action(fleet.actions()[0].id), ActionRecord)
    assert_type(fleet.action_log(5, before=None), list[Action])
    assert_type(fleet.cancel_action(fleet.actions()[0].id, actor="kim"), ActionRecord)
    assert_type(fleet.batches(limit=5), list[Batch])
    begun = fleet.begin_batch(GRAPH, name="night", inputs={"10.image": {"upload": "0" * 64}}).batch
    assert_type(fleet.add_rows(begun.id, [{"3.seed": 1}], first=0, on_skipped=told), Batch)
    assert_type(fleet.seal_batch(begun.id), Batch)
    assert_type(fleet.open_rows("shop"), int)
    assert_type(fleet.wait_batch(batch.id, timeout=None, on_poll=seen), Batch)
    assert_type(fleet.hold_batch(batch.id), Batch)
    assert_type(fleet.release_batch(batch.id), Batch)
    assert_type(fleet.cancel_batch(batch.id), BatchCancelled)
    for number, job in fleet.batch_jobs(batch.id, statuses=[JobStatus.FAILED]):
        assert_type(number, int)
        assert_type(job, Job)
    assert_type(fleet.batch_results(batch.id), Iterator[dict[str, Any]])
    assert_type(fleet.batch_result_lines(batch.id, statuses=["failed"]), Iterator[str])


def opened() -> None:
    """Open a producer, with the settings of the environment."""
    with Producer.from_env(input_policy=InputPolicy(), redis_url="redis://localhost") as fleet:
        changes(fleet, jobs(fleet))
    fleet.close()


async def from_a_loop(fleet: AsyncProducer) -> None:
    """Do the same from an event loop."""
    job = await fleet.submit(GRAPH, params={"3.seed": 7}, tier="rush", owner="shop")
    assert_type(await fleet.made_before(GRAPH, idempotency_key="order-1"), Job | None)
    assert_type(job, Job)
    assert_type(await fleet.upload(Path("fox.png")), Upload)
    assert_type(await fleet.get(job.id), Job)
    assert_type(await fleet.get_many([job.id]), list[Job])
    assert_type(await fleet.jobs("status:failed"), JobPage)
    assert_type(await fleet.queue(), list[QueueLine])
    assert_type(await fleet.owner("shop"), OwnerUsage)
    assert_type(await fleet.owners(), list[OwnerUsage])
    assert_type(await fleet.totals(), dict[str, PoolTotals])
    assert_type(await fleet.figures(), FleetFigures)
    assert_type(await fleet.find_batch("night", owner="shop"), BatchId)
    assert_type(await fleet.limit_owner("shop", max_waiting=5), OwnerUsage)
    assert_type(await fleet.move("owner:shop", tier="rush"), int)
    assert_type(await fleet.move_job(job.id, tier="idle", dry_run=True), int)
    assert_type(await fleet.move_batch("night-0412", pool="video"), int)
    assert_type(fleet.stream(job.id), AsyncIterator[JobEvent])
    assert_type(await fleet.events(after="0-0"), list[JobEvent])
    assert_type(fleet.watch(job.id), AsyncEventWatch)
    assert_type(fleet.watch_fleet("batches"), AsyncFleetWatch)
    assert_type(await fleet.missed("batch:x", after="0-0"), Missed | None)
    assert_type(await fleet.position(), str)
    assert_type(await fleet.preview(job.id), Preview | None)
    assert_type(await fleet.preview_note(job.id), PreviewNote | None)
    assert_type(await fleet.fleet_events(after="0-0"), list[JobEvent | FleetEvent])
    assert_type(fleet.fanout, LoopFanout)
    assert_type(await fleet.wait(job.id, timeout=timedelta(minutes=2)), Job)
    assert_type(await fleet.url(job.artifacts[0]), str)
    await fleet.fetch(job.artifacts[0], Path("fox.png"))
    assert_type(await fleet.cancel(job.id), Cancelled)
    assert_type(await fleet.hold(job.id), Job)
    assert_type(await fleet.release(job.id), Job)
    assert_type(await fleet.retry(job.id, secrets={"key": "k"}), Job)
    assert_type(await fleet.retry_once(job.id, tier="batch"), Submitted)
    assert_type(await fleet.nodes(), list[Node])
    assert_type(await fleet.node_times("gpu-01"), NodeTimes)
    await fleet.rescan("gpu-01")
    assert_type(await fleet.drain_nodes(["gpu-01"], reason="a new card"), list[Node])
    assert_type(await fleet.pause_nodes(["gpu-01"], until=UNTIL, last_of="video"), list[Node])
    assert_type(await fleet.resume_nodes(["gpu-01"], actor="kim"), list[Node])
    assert_type(await fleet.quarantine_nodes(["gpu-01"], reason="it smells"), list[Node])
    assert_type(await fleet.clear_nodes(["gpu-01"], reason="a new fan"), list[Node])
    assert_type(await fleet.probe_nodes(["gpu-01"]), list[Node])
    assert_type(await fleet.restart_nodes(["gpu-01"], actor="kim"), list[Node])
    assert_type(await fleet.pools(), list[Pool])
    assert_type(await fleet.drain_pools(["video"], until=UNTIL), list[Pool])
    assert_type(await fleet.pause_pools(["video"], reason="the night"), list[Pool])
    assert_type(await fleet.resume_pools(["video"], actor="kim"), list[Pool])


async def dead_letters(fleet: AsyncProducer, job: Job) -> None:
    """Do the same with dead letters."""
    assert_type(await fleet.dead_letters.list(), list[DeadLetter])
    assert_type(await fleet.dead_letters.show(job.id), DeadLetter)
    assert_type(await fleet.dead_letters.redrive(job.id), Job)
    assert_type(await fleet.dead_letters.redrive_once(job.id), Submitted)
    assert_type(await fleet.dead_letters.drop(job.id), bool)
    assert_type(await fleet.dead_letters.ids(), tuple[JobId, ...])
    assert_type(await fleet.dead_letters.causes(), Counter[str])
    assert_type(await fleet.dead_letters.prune(), int)


async def batches_from_a_loop() -> None:
    """Do the same with batches."""
    async with AsyncProducer.from_env() as fleet:
        batch = await fleet.submit_many(
            GRAPH, [{"3.seed": 1}], name="night", skip_invalid=True, on_skipped=told
        )
        assert_type(batch, Batch)
        assert_type(await fleet.batch(batch.id), Batch)
        assert_type(await fleet.act("cancel", "status:queued", dry_run=True), Acted)
        action = await fleet.begin_action("hold", "all", owner="shop")
        assert_type(await fleet.wait_action(action.id), ActionRecord)
        assert_type(await fleet.action(action.id), ActionRecord)
        assert_type(await fleet.action_log(5), list[Action])
        assert_type(await fleet.cancel_action(action.id, reason="a typo"), ActionRecord)
        assert_type(await fleet.actions(owner="shop"), list[ActionRecord])
        assert_type(await fleet.batches(5, "shop"), list[Batch])
        begun = (await fleet.begin_batch(GRAPH, owner="shop")).batch
        assert_type(await fleet.add_rows(begun.id, [{"3.seed": 1}]), Batch)
        assert_type(await fleet.seal_batch(begun.id), Batch)
        assert_type(await fleet.open_rows("shop"), int)
        assert_type(await fleet.wait_batch(batch.id, on_poll=seen), Batch)
        assert_type(await fleet.hold_batch(batch.id), Batch)
        assert_type(await fleet.release_batch(batch.id), Batch)
        assert_type(await fleet.cancel_batch(batch.id), BatchCancelled)
        async for number, job in fleet.batch_jobs(batch.id, statuses=["failed"]):
            assert_type(number, int)
            assert_type(job, Job)
    await fleet.close()
