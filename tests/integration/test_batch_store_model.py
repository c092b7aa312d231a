"""The scripts of batches against a model; what is done to single jobs is done to rows, too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule, run_state_machine_as_test

from producer.contract.batches import BatchSpec, BatchState
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.config.settings import Settings
from producer.contract.errors import BatchNotFound, InvalidBatch, JobNotFound, KeyReused
from producer.contract.ids import new_batch_id, new_job_id, row_id
from producer.contract.jobs import JobStatus
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Content, Submission
from producer.store import batch_rows, keys, limits, scripts
from producer.store.retries import Retries
from tests.integration.models.known_batches import IN_A_BUCKET, KnownBatch, KnownBatches
from tests.integration.test_job_store_model import START_WITHIN_MS, JobStoreMachine, Known

PLACES = (Needs.of("default"),)
ROWS = st.integers(1, 9)


class BatchMachine(KnownBatches, JobStoreMachine):
    batches = Bundle("batches")

    # What has nothing to do with batches is left to the model of single jobs.
    renew = note = take_back = submit = limit_owner = None
    batch_counts_agree = None

    @initialize(target=batches)
    def start_batches(self):
        """Begin with a batch that is fed: what comes after that is what matters most."""
        self.start()
        self.known_batches: dict[str, KnownBatch] = {}
        self.opened_by_key: dict[str, str] = {}
        self.snapshots: dict[str, tuple] = {}
        batch = self.open(None, "a")
        self.add(batch, 0, other=False)
        self.add(batch, 0, other=False)
        self.seal(batch, 2)
        self.look(batch)
        self.feed(batch, 2)
        return batch

    def start(self):
        if not hasattr(self, "known"):
            super().start()

    @rule(target=batches, key=st.sampled_from([None, "night"]), template=st.sampled_from("ab"))
    def open(self, key, template):
        spec = BatchSpec(
            template=template * 64,
            tier=Tier.DEFAULT,
            pool="default",
            owner="shop",
            start_within_s=START_WITHIN_MS / 1000,
            run_within_s=3600,
        )
        batch = new_batch_id(unix_ms=self.now)

        def call():
            return self._batch_store.open(batch, spec, name="", key=key)

        before = self.opened_by_key.get(key)
        if before and self.known_batches[before].template != template:
            with pytest.raises(KeyReused):
                call()
            return before
        assert call() == (before or batch, not before)
        if before:
            return before
        self.known_batches[batch] = KnownBatch(template)
        if key:
            self.opened_by_key[key] = batch
        return batch

    @rule(batch=batches, back=st.integers(0, 2), other=st.booleans())
    def add(self, batch, back, other):
        """Hand in the next bucket, or one that was handed in before; perhaps with other rows."""
        known = self.known_batches[batch]
        number = max(0, len(known.digests) - 1 - back)
        bucket = self._bucket(known, number, IN_A_BUCKET, other=other and back == 1)
        if known.state is None:
            with pytest.raises(BatchNotFound):
                self._batch_store.add(batch, [bucket], PLACES)
        elif number < len(known.digests) - 1:
            is_last = number == len(known.digests) - 2
            if is_last and known.digests[-1] != bucket.after:
                with pytest.raises(InvalidBatch):
                    self._batch_store.add(batch, [bucket], PLACES)
            else:
                self._batch_store.add(batch, [bucket], PLACES)
        elif known.is_sealed:
            with pytest.raises(InvalidBatch):
                self._batch_store.add(batch, [bucket], PLACES)
        else:
            self._batch_store.add(batch, [bucket], PLACES)
            known.received += IN_A_BUCKET
            known.digests.append(bucket.after)

    @rule(batch=batches, rows=st.integers(0, IN_A_BUCKET - 1))
    def seal(self, batch, rows):
        known = self.known_batches[batch]
        number = known.received // IN_A_BUCKET
        last = self._bucket(known, number, rows)
        total = number * IN_A_BUCKET + rows

        def call():
            self._batch_store.seal(
                batch,
                last,
                PLACES,
                rows=total,
                template=known.template * 64,
                content=Content(b"{}"),
            )

        if known.state is None:
            with pytest.raises(BatchNotFound):
                call()
        elif known.is_sealed:
            if total == known.received:
                call()
            else:
                with pytest.raises(InvalidBatch):
                    call()
        elif total:
            call()
            known.received, known.state = total, BatchState.SEALED
            known.digests += [last.after] if rows else []
            known.start_by = self.now + START_WITHIN_MS

    @rule(batch=batches)
    def look(self, batch):
        """Look which rows come next; the look may be old when they are fed."""
        known = self.known_batches[batch]
        if known.is_sealed and known.unfed:
            record = self._batch_store.record(batch)
            rows = self._feeds.next_rows(record)
            self.snapshots[batch] = (record, rows, known.fed, known.edits)

    @rule(target=JobStoreMachine.jobs, batch=batches, rows=st.integers(0, IN_A_BUCKET))
    def feed(self, batch, rows):
        if batch not in self.snapshots:
            return multiple()
        known = self.known_batches[batch]
        record, found, fed, edits = self.snapshots[batch]
        ready = self._feeds.feed(record, found[:rows])
        if known.rest is None and known.start_by <= self.now:
            self._end_rows(batch, JobStatus.EXPIRED)
        elif not (known.rest or known.held or (fed, edits) != (known.fed, known.edits)):
            known.fed += len(found[:rows])
            fresh = set(range(fed + 1, known.fed + 1)) - known.empty
            assert set(ready) == {row_id(batch, row) for row in fresh}
            for job in ready:
                self.known[job] = Known(
                    Tier.DEFAULT, batch, known.start_by, since=self.now, owner="shop"
                )
            return multiple(*ready)
        assert ready is None
        return multiple()

    @rule(target=JobStoreMachine.jobs, batch=batches, rows=st.integers(1, IN_A_BUCKET))
    def look_and_feed(self, batch, rows):
        self.snapshots.pop(batch, None)
        self.look(batch)
        return self.feed(batch, rows)

    @rule(batch=batches, row=ROWS)
    def cancel_row(self, batch, row):
        known, job = self.known_batches[batch], row_id(batch, row)
        if job in self.known:
            return  # the business of `cancel`
        if not known.is_sealed or row not in known.unfed:
            with pytest.raises(JobNotFound):
                self.store.cancel(job)
        elif known.rest:
            assert self.store.cancel(job) is Cancelled.ENDED
        else:
            assert self.store.cancel(job) is Cancelled.CANCELLED
            known.empty.add(row)
            known.edits += 1
            ended = Known(Tier.DEFAULT, batch, known.start_by, since=self.now, owner="shop")
            self.known[job] = ended
            self._end(job, JobStatus.CANCELLED)

    @rule(batch=batches, interrupted=st.booleans(), seldom=st.integers(0, 2))
    def cancel_batch(self, batch, interrupted, seldom):
        known = self.known_batches[batch]
        if seldom and known.state is not None:
            return  # nothing else can happen to it after that
        if known.state is None:
            with pytest.raises(BatchNotFound):
                self._batch_store.cancel(batch)
            return
        has_ended = self._has_ended(batch)
        outcome = self._run_script_of(batch, "batch_cancel", interrupted=interrupted)
        if not known.is_sealed:
            assert outcome == "discarded"
            known.state = None
            self.opened_by_key = {k: b for k, b in self.opened_by_key.items() if b != batch}
        elif has_ended:
            assert outcome == "ended"
        else:
            assert outcome == "cancelled"
            known.held, known.moving, known.cancelled_at = False, "cancel", self.now
            self._end_rows(batch, JobStatus.CANCELLED)
            if not interrupted:
                self._move(batch)

    @rule(batch=batches, verb=st.sampled_from(["hold", "release"]), interrupted=st.booleans())
    def hold_or_release_batch(self, batch, verb, interrupted):
        known = self.known_batches[batch]
        may = known.is_sealed and not self._has_ended(batch) and known.moving != "cancel"
        if not may:
            with pytest.raises((BatchNotFound, InvalidBatch)):
                getattr(self._batch_store, verb)(batch)
            return
        if interrupted:
            self.store._scripts.run("batch_hold", keys=[keys.batch(batch)], args=[batch, verb])
        else:
            getattr(self._batch_store, verb)(batch)
        if known.held != (verb == "hold"):
            known.held, known.moving = verb == "hold", "release" if verb == "release" else ""
        if not interrupted:
            self._move(batch)

    @rule()
    def upkeep_goes_on_with_what_was_asked_for(self):
        for record in self._feeds.in_turn():
            self._feeds.move_live(record)
            self._move(record.id)

    @rule(target=JobStoreMachine.jobs, job=JobStoreMachine.jobs)
    def retry(self, job):
        old = self.known[job]
        if not old.status.is_terminal:
            return job
        submission = Submission(
            template=self.store.get(job).template,
            needs=PLACES[0],
            batch=old.batch,
            owner="shop",
            start_within=timedelta(milliseconds=START_WITHIN_MS),
            run_within=timedelta(hours=1),
            id=new_job_id(unix_ms=self.now),
            retry_of=job,
        )
        retries = Retries(self.redis, scripts=self.store._scripts)
        made, is_new = retries.add(submission, only_dead=False)
        assert self.store.get(job).retried_as == made
        assert retries.add(submission, only_dead=False) == (made, False)
        if is_new:
            start_by = self.now + START_WITHIN_MS
            self.known[made] = Known(
                Tier.DEFAULT, old.batch, start_by, since=self.now, owner="shop"
            )
            old.dead, old.batch = False, None  # the new one stands for it
        return made

    def _run_script_of(self, batch, name, *, interrupted):
        if not interrupted:
            return self._batch_store.cancel(batch)
        week_ms = 7 * 86_400_000
        return self.store._scripts.run(
            name, keys=[keys.batch(batch), keys.rows(batch)], args=[batch, week_ms]
        )


@pytest.fixture
def small_buckets(monkeypatch):
    monkeypatch.setattr(batch_rows, "BUCKET_ROWS", IN_A_BUCKET)
    monkeypatch.setattr(limits, "BUCKET_ROWS", IN_A_BUCKET)
    scripts._parts.cache_clear()  # scripts get their constants once a process
    yield
    scripts._parts.cache_clear()


@pytest.mark.usefixtures("small_buckets")
def test_batches_agree_with_model(redis_client, redis_server):
    BatchMachine.fleet = Settings(redis_url=redis_server.url)
    BatchMachine.redis = redis_client
    run_state_machine_as_test(
        BatchMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
