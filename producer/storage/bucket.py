"""The bucket itself: is it there, may we write, does it keep its promises."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from typing import Any

from producer.contract.errors import BucketMissing, ObjectConflict
from producer.contract.settings import Settings, without_password
from producer.storage.object_headers import ObjectStat
from producer.storage.object_keys import probe_key
from producer.storage.s3_client import LazyClient
from producer.storage.s3_errors import NotSupported, Place, translated


class Bucket:
    """The bucket of the settings. Threads may share one; it connects at its first use."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.s3_bucket
        self.has_conditions = True  #: Until `honours_conditions` finds otherwise.
        self.checks = settings.s3_checksums == "when_supported"
        self._endpoint = without_password(settings.s3_endpoint_url or "AWS S3")
        self._prefix = settings.s3_prefix
        self._region = settings.s3_region
        self._client = LazyClient(settings)

    @property
    def s3(self) -> Any:
        """The boto3 client; use it inside `talking`."""
        return self._client.get()

    def talking(
        self, key: str | None = None, *, bucket: str | None = None
    ) -> AbstractContextManager[None]:
        """Return a block that turns boto3's errors into ours, about *key* when there is one."""
        return translated(Place(self._endpoint, bucket or self.name, key))

    def stat(self, key: str) -> ObjectStat:
        """Return what the store says of an object.

        Raises:
            ObjectMissing: nothing is there.
        """
        with self.talking(key):
            return ObjectStat.of(self.s3.head_object(Bucket=self.name, Key=key))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def probe(self) -> None:
        """Return if the bucket is there and takes a write; raise the reason otherwise."""
        with self.talking():
            # A write alone proves too little: SeaweedFS creates the bucket it misses.
            self.s3.head_bucket(Bucket=self.name)
            key = probe_key(self._prefix, name="write")
            self.s3.put_object(Bucket=self.name, Key=key, Body=b"probe")

    def honours_conditions(self) -> bool:
        """Find out whether a write under `If-None-Match: *` leaves a taken key alone, as on AWS.

        Some gateways overwrite, some refuse the header. The answer is kept: on such a store each
        write looks first, which leaves a gap only to two writers of one key at one time.
        """
        key = probe_key(self._prefix, name=f"condition-{uuid.uuid4()}")
        with self.talking(key):
            self.s3.put_object(Bucket=self.name, Key=key, Body=b"first")
        try:
            with self.talking(key):
                self.s3.put_object(Bucket=self.name, Key=key, Body=b"second", IfNoneMatch="*")
            self.has_conditions = False
        except NotSupported:
            self.has_conditions = False
        except ObjectConflict:
            self.has_conditions = True
        finally:
            with self.talking(key):
                self.s3.delete_object(Bucket=self.name, Key=key)
        return self.has_conditions

    def create_if_missing(self) -> None:
        """Create the bucket unless it is there."""
        try:
            with self.talking():
                self.s3.head_bucket(Bucket=self.name)
        except BucketMissing:
            with self.talking():
                self._create()

    def _create(self) -> None:
        # us-east-1 is the one region that S3 refuses to hear by name.
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        options = {} if self._region == "us-east-1" else elsewhere
        try:
            self.s3.create_bucket(Bucket=self.name, **options)
        except self.s3.exceptions.BucketAlreadyOwnedByYou:
            return  # another process was quicker
