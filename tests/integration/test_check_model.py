"""The check against the job store's model: what it does is well, and what a vandal does is mended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from producer.checking.check import Check
from producer.checking.findings import Kind
from producer.contract.config.settings import Settings
from producer.contract.errors import OwnerBacklogFull
from producer.contract.ids import new_job_id
from producer.contract.jobs import JobStatus
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.audit import Audit
from producer.store.job_lists import ENDED_BADLY
from producer.store.retries import Retries
from tests.integration.default_queue import ANY
from tests.integration.models.known_jobs import LEASE_MS, Known
from tests.integration.test_job_store_model import START_WITHIN_MS, JobStoreMachine

INDEXES = [
    *(keys.LEASES, keys.DELAYED, keys.DEAD, keys.jobs(""), keys.jobs("shop")),
    *(keys.ended(status) for status in ENDED_BADLY),
    *(keys.queued(ANY, tier.priority) for tier in Tier),
]
OVERDUE_MS = 32_000  # two leases and two sweeps


class VandalisedStoreMachine(JobStoreMachine):
    """The job store's model with retries, and a vandal who is followed by a check."""

    fleet = Settings()

    @rule(target=JobStoreMachine.jobs, job=JobStoreMachine.jobs)
    def retry(self, job):
        old = self.known[job]
        if not old.status.is_terminal:
            return job
        submission = Submission(
            template="0" * 64,
            needs=Needs.of("default"),
            tier=old.tier,
            owner=old.owner,
            batch=self.store.get(job).batch,
            start_within=timedelta(milliseconds=START_WITHIN_MS),
            run_within=timedelta(hours=1),
            id=new_job_id(unix_ms=self.now),
            retry_of=job,
        )
        retries = Retries(self.redis, scripts=self.store._scripts)
        if self.store.get(job).retried_as is None and self._may_have_no_more(old.owner):
            with pytest.raises(OwnerBacklogFull):
                retries.add(submission, only_dead=False)
            return job
        made, is_new = retries.add(submission, only_dead=False)
        assert is_new == (made not in self.known)
        if is_new:
            self.known[made] = Known(
                old.tier, old.batch, self.now + START_WITHIN_MS, owner=old.owner
            )
            old.dead, old.batch = False, None  # the new one stands for it
        return made

    @rule()
    def nothing_is_found(self):
        assert self._found(repair=False) == []

    @rule(job=JobStoreMachine.jobs, index=st.sampled_from(INDEXES))
    def a_missing_entry_is_put_back(self, job, index):
        known = self.known[job]
        removed = self.redis.zrem(index, job)
        if removed and index == keys.LEASES:
            known.lease_until = self.now + LEASE_MS  # the check gives it a new lease
        assert all(finding.mended for finding in self._found(repair=True))
        if removed and index == keys.DEAD:
            known.dead = False  # as if it had been dropped

    @rule(job=JobStoreMachine.jobs, index=st.sampled_from(INDEXES))
    def a_stray_entry_is_removed(self, job, index):
        known = self.known[job]
        if known.retry_at is None and self.redis.zadd(index, {job: self.now}, nx=True):
            assert all(finding.mended for finding in self._found(repair=True))
            was_retried = self.redis.hexists(keys.job(job), "retried_as")
            if index == keys.DEAD and known.status is JobStatus.FAILED and not was_retried:
                known.dead = True

    @rule(status=st.sampled_from(["queued", "running"]), by=st.integers(-2, 2))
    def a_wrong_count_is_set_right(self, status, by):
        if self.redis.exists(f"{keys.BATCH}b1"):
            self.redis.hincrby(f"{keys.BATCH}b1", status, by)
        assert all(finding.mended for finding in self._found(repair=True))

    def teardown(self):
        if self.redis and hasattr(self, "known"):
            self.nothing_is_found()

    def _found(self, *, repair):
        """Return what a check finds but for lapsed leases, of which it must find every one."""
        audit = Audit(self.redis, scripts=self.store._scripts)
        with Check(self.fleet, repair=repair, audit=audit) as checking:
            findings = [finding for finding in checking.run() if not finding.is_note]
        lapsed = {found.about for found in findings if found.kind is Kind.LAPSED_LEASE}
        assert lapsed == {
            job
            for job, known in self.known.items()
            if known.lease_until is not None and self.now - known.lease_until > OVERDUE_MS
        }
        return [finding for finding in findings if finding.kind is not Kind.LAPSED_LEASE]


def test_what_the_model_does_is_well_and_what_a_vandal_does_is_mended(redis_client, redis_server):
    VandalisedStoreMachine.redis = redis_client
    VandalisedStoreMachine.fleet = Settings(redis_url=redis_server.url)
    run_state_machine_as_test(
        VandalisedStoreMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
