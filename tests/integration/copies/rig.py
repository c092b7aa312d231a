"""A bucket for copies, and the copier of a worker."""

from __future__ import annotations

from producer.store import keys
from tests.integration.hand_led import HandLed, hold
from worker.copies.copier import Copier, copier_of


class Shop:
    """A bucket for copies, and a worker's copier."""

    def __init__(self, led: HandLed, bucket: str) -> None:
        self.led, self.bucket = led, bucket
        self.copier = self.with_settings()

    def with_settings(self, **settings: object) -> Copier:
        given = self.led.settings.model_copy(update=settings)
        return copier_of(given, self.led.redis, self.led.store, folder=lambda: None)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def made(self, *contents: bytes, media_type="image/png", name=None, **deliver):
        """Have a job make files, and its copies made; return it."""
        job = self.led.running(
            self.led.queued(deliver={"to": self.url("{job}-{n}{ext}"), **deliver})
        )
        artifacts = [self.led._stored(job, n, content) for n, content in enumerate(contents)]
        update = {"media_type": media_type, **({"name": name} if name else {})}
        artifacts = [artifact.model_copy(update=update) for artifact in artifacts]
        self.led.store.commit(hold(job), artifacts=artifacts, values={})
        self.work()
        return self.led.fleet.get(job.id)

    def work(self) -> None:
        """Make what is due."""
        while not self.copier.make_next():
            pass

    def hurry(self, job_id: str) -> None:
        """Have a job's copies be due now."""
        self.led.redis.zadd(keys.COPIES, {job_id: 1}, xx=True)
        self.copier._copying.troubles.clear()

    def keys(self) -> set[str]:
        found = self.led.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return {entry["Key"] for entry in found}

    def get(self, key: str) -> bytes:
        return self.led.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
