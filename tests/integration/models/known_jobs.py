"""What the model knows of jobs, and how the job store is compared with it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from producer.contract.ids import row_of
from producer.contract.jobs import JobStatus, Phase, sources_of
from producer.contract.queues import Tier
from producer.contract.totals import PoolTotals, StageTotals
from producer.store import keys, limits
from producer.store.job_lists import ENDED_BADLY
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.outbox import Outbox
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps
from producer.store.totals import Totals

LEASE_MS = 15_000
LAST_CALL_MS = limits.LIVE_MS // 2
CLOCK = "test:clock"
SHAPE = "0123456789abcdef"
DEVICE = "RTX 4090"


@dataclass
class Known:
    """What the model knows of a job."""

    tier: Tier
    batch: str | None
    start_by: int
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 1
    worker: str | None = None
    lease_until: int | None = None
    retry_at: int | None = None
    started: bool = False
    last_call: tuple[int, int] | None = None  #: The attempt, and until when it may wait.
    cancel: bool = False
    charged: int = 0
    free: int = 0
    dead: bool = False
    stories: list[tuple[int, int, int | None]] = field(default_factory=list)
    since: int = 0
    unpacked_since: int | None = None
    packed: bool = False  #: As a row of a batch: its record is gone.
    owner: str = ""
    stamps: dict[Phase, int] = field(default_factory=dict)  #: When the attempt entered phases.
    was_taken: bool = False
    hook: str = ""
    told_at: int | None = None  #: When its end is due to be told.
    is_single: bool = field(init=False)

    def __post_init__(self):
        self.is_single = self.batch is None  # also once a retry has taken its place in its batch


class KnownJobs(RuleBasedStateMachine):
    """A job store, what should be in it, and a clock that stands still until it is told."""

    redis = None

    @initialize()
    def start(self):
        self.redis.flushdb()
        self.now = 4_000_000_000_000  # ahead of the real clock: nothing expires meanwhile
        scripts = Scripts(self.redis, clock_lua=f"return tonumber(redis.call('GET', '{CLOCK}'))")
        keep = timedelta(days=7)
        self.store = JobStore(self.redis, keep_ended=keep, scripts=scripts)
        self.sweeps = Sweeps(self.redis, keep_ended=keep, scripts=scripts)
        self.nodes = NodeStore(self.redis, lease=timedelta(milliseconds=LEASE_MS), scripts=scripts)
        self.known: dict[str, Known] = {}
        self.made_by_key: dict[str, tuple[str, int]] = {}
        self.rates: Counter[int] = Counter()
        self.outbox = Outbox(self.redis, scripts=scripts)
        self.limit: int | None = None  #: Of what `shop` may have waiting.
        self.redis.hset(keys.node("gpu-01"), "device", DEVICE)
        self.redis.expire(keys.node("gpu-01"), 3600)
        self._set_clock()

    @rule(seconds=st.one_of(st.integers(1, 60), st.just(LAST_CALL_MS // 1000)))
    def time_passes(self, seconds):
        self.now += seconds * 1000
        self._set_clock()

    @invariant()
    def records_agree(self):
        for job, known in getattr(self, "known", {}).items():
            found = self.store.get(job)
            assert found.status is known.status
            assert found.attempt == known.attempt
            assert (found.charged_attempts, found.free_attempts) == (known.charged, known.free)
            told = [(one.number, one.started_ms, one.render_ms) for one in found.attempts]
            assert told == known.stories
            assert found.done == (not any(known.status in sources_of(to) for to in JobStatus))
            assert (self.redis.pttl(keys.job(job)) > 0) != known.packed

    @invariant()
    def indexes_agree(self):
        known = getattr(self, "known", {})
        leases = {job: k.lease_until for job, k in known.items() if k.lease_until is not None}
        assert self._index(keys.LEASES) == leases
        assert set(self.redis.zrange(keys.DEAD, 0, -1)) == {j for j, k in known.items() if k.dead}
        assert self._index(keys.UNPACKED) == {
            job: k.unpacked_since
            for job, k in known.items()
            if k.unpacked_since is not None and not self._is_row(job)
        }
        for tier in Tier:
            waiting = {
                job
                for job, k in known.items()
                if k.tier is tier and k.status is JobStatus.QUEUED and k.retry_at is None
            }
            index = keys.queued("comfyfleet.pool.default.any", tier.priority)
            assert set(self.redis.zrange(index, 0, -1)) == waiting

    @invariant()
    def lists_agree(self):
        known = getattr(self, "known", {})
        single = {job: k.owner for job, k in known.items() if k.is_single}
        expected = {
            keys.JOBS: {job for job, owner in single.items() if not owner},
            keys.jobs("shop"): {job for job, owner in single.items() if owner == "shop"},
            keys.OWNERS: set(single.values()) - {""},
        }
        for status in ENDED_BADLY:
            expected[keys.ended(status)] = {j for j, k in known.items() if k.status is status}
        with self.redis.pipeline(transaction=False) as pipe:
            for key in expected:
                pipe.zrange(key, 0, -1)
            assert list(map(set, pipe.execute())) == list(expected.values())

    @invariant()
    def rates_agree(self):
        found = self.redis.hget(keys.rates(SHAPE), DEVICE) or ""
        counts = dict(pair.split(":") for pair in found.split())
        assert {int(b): int(n) for b, n in counts.items()} == getattr(self, "rates", {})
        assert self.redis.exists(keys.SHAPES) == bool(counts)

    @invariant()
    def totals_agree(self):
        known = getattr(self, "known", {}).values()
        total = Totals(self.redis).read().get("default", PoolTotals())
        ended = {status: sum(causes.values()) for status, causes in total.ended.items()}
        rows = self._rows_ended()
        assert ended == Counter(k.status for k in known if k.status.is_terminal) + rows
        attempts = total.attempts.values()
        assert sum(one.charged for one in attempts) == sum(k.charged for k in known)
        assert sum(one.free for one in attempts) == sum(k.free for k in known)
        succeeded = ended.get(JobStatus.SUCCEEDED, 0)
        assert total.stages.get("queued", StageTotals()).jobs == succeeded

    def _rows_ended(self):
        return Counter()  # those of batches that ended without a record

    @invariant()
    def outbox_agrees(self):
        known = getattr(self, "known", {})
        due = {f"job:{job}": k.told_at for job, k in known.items() if k.told_at is not None}
        assert self._index(keys.OUTBOX) == due

    @invariant()
    def idempotency_keys_end_with_their_jobs(self):
        for (owner, key), (job, _) in getattr(self, "made_by_key", {}).items():
            life = self.redis.pexpiretime(keys.job(job))
            assert self.redis.pexpiretime(keys.idempotency(owner, key)) == life

    @invariant()
    def owners_agree(self):
        live = [
            k.status
            for k in getattr(self, "known", {}).values()
            if k.owner and not k.status.is_terminal
        ]
        running = sum(status is JobStatus.RUNNING for status in live)
        counts = self.redis.hmget(keys.owner("shop"), "waiting", "running")
        assert [int(count or 0) for count in counts] == [
            len(live) - running + self._rows_waiting(),
            running,
        ]

    def _may_have_no_more(self, owner):
        waits = sum(
            k.owner == owner and k.status in {JobStatus.QUEUED, JobStatus.HELD}
            for k in self.known.values()
        )
        return owner != "" and self.limit is not None and waits >= self.limit

    def _rows_waiting(self):
        return 0  # those of batches that have no record yet

    @invariant()
    def batch_counts_agree(self):
        jobs = [known for known in getattr(self, "known", {}).values() if known.batch == "b1"]
        found = zip(JobStatus, self.redis.hmget(f"{keys.BATCH}b1", [*JobStatus]), strict=True)
        counts = {status: int(count) for status, count in found if count and int(count)}
        assert counts == Counter(known.status for known in jobs)

    @invariant()
    def events_are_numbered_without_a_gap(self):
        numbers: dict[str, list[int]] = {}
        for _, entry in self.redis.xrange(keys.EVENTS):
            about = entry.get("about", entry["job"])
            numbers.setdefault(about, []).append(int(entry["n"]))
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())

    @invariant()
    def only_few_keys_live_for_ever(self):
        eternal = {keys.NODES, keys.LEASES, keys.QUEUES, keys.EVENTS, keys.DEAD, CLOCK}
        eternal |= {keys.OWNER_LIMITS, keys.TOTALS, keys.RECOVERED}
        for key in self.redis.scan_iter():
            assert key in eternal or self.redis.pttl(key) > 0, key

    def _is_row(self, job):
        """Tell whether a job is the row of a batch, whose record is packed with those of others."""
        return row_of(job)[0] in getattr(self, "known_batches", {})

    def _holds(self, hold):
        known = self.known[hold.job_id]
        return (
            known.status is JobStatus.RUNNING
            and known.attempt == hold.attempt
            and known.worker == hold.worker
        )

    def _index(self, key):
        return {job: int(at) for job, at in self.redis.zrange(key, 0, -1, withscores=True)}

    def _rendered_ms(self, known):
        began = known.stamps.get(Phase.RENDERING)
        if began is None:
            return None
        return max(0, known.stamps.get(Phase.FETCHING, self.now) - began)

    def _tell(self, known):
        """Remember how an attempt went that fails now."""
        started = known.stamps[Phase.PREPARING]
        known.stories.append((known.attempt, started, self._rendered_ms(known)))

    def _end(self, job, status):
        known = self.known[job]
        rendered_ms = self._rendered_ms(known)
        if status is JobStatus.SUCCEEDED and rendered_ms is not None and not known.was_taken:
            octaves = math.log(max(rendered_ms, 1)) / math.log(2)
            self.rates[int(octaves * limits.BUCKETS_AN_OCTAVE)] += 1
        known.status, known.lease_until, known.retry_at = status, None, None
        known.unpacked_since = self.now
        known.told_at = self.now if known.hook else None

    def _set_clock(self):
        self.redis.set(CLOCK, self.now)
