"""Object headers: an object's metadata and Content-Disposition, encoded and decoded."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Self
from urllib.parse import quote, unquote

#: Media types that a browser shows without executing anything; all others are sent as downloads.
_SHOWN: Final = re.compile(
    r"(video|audio)/[a-z0-9.+-]+"
    r"|image/(png|apng|jpeg|gif|webp|avif|bmp|tiff)"
    r"|text/plain|application/json"
)

#: Characters that are not escaped: ASCII punctuation except `%`. Blanks are: signing folds double ones.
_PLAIN: Final = "".join(sign for sign in string.punctuation if sign != "%")

#: Characters of one value of the fleet's own, so that a long graph node id leaves room for others.
_LONGEST_VALUE: Final = 360

#: S3 allows 2 KB for all names and values of an object's metadata, and refuses an object with more.
#: The prefix of each name is counted, as by some S3 services. Record and manifest have all metadata.
_MOST_BYTES: Final = 2048
_PREFIX_BYTES: Final = len("x-amz-meta-")

#: A name becomes a part of a header's name. S3 services and proxies drop some characters that HTTP
#: allows, as `%`, so bytes are escaped as `.c3`, and so is a dot before two hex digits.
_ODD_IN_NAMES: Final = re.compile(rb"[^a-z0-9_.-]|\.(?=[0-9a-f]{2})")
_ESCAPED_IN_NAMES: Final = re.compile(rb"\.([0-9a-f]{2})")

#: Characters of the name that a download gets: twelve bytes each, at most, in UTF-8 and escaped.
_LONGEST_FILE_NAME: Final = 200
_LONGEST_SUFFIX: Final = 20

_CUT_ESCAPE: Final = re.compile(r"%.?$")
_NOT_QUOTABLE: Final = re.compile(r'[^ -~]|["\\%]')


@dataclass(frozen=True)
class ObjectStat:
    """The facts of an object; `sha256` is from its metadata, None if the fleet did not store it."""

    bytes: int
    sha256: str | None
    media_type: str
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return the facts in boto3's answer to HEAD or GET."""
        metadata = decode_metadata(answer.get("Metadata", {}))
        return cls(
            bytes=answer["ContentLength"],
            sha256=metadata.pop("sha256", None),
            media_type=answer.get("ContentType", "application/octet-stream"),
            metadata=metadata,
        )


def encode_metadata(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Return metadata as S3 stores it: ASCII, with other characters of values percent-encoded.

    Empty values are left out, as not every S3 service keeps them; so are those of *theirs* that do
    not fit into S3's 2 KB, or have a name of *ours*.

    Args:
        ours: the fleet's own; values are cut at 360 characters.
        theirs: the submitter's.
    """
    encoded = {_name(name): _cut(_value(value)) for name, value in ours.items() if value}
    left = _MOST_BYTES - sum(map(_size, encoded.items()))
    for name, value in theirs.items():
        entry = _name(name), _value(value)
        if not all(entry) or entry[0] in encoded or _size(entry) > left:
            continue
        encoded[entry[0]] = entry[1]
        left -= _size(entry)
    return encoded


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that `encode_metadata` was given, with lower-case names: S3 may change case."""
    return {_text(name): unquote(value) for name, value in metadata.items()}


def content_disposition(name: str, *, media_type: str) -> str:
    """Return the header Content-Disposition: `inline` for media types safe to show, else `attachment`.

    The name is given twice (RFC 6266): in ASCII for old clients, and in UTF-8. It is the last part of
    a path, cut at 200 characters: S3 refuses more than 8 kB of headers.
    """
    name = _file_name(name)
    kind = "inline" if _SHOWN.fullmatch(media_type.partition(";")[0].strip()) else "attachment"
    plain = _NOT_QUOTABLE.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _file_name(path: str) -> str:
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    if len(name) <= _LONGEST_FILE_NAME:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix) > _LONGEST_SUFFIX:
        suffix = ""
    return f"{name[: _LONGEST_FILE_NAME - len(suffix)]}{suffix}"


def _name(text: str) -> str:
    return _ODD_IN_NAMES.sub(lambda odd: b".%02x" % odd[0][0], text.lower().encode()).decode()


def _text(name: str) -> str:
    plain = _ESCAPED_IN_NAMES.sub(lambda found: bytes([int(found[1], 16)]), name.lower().encode())
    return plain.decode(errors="replace")


def _value(text: str) -> str:
    return quote(text, safe=_PLAIN)


def _size(entry: tuple[str, str]) -> int:
    return _PREFIX_BYTES + len(entry[0]) + len(entry[1])


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else _CUT_ESCAPE.sub("", value[:_LONGEST_VALUE])
