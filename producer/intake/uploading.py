"""Uploads: files that an owner hands in before the jobs that read them."""

from __future__ import annotations

from pathlib import Path

from producer.contract.classes.files import FileInput
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidInput, InvalidJob
from producer.contract.graph.json_values import text_flaw
from producer.contract.owners import owner_flaw
from producer.contract.uploads import Upload
from producer.intake.files import check_content
from producer.storage.object_store import ObjectStore
from producer.store.uploads import Uploads

_LONGEST_NAME = 200


class Uploading:
    """Stores uploads; what a graph node can load is looked at when a job names one."""

    def __init__(self, settings: Settings, objects: ObjectStore, uploads: Uploads) -> None:
        self._settings = settings
        self._objects = objects
        self._uploads = uploads
        self._store_is_known = False

    def upload(self, content: Path | bytes, *, owner: str, name: str) -> Upload:
        """Store a file for an owner; all as of `Producer.upload`."""
        if not isinstance(content, bytes | Path):
            raise InvalidInput(
                f"content must be bytes or a Path, not {type(content).__name__}", field="content"
            )
        if flaw := owner_flaw(owner):
            raise InvalidJob(f"owner {flaw}", field="owner")
        if flaw := text_flaw(name):
            raise InvalidJob(f"name {flaw}", field="name")
        size = check_content(
            content,
            FileInput("", "", name),
            "content",
            limit=self._settings.max_input_bytes,
            most_pixels=self._settings.max_input_pixels,
            called=name,
        )
        if not self._store_is_known:
            # Some S3 services create a bucket at the first write, which would hide a misspelt name.
            self._objects.probe()
            self._store_is_known = True
        key = self._objects.put_input(content)
        called = name or (content.name if isinstance(content, Path) else "")
        upload = Upload(
            id=key.rpartition("/")[2], owner=owner, name=called[-_LONGEST_NAME:], bytes=size
        )
        self._uploads.add(upload)
        return upload
