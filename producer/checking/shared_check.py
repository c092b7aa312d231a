"""Are the contents in the bucket that manifests name: templates, and extra data, each looked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final

from producer.contract.errors import ObjectMissing
from producer.contract.manifests import MANIFEST_VERSION
from producer.storage.inventory import Inventory
from producer.storage.object_keys import extra_data_key, template_key

_KEYS: Final[dict[str, Callable[..., str]]] = {
    "template": template_key,
    "extra_data": extra_data_key,
}


class SharedCheck:
    """Reads each content that jobs share once, however many manifests name it. Threads may share one."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._seen: set[str] = set()
        self._lock = Lock()

    def problems(self, manifest: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
        """Yield key, kind of flaw and sentence for each content that is not as its name promises.

        Args:
            prefix: of the manifest's own key; version 1 names no content that is in the bucket.

        Raises:
            StorageUnreachable, BucketMissing, BucketForbidden: the S3 service as a whole failed.
        """
        version = manifest.get("version")
        if not isinstance(version, int) or version < MANIFEST_VERSION:
            return
        for field, key_of in _KEYS.items():
            sha256 = manifest.get(field)
            key = key_of(prefix, sha256=sha256) if sha256 else ""
            if key and self._is_first(key) and (problem := self._problem(key, sha256)):
                yield key, *problem

    def _problem(self, key: str, sha256: str) -> tuple[str, str] | None:
        try:
            found = self._inventory.digest(key).sha256
        except ObjectMissing:
            return "missing", f"{key} is not in the bucket"
        if found == sha256:
            return None
        return "differs", f"{key} has SHA-256 {found}, not that of its name"

    def _is_first(self, key: str) -> bool:
        with self._lock:
            is_first = key not in self._seen
            self._seen.add(key)
        return is_first
