"""Jobs that render for as long as a test says, by a clock that it moves."""

from __future__ import annotations

from datetime import timedelta

from producer.contract.ids import new_job_id, prompt_id
from producer.contract.jobs import Phase
from producer.contract.queues import Needs
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.job_store import JobStore
from producer.store.rates import Rates
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps

SHAPE = "0123456789abcdef"
CLOCK = "test:clock"
LEASE = timedelta(hours=10)


class ClockedFleet:
    """A store, and the hand of a worker."""

    def __init__(self, redis):
        self.redis = redis
        scripts = Scripts(redis, clock_lua=f"return tonumber(redis.call('GET', '{CLOCK}'))")
        self.store = JobStore(redis, keep_ended=timedelta(days=7), scripts=scripts)
        self.sweeps = Sweeps(redis, keep_ended=timedelta(days=7), scripts=scripts)
        self.rates = Rates(redis)
        self.redis.set(CLOCK, 4_000_000_000_000)
        self.runs_on("gpu-01", "RTX 4090")

    def runs_on(self, node, device):
        self.redis.hset(keys.node(node), "device", device)
        self.redis.expire(keys.node(node), 60)

    def pass_s(self, seconds):
        self.redis.incrby(CLOCK, round(seconds * 1000))

    @property
    def now(self):
        return int(self.redis.get(CLOCK))

    def claimed(self, *, shape=SHAPE, node="gpu-01"):
        job = new_job_id()
        long = timedelta(days=1)
        self.store.add(
            Submission(
                template="0" * 64,
                needs=Needs.of("default"),
                start_within=long,
                run_within=long,
                shape=shape,
                id=job,
            ),
            graph=b"{}",
        )
        return self._claimed(Hold(job, 1, "w"), node)

    def claimed_again(self, hold, *, node="gpu-01"):
        return self._claimed(Hold(hold.job_id, hold.attempt + 1, "w"), node)

    def rendering(self, **options):
        hold = self.claimed(**options)
        self.pass_s(3)
        self.store.note(hold, phase=Phase.RENDERING)
        return hold

    def _claimed(self, hold, node):
        job, attempt = hold.job_id, hold.attempt
        self.store.claim(
            job,
            attempt=attempt,
            node=node,
            worker=hold.worker,
            lease=LEASE,
            prompt_id=prompt_id(job, attempt),
        )
        return hold

    def stored(self, hold, **options):
        self.store.note(hold, phase=Phase.FETCHING)
        self.pass_s(5)
        node = self.redis.hget(keys.job(hold.job_id), "node")
        device = self.redis.hget(keys.node(node), "device") or ""
        self.store.commit(hold, artifacts=[], values={}, device=device, **options)

    def render(self, seconds, **options):
        hold = self.rendering(**options)
        self.pass_s(seconds)
        self.stored(hold)

    def counts(self, shape=SHAPE):
        return self.redis.hgetall(keys.rates(shape))
