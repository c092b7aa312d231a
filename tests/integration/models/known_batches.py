"""What the model knows of batches, and how their store is compared with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis.stateful import invariant, rule

from producer.checking.check import Check
from producer.checking.findings import Kind
from producer.contract.batches import BatchCounts, BatchState, PackedRow
from producer.contract.ids import row_id, row_of
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.audit import Audit
from producer.store.batch_feeds import BatchFeeds
from producer.store.batch_rows import Bucket, chain, pack, row_text
from producer.store.batch_store import BatchStore
from tests.integration.models.known_jobs import KnownJobs

IN_A_BUCKET = 3
PACK_AFTER_MS = 20_000


@dataclass
class KnownBatch:
    """What the model knows of a batch."""

    template: str
    received: int = 0
    digests: list[str] = field(default_factory=lambda: [""])
    state: BatchState | None = BatchState.OPEN
    start_by: int = 0
    fed: int = 0
    edits: int = 0
    empty: set[int] = field(default_factory=set)  # rows that were cancelled alone
    rest: JobStatus | None = None
    held: bool = False
    moving: str = ""
    cancelled_at: int = 0

    @property
    def unfed(self):
        return set(range(self.fed + 1, self.received + 1)) - self.empty

    @property
    def is_sealed(self):
        return self.state is BatchState.SEALED


class KnownBatches(KnownJobs):
    """Batches whose rows are jobs once they are fed."""

    # To compare everything after every step would leave time for few steps.
    records_agree = indexes_agree = lists_agree = owners_agree = only_few_keys_live_for_ever = None
    events_are_numbered_without_a_gap = totals_agree = None

    @invariant()
    def now_and_then_all_agrees(self):
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps % 5 == 0:
            self.all_agrees()

    def teardown(self):
        if self.redis and hasattr(self, "known_batches"):
            self.all_agrees()
            self.check_finds_nothing()

    def all_agrees(self):
        KnownJobs.records_agree(self)
        KnownJobs.indexes_agree(self)
        KnownJobs.lists_agree(self)
        KnownJobs.owners_agree(self)
        KnownJobs.totals_agree(self)
        KnownJobs.events_are_numbered_without_a_gap(self)
        KnownJobs.only_few_keys_live_for_ever(self)
        self.rows_agree()
        self.counts_of_batches_agree()
        self.events_of_batches_agree()
        self.indexes_of_batches_agree()

    def check_finds_nothing(self):
        audit = Audit(self.redis, scripts=self.store._scripts)
        with Check(self.fleet, audit=audit) as checking:
            found = [finding for finding in checking.run() if not finding.is_note]
        assert [one for one in found if one.kind is not Kind.LAPSED_LEASE] == []

    @rule()
    def pack_rows(self):
        before = self.store.find(list(self.known))
        due = self._due_to_be_packed()
        packing = self.sweeps.row_packing(after=timedelta(milliseconds=PACK_AFTER_MS))
        packed = 0
        while some := packing.pack():
            packed += some
        assert packed == len(due)
        for job in due:
            known = self.known[job]
            known.packed, known.unpacked_since, known.worker = True, None, None
        assert self.store.find(list(self.known)) == before
        assert not due or self.redis.exists(*map(keys.job, due)) == 0

    def _rows_waiting(self):
        batches = getattr(self, "known_batches", {}).values()
        return sum(len(known.unfed) for known in batches if known.is_sealed and not known.rest)

    def _rows_ended(self):
        batches = getattr(self, "known_batches", {}).values()
        return sum(
            (Counter({known.rest: len(known.unfed)}) for known in batches if known.rest), Counter()
        )

    @property
    def _batch_store(self):
        return BatchStore(self.redis, keep_ended=timedelta(days=7), scripts=self.store._scripts)

    @property
    def _feeds(self):
        return BatchFeeds(
            self.redis,
            keep_ended=timedelta(days=7),
            lease=timedelta(seconds=15),
            scripts=self.store._scripts,
        )

    def events_of_batches_agree(self):
        told: dict[str, list[str]] = {}
        for _, entry in self.redis.xrange(keys.EVENTS):
            if entry.get("kind") == "batch":
                told.setdefault(entry["about"], []).append(entry["type"])
        for batch, known in getattr(self, "known_batches", {}).items():
            found = told.pop(batch, [])
            assert found[:1] == (["sealed"] if known.is_sealed else [])
            ends = [kind for kind in found if kind in {"finished", "reopened"}]
            assert ends == [["finished", "reopened"][at % 2] for at in range(len(ends))]
            assert (len(ends) % 2 == 1) == (known.is_sealed and self._has_ended(batch))
        assert told == {}

    def rows_agree(self):
        asked, expected = [], {}
        for batch, known in getattr(self, "known_batches", {}).items():
            rows = [row_id(batch, row) for row in range(1, known.received + 1)]
            asked += rows
            waits = known.rest or (JobStatus.HELD if known.held else JobStatus.QUEUED)
            expected |= {row_id(batch, row): waits for row in known.unfed if known.is_sealed}
            expected |= {job: self.known[job].status for job in rows if job in self.known}
        found = self.store.find(asked) if asked else {}
        assert {job: read.status for job, read in found.items()} == expected

    def counts_of_batches_agree(self):
        waiting = 0
        for batch, known in getattr(self, "known_batches", {}).items():
            if known.state is None:
                assert not self.redis.exists(keys.batch(batch), keys.rows(batch))
                continue
            read = self._batch_store.get(batch)
            jobs = [job for job in self.known.values() if job.batch == batch]
            counts = Counter(str(job.status) for job in jobs)
            if known.is_sealed:
                counts[str(known.rest or "waiting")] += len(known.unfed)
            assert read.counts == BatchCounts(**counts)
            assert read.rows == known.received
            assert read.held == known.held
            assert (read.state is BatchState.FINISHED) == self._has_ended(batch)
            waiting += read.counts.waiting
        assert int(self.redis.get(keys.WAITING) or 0) == waiting

    def indexes_of_batches_agree(self):
        for batch, known in getattr(self, "known_batches", {}).items():
            live = {
                job: k.since
                for job, k in self.known.items()
                if k.batch == batch and not k.status.is_terminal
            }
            found = self.redis.zrange(keys.live(batch), 0, -1, withscores=True)
            assert {job: int(since) for job, since in found} == live
            must = (known.unfed and not known.rest) or known.moving or (known.held and live)
            is_listed = self.redis.zscore(keys.FEEDING, batch) is not None
            # It may be listed once too often: upkeep looks, and takes it off the list.
            assert is_listed or not (known.is_sealed and must)

    def _due_to_be_packed(self):
        """Return the rows of buckets in which none has ended lately."""
        buckets = defaultdict(list)
        for job, known in self.known.items():
            if self._is_row(job) and known.unpacked_since is not None:
                batch, row = row_of(job)
                buckets[batch, (row - 1) // IN_A_BUCKET].append(job)
        return {
            job
            for jobs in buckets.values()
            if max(self.known[job].unpacked_since for job in jobs) < self.now - PACK_AFTER_MS
            for job in jobs
        }

    def _bucket(self, known, number, count, *, other=False):
        texts = [
            row_text(PackedRow({"3.seed": row + (1000 if other else 0)}))
            for row in range(number * IN_A_BUCKET + 1, number * IN_A_BUCKET + count + 1)
        ]
        before = known.digests[number]
        after = chain(before, texts) if texts else before
        return Bucket(number, count, before, after, pack(texts, [0] * count) if texts else b"")

    def _end_rows(self, batch, status):
        known = self.known_batches[batch]
        if known.unfed and not known.rest:
            known.rest = status

    def _has_ended(self, batch):
        known = self.known_batches[batch]
        live = any(k.batch == batch and not k.status.is_terminal for k in self.known.values())
        return known.is_sealed and not live and (bool(known.rest) or not known.unfed)

    def _move(self, batch):
        known = self.known_batches[batch]
        verb = "hold" if known.held else known.moving
        for job, found in self.known.items():
            if found.batch != batch:
                continue
            if verb == "hold" and found.status is JobStatus.QUEUED:
                found.status, found.retry_at = JobStatus.HELD, None
            elif verb == "release" and found.status is JobStatus.HELD:
                found.status = JobStatus.QUEUED
            elif verb == "cancel" and found.since <= known.cancelled_at:
                if found.status is JobStatus.RUNNING:
                    found.cancel = True
                elif not found.status.is_terminal:
                    self._end(job, JobStatus.CANCELLED)
        known.moving = ""
