"""Input storage: stores input files in S3, and checks `s3://` and `node:` inputs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from producer.contract.classes.files import FileInput, base_name, check_file_name, split_annotation
from producer.contract.config.s3_address import check_bucket
from producer.contract.config.settings import Settings
from producer.contract.errors import BucketMissing, InvalidInput, ObjectMissing, StorageError
from producer.contract.graph.json_values import printable, short
from producer.contract.jobs import InputFile
from producer.intake.fetch_limits import FetchUse
from producer.intake.files import InputLike, check_content, check_given
from producer.intake.input_forms import (
    ArtifactInput,
    BytesInput,
    S3Input,
    UploadInput,
    UrlInput,
    input_form,
)
from producer.intake.input_policy import InputPolicy
from producer.intake.named_inputs import NamedInputs
from producer.storage.object_keys import split_s3_url
from producer.storage.object_store import ObjectStore

#: Characters of an `s3://` or `node:` input; S3 allows keys of 1,024 bytes.
_LONGEST_URL: Final = 1_100
#: After a request for an object's size failed, none is made for so long, s.
_BLIND_S: Final = 60.0
#: URLs that other ComfyUI wrappers accept as inputs, and the advice for them.
_SCHEME: Final = re.compile(r"(?P<scheme>https?|data):", re.IGNORECASE)
_FETCHED: Final = (
    'from Python, hand it in as {"url": "https://..."}; else download it and hand in the file, or put it '
    "into a bucket: s3://BUCKET/KEY"
)
_INSTEAD: Final = {
    "http": _FETCHED,
    "https": _FETCHED,
    "data": "decode it and hand in the bytes, or a file that holds them",
}


class InputStorage:
    """Stores files under their content's hash; of `s3://` inputs it checks name and size, of `node:` the name."""

    def __init__(
        self, settings: Settings, objects: ObjectStore, policy: InputPolicy, named: NamedInputs
    ) -> None:
        self._settings = settings
        self._named = named
        self._policy = policy
        self._objects = objects
        self._store_is_known = False
        self._blind_until = 0.0

    def take(
        self, file: FileInput, value: InputLike, *, owner: str, fetched: FetchUse
    ) -> InputFile:
        """Check an input file, store it in S3 if it is a path, bytes or a URL, and return where it is.

        Args:
            owner: for whom the job is; whose uploads and artifacts it may read.
            fetched: what was fetched for the same request before.

        Raises:
            InvalidInput: the graph node cannot load it, or the policy forbids it.
            StorageError: S3 failed.
            TooManyRequests: as many files are being fetched as may be.
        """
        where = f"inputs.{file.graph_node}.{file.input}"
        check_given(value, file, where)
        if isinstance(value, Mapping):
            return self._take_form(value, file, where, owner, fetched)
        return self._take_plain(value, file, where)

    def _take_form(
        self,
        value: Mapping[str, Any],
        file: FileInput,
        where: str,
        owner: str,
        fetched: FetchUse,
    ) -> InputFile:
        name, form = input_form(value, where, limit=self._settings.max_input_bytes)
        self._policy.check_form(name, file, where)
        where = f"{where}.{name}"
        match form:
            case UrlInput():
                turn = self._policy.fetching(owner, fetched)
                with self._named.fetched(form, file, where, turn) as (path, called):
                    return self._stored(path, file, where, name=called or path.name)
            case BytesInput():
                return self._stored(form.content, file, where)
            case UploadInput():
                return self._named.uploaded(form, file, where, owner=owner)
            case ArtifactInput():
                return self._named.made(form, file, where, owner=owner)
            case S3Input():
                return self._take_plain(form.url, file, where)

    def _take_plain(self, value: str | Path | bytes, file: FileInput, where: str) -> InputFile:
        value = self._policy.checked(value, file, where)
        if isinstance(value, str) and value.startswith("node:"):
            name = value.removeprefix("node:") or file.value
            check_file_name(split_annotation(name)[0], field=where)
            if len(name) > _LONGEST_URL:
                raise InvalidInput(
                    f"{short(name)!r} has {len(name):,} characters; the limit is {_LONGEST_URL:,}",
                    field=where,
                    graph_node=file.graph_node,
                )
            return InputFile(source=f"node:{name}", name=name)
        if isinstance(value, str) and value.startswith("s3://"):
            self._check_object(value, file, where)
            return InputFile(source=value, name=value.rpartition("/")[2])
        if isinstance(value, str) and (found := _SCHEME.match(value)):
            raise InvalidInput(
                f"{short(value)!r} for graph node {printable(file.graph_node)} is a "
                f"{found['scheme'].lower()}: address, which is not fetched",
                field=where,
                graph_node=file.graph_node,
                advice=_INSTEAD[found["scheme"].lower()],
            )
        return self._stored(value if isinstance(value, bytes) else Path(value), file, where)

    def _stored(
        self, content: Path | bytes, file: FileInput, where: str, *, name: str = ""
    ) -> InputFile:
        size = check_content(
            content,
            file,
            where,
            limit=self._settings.max_input_bytes,
            most_pixels=self._settings.max_input_pixels,
            called=name,
        )
        if not self._store_is_known:
            # Some S3 services create a bucket at the first write, which would hide a misspelt name.
            self._objects.probe()
            self._store_is_known = True
        key = self._objects.put_input(content)
        if not name:
            name = content.name if isinstance(content, Path) else base_name(file.value)
        return InputFile(source=key, name=name, sha256=key.rpartition("/")[2], bytes=size)

    def _check_object(self, url: str, file: FileInput, where: str) -> None:
        """Raise InvalidInput for an `s3://` input that is missing, empty or too large.

        If its size cannot be read, it is accepted: workers may have rights that the producer lacks.
        """

        def refused(why: str) -> InvalidInput:
            return InvalidInput(
                f"{short(url)!r} for graph node {printable(file.graph_node)} {why}",
                field=where,
                graph_node=file.graph_node,
            )

        if flaw := _flaw(url):
            raise refused(flaw)
        if time.monotonic() < self._blind_until:
            return
        try:
            size = self._objects.size_of(url)
        except (ObjectMissing, BucketMissing):
            raise refused("is not there") from None
        except InvalidInput:
            return  # access is denied here; workers may have it
        except StorageError:
            self._blind_until = time.monotonic() + _BLIND_S
            return
        if not size:
            raise refused("is empty")
        if size > (limit := self._settings.max_input_bytes):
            raise refused(
                f"has {size:,} bytes; the limit is {limit:,} (COMFYFLEET_MAX_INPUT_BYTES)"
            )


def _flaw(url: str) -> str | None:
    """Return what is wrong with an `s3://` URL, or None."""
    try:
        bucket, _ = split_s3_url(url)
    except ValueError:
        return "is not of the form s3://BUCKET/KEY"
    if len(url) > _LONGEST_URL:
        return f"has {len(url):,} characters; the limit is {_LONGEST_URL:,}"
    try:
        check_bucket(bucket)
    except ValueError as exc:
        return f"is in no bucket: {exc}"
    return None
