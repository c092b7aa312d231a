"""The job store's scripts against a model that keeps jobs in a dict and time in an int."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule, run_state_machine_as_test

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import KeyReused, LeaseLost, OwnerBacklogFull
from producer.contract.ids import new_job_id, prompt_id
from producer.contract.jobs import JobError, JobStatus, Phase
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.store.attempt_endings import Commit
from producer.store.attempts import Hold
from producer.store.moves import Moves, Place
from producer.store.owner_limits import set_limit
from tests.integration.models.known_jobs import (
    DEVICE,
    LAST_CALL_MS,
    LEASE_MS,
    SHAPE,
    Known,
    KnownJobs,
)

START_WITHIN_MS = 120_000
PACK_AFTER_MS = 30_000
FAULT = JobError(cause="node_fault", message="the node went away", node="gpu-01")


class JobStoreMachine(KnownJobs):
    jobs = Bundle("jobs")

    @rule(
        target=jobs,
        tier=st.sampled_from(Tier),
        batch=st.sampled_from([None, "b1"]),
        key=st.sampled_from([None, "order-1"]),
        seed=st.integers(0, 1),
        owner=st.sampled_from(["", "shop"]),
    )
    def submit(self, tier, batch, key, seed, owner):
        hook = owner  # who has an owner is told of
        submission = Submission(
            template="0" * 64,
            needs=Needs.of("default"),
            params={"3.seed": seed},
            tier=tier,
            batch=batch,
            idempotency_key=key,
            owner=owner,
            hook=hook,
            start_within=timedelta(milliseconds=START_WITHIN_MS),
            run_within=timedelta(hours=1),
            shape=SHAPE,
            id=new_job_id(unix_ms=self.now),
        )
        made, asked_then = self.made_by_key.get((owner, key), (None, None))
        if made and asked_then != (seed, tier):
            with pytest.raises(KeyReused):
                self.store.add(submission, graph=b"{}")
            return made
        if made is None and self._may_have_no_more(owner):
            with pytest.raises(OwnerBacklogFull):
                self.store.add(submission, graph=b"{}")
            assert self.store.find([submission.id]) == {}
            return multiple()
        job, is_new = self.store.add(submission, graph=b"{}")
        assert is_new == (made is None)
        if made:
            assert job == made
            return job
        start_by = self.now + START_WITHIN_MS
        self.known[job] = Known(tier, batch, start_by, owner=owner, hook=hook)
        if key:
            self.made_by_key[owner, key] = (job, (seed, tier))
        return job

    @rule(limit=st.sampled_from([None, 0, 1, 3]))
    def limit_owner(self, limit):
        set_limit(self.redis, "shop", limit)
        self.limit = limit

    @rule(job=jobs, worker=st.sampled_from(["w1", "w2"]), stale_by=st.integers(0, 1))
    def claim(self, job, worker, stale_by):
        known = self.known[job]
        attempt = known.attempt - stale_by
        claimed = self.store.claim(
            job,
            attempt=attempt,
            node="gpu-01",
            worker=worker,
            lease=timedelta(milliseconds=LEASE_MS),
            prompt_id=prompt_id(job, attempt),
        )
        if known.status is not JobStatus.QUEUED or stale_by:
            assert claimed is None
        elif not known.started and known.start_by <= self.now:
            assert claimed is None
            self._end(job, JobStatus.EXPIRED)
        else:
            assert claimed.status is JobStatus.RUNNING
            assert claimed.attempt == known.attempt
            known.status, known.worker, known.started = JobStatus.RUNNING, worker, True
            known.lease_until, known.retry_at = self.now + LEASE_MS, None
            known.stamps, known.was_taken = {Phase.PREPARING: self.now}, False

    @rule(job=jobs, worker=st.sampled_from(["w1", "w2"]), stale_by=st.integers(0, 1))
    def renew(self, job, worker, stale_by):
        hold = Hold(job, self.known[job].attempt - stale_by, worker)
        answer = self.nodes.beat("gpu-01", worker=worker, holds=[hold])
        if self._holds(hold):
            assert not answer.lost
            assert answer.cancels == ({job} if self.known[job].cancel else set())
            self.known[job].lease_until = self.now + LEASE_MS
        else:
            assert answer.lost == {job}

    @rule(
        job=jobs,
        worker=st.sampled_from(["w1", "w2"]),
        stale_by=st.integers(0, 1),
        phase=st.sampled_from([None, Phase.RENDERING, Phase.FETCHING]),
    )
    def note(self, job, worker, stale_by, phase):
        known = self.known[job]
        hold = Hold(job, known.attempt - stale_by, worker)
        if self._holds(hold):
            assert self.store.note(hold, phase=phase) == known.cancel
            if phase:
                known.stamps.setdefault(phase, self.now)
        else:
            with pytest.raises(LeaseLost):
                self.store.note(hold)

    @rule(job=jobs, worker=st.sampled_from(["w1", "w2"]), stale_by=st.integers(0, 1))
    def commit(self, job, worker, stale_by):
        known = self.known[job]
        hold = Hold(job, known.attempt - stale_by, worker)
        if self._holds(hold) and known.cancel:
            assert (
                self.store.commit(hold, artifacts=[], values={}, device=DEVICE)
                is Commit.CANCEL_CAME_FIRST
            )
        elif self._holds(hold):
            assert self.store.commit(hold, artifacts=[], values={}, device=DEVICE) is Commit.DONE
            self._end(job, JobStatus.SUCCEEDED)
        elif known.status is JobStatus.SUCCEEDED and (hold.attempt, worker) == (
            known.attempt,
            known.worker,
        ):
            assert (
                self.store.commit(hold, artifacts=[], values={}, device=DEVICE) is Commit.DONE
            )  # answer lost
        else:
            with pytest.raises(LeaseLost):
                self.store.commit(hold, artifacts=[], values={}, device=DEVICE)

    @rule(job=jobs, worker=st.sampled_from(["w1", "w2"]), dead=st.booleans())
    def fail(self, job, worker, dead):
        known = self.known[job]
        hold = Hold(job, known.attempt, worker)
        if known.status is JobStatus.FAILED and known.worker == worker:
            return  # the same call again is the commit rule's business
        if not self._holds(hold):
            with pytest.raises(LeaseLost):
                self.store.fail(hold, FAULT, charged=True, dead=dead)
            return
        self.store.fail(hold, FAULT, charged=True, dead=dead)
        known.charged += 1
        known.dead = dead
        self._tell(known)
        self._end(job, JobStatus.FAILED)

    @rule(
        job=jobs,
        worker=st.sampled_from([None, "w1", "w2"]),
        charged=st.booleans(),
        delay_ms=st.sampled_from([0, 5_000]),
    )
    def requeue(self, job, worker, charged, delay_ms):
        known = self.known[job]
        lapsed = known.lease_until is not None and known.lease_until <= self.now
        may = known.status is JobStatus.RUNNING and (
            lapsed if worker is None else known.worker == worker
        )

        attempt = known.attempt

        def call():
            return self.store.requeue(
                job,
                attempt=attempt,
                worker=worker,
                error=FAULT,
                charged=charged,
                delay=timedelta(milliseconds=delay_ms),
            )

        if not may:
            with pytest.raises(LeaseLost):
                call()
            return
        self._tell(known)
        known.charged += charged
        known.free += not charged
        if known.cancel:
            assert call() is None
            self._end(job, JobStatus.CANCELLED)
            return
        known.attempt += 1
        assert call() == (None if delay_ms else known.attempt)
        known.status, known.worker, known.lease_until = JobStatus.QUEUED, None, None
        known.retry_at = self.now + delay_ms if delay_ms else None

    @rule(job=jobs)
    def hold(self, job):
        known = self.known[job]
        if known.status is JobStatus.QUEUED:
            known.status, known.retry_at = JobStatus.HELD, None
        assert self.store.hold([job]) == [known.status]

    @rule(job=jobs)
    def release(self, job):
        known = self.known[job]
        is_held = known.status is JobStatus.HELD
        assert self.store.release([job]) == ([job] if is_held else [])
        if is_held:
            known.status = JobStatus.QUEUED

    @rule(job=jobs, tier=st.sampled_from(Tier))
    def move(self, job, tier):
        known, needs = self.known[job], Needs.of("default")
        place = Place(tier, "default", needs.queue, needs)
        moved, messages = Moves(self.redis, self.store._scripts).move({job: place})
        waits = known.status in {JobStatus.QUEUED, JobStatus.HELD}
        needs_one = known.status is JobStatus.QUEUED and known.retry_at is None
        assert moved == waits
        assert [message.job_id for message in messages] == ([job] if needs_one else [])
        known.tier = tier if waits else known.tier

    @rule(job=jobs)
    def cancel(self, job):
        known = self.known[job]
        outcome = self.store.cancel(job)
        if known.status in {JobStatus.QUEUED, JobStatus.HELD}:
            assert outcome is Cancelled.CANCELLED
            self._end(job, JobStatus.CANCELLED)
        elif known.status is JobStatus.RUNNING:
            assert outcome is Cancelled.REQUESTED
            known.cancel = True
        else:
            assert outcome is Cancelled.ENDED

    @rule()
    def what_is_due(self):
        ready = set(self.sweeps.due())
        expected = set()
        for job, known in self.known.items():
            if known.status not in {JobStatus.QUEUED, JobStatus.HELD}:
                continue
            if known.retry_at is not None and known.retry_at <= self.now:
                known.retry_at = None
                expected.add(job)
            elif known.start_by <= self.now and known.started:
                self._is_called_last(job)
            elif known.start_by <= self.now:
                self._end(job, JobStatus.EXPIRED)
        assert ready == expected

    def _is_called_last(self, job):
        known = self.known[job]
        attempt, until = known.last_call or (None, 0)
        if attempt != known.attempt:
            known.last_call = (known.attempt, self.now + LAST_CALL_MS)
        elif until <= self.now:
            self._end(job, JobStatus.FAILED)
            known.dead = True

    @rule()
    def pack(self):
        before = {job: self.store.get(job) for job in self.known}
        due = [
            known
            for job, known in self.known.items()
            if known.unpacked_since is not None
            and known.unpacked_since <= self.now - PACK_AFTER_MS
            and not self._is_row(job)
        ]
        packing = self.sweeps.packing(after=timedelta(milliseconds=PACK_AFTER_MS))
        assert packing.pack() == len(due)
        for known in due:
            known.unpacked_since = known.worker = None
        assert {job: self.store.get(job) for job in self.known} == before

    @rule(outcome=st.sampled_from(["done", "later", "died"]))
    def tell_ends(self, outcome):
        ends = self.outbox.take_due(limit=100, within=timedelta(seconds=10))
        due = {j: k for j, k in self.known.items() if (k.told_at or self.now + 1) <= self.now}
        assert {end.id for end in ends} == due.keys()
        for end in ends:
            known = due[end.id]
            known.told_at = self.now + 10_000
            if outcome == "later":
                assert self.outbox.later(end, wait=timedelta(seconds=20))
                known.told_at = self.now + 20_000
                assert not self.outbox.done(end)  # it has been put off
            elif outcome == "done":
                assert self.outbox.done(end)
                known.told_at = None
                assert not self.outbox.done(end)

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def take_back(self, worker):
        lease = timedelta(milliseconds=LEASE_MS)
        taken = {
            t.job_id: t.attempt for t in self.sweeps.take_back("gpu-01", worker=worker, lease=lease)
        }
        for job, known in self.known.items():
            runs = known.status is JobStatus.RUNNING
            assert taken.pop(job, None) == (known.attempt if runs else None)
            if runs:
                known.was_taken |= known.worker != worker
                known.worker, known.lease_until = worker, self.now + LEASE_MS
        assert not taken


def test_job_store_agrees_with_model(redis_client):
    JobStoreMachine.redis = redis_client
    run_state_machine_as_test(
        JobStoreMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
