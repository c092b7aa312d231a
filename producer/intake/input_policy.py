"""Input policy: which paths, buckets and node files inputs may name, for servers with untrusted clients."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from producer.contract.classes.files import FileInput
from producer.contract.errors import InvalidInput
from producer.contract.graph.json_values import printable, short
from producer.intake.fetch_limits import FETCHED_WITHIN_S, FetchLimits, FetchUse
from producer.storage.object_keys import split_s3_url

_NODE: Final = "node:"
_S3: Final = "s3://"


@dataclass(frozen=True, kw_only=True)
class InputPolicy:
    """Which files an `InputLike` may name; bytes are always allowed.

    Without a policy a producer reads any file that its user can read: right for a command line,
    wrong for a server that passes on requests of untrusted clients.

    Args:
        folders: files below them are allowed, after resolving symlinks; None: any folder.
        buckets: objects in them are allowed; None: any bucket.
        node_files: whether `node:NAME`, a file that the nodes have already, is allowed.
        forms: which forms are allowed, as `url`; None: all of them, the bucket of `s3` if it is listed.
        fetches: what `url` may take of this process; None: no limit but 60 s a file.
    """

    folders: Collection[str | Path] | None = None
    buckets: Collection[str] | None = None
    node_files: bool = True
    forms: Collection[str] | None = None
    fetches: FetchLimits | None = None

    @classmethod
    def bytes_only(cls) -> Self:
        """Return the policy that allows only bytes."""
        return cls(folders=(), buckets=(), node_files=False, forms=())

    @classmethod
    def forms_only(cls, *, buckets: Collection[str] = ()) -> Self:
        """Return the policy for strangers: bytes and forms, and of buckets only those that are listed."""
        return cls(folders=(), buckets=buckets, node_files=False, fetches=FetchLimits())

    def check_form(self, name: str, file: FileInput, where: str) -> None:
        """Raise InvalidInput if a form is not allowed."""
        if self.forms is not None and name not in self.forms:
            raise _refusal(f"{{{name!r}: ...}}", file, where, "a form")

    def fetching(self, owner: str, use: FetchUse) -> AbstractContextManager[float]:
        """Return a block in which a file may be fetched for an owner: for so many seconds, as it gives.

        Raises, when it is entered, as `FetchLimits.turn` does.
        """
        return self.fetches.turn(owner, use) if self.fetches else nullcontext(FETCHED_WITHIN_S)

    def checked(self, value: str | Path | bytes, file: FileInput, where: str) -> str | Path | bytes:
        """Return *value* if it is allowed; a path with symlinks resolved.

        The refusal of a file outside the folders does not tell whether it exists.

        Raises:
            InvalidInput: it is not allowed.
        """
        if isinstance(value, bytes):
            return value
        text = str(value)
        is_text = isinstance(value, str)
        if is_text and text.startswith(_NODE):
            if not self.node_files:
                raise _refusal(text, file, where, "a file of the nodes")
            return value
        if is_text and text.startswith(_S3):
            if self.buckets is not None and _bucket(text) not in self.buckets:
                raise _refusal(text, file, where, "an object of a bucket")
            return value
        return value if self.folders is None else self._below(text, file, where)

    def _below(self, path: str, file: FileInput, where: str) -> Path:
        found = _real(Path(path))
        folders = [Path(folder).resolve() for folder in self.folders or ()]
        if found is None or not any(map(found.is_relative_to, folders)):
            raise _refusal(path, file, where, "a file of a folder")
        return found


def _refusal(value: str, file: FileInput, where: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"{short(value)!a} for graph node {printable(file.graph_node)} is {what} that this producer "
        "does not read",
        field=where,
        graph_node=file.graph_node,
        advice="hand in the file's bytes, or what the InputPolicy of this producer lists",
    )


def _bucket(url: str) -> str | None:
    try:
        return split_s3_url(url)[0]
    except ValueError:
        return None


def _real(path: Path) -> Path | None:
    """Return *path* with symlinks resolved; None if that fails, as for a cycle of them."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None
