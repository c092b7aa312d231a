"""What is said about an object beside its bytes."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, unquote

#: What a browser shows and never runs; all else is sent as a download.
_SHOWN: Final = re.compile(
    r"(video|audio)/[a-z0-9.+-]+"
    r"|image/(png|apng|jpeg|gif|webp|avif|bmp|tiff)"
    r"|text/plain|application/json"
)

#: Printable ASCII but for the escape sign. Blanks are escaped too: signing folds double ones.
_PLAIN: Final = "".join(sign for sign in string.punctuation if sign != "%")

#: Characters of one value of our own: a long graph node id leaves room for the job's metadata.
_LONGEST_VALUE: Final = 360

#: S3 allows 2 KB for all names and values of an object's metadata, and refuses the object beyond.
#: Some S3 services count the prefix of each name, so we do. The record and the manifest have all of it.
_MOST_BYTES: Final = 2048
_PREFIX_BYTES: Final = len("x-amz-meta-")

#: A name becomes a part of a header's name. S3 services and proxies drop some that HTTP allows, `%` among
#: them, so bytes are escaped as `.c3`, and a dot that would look so.
_ODD_IN_NAMES: Final = re.compile(rb"[^a-z0-9_.-]|\.(?=[0-9a-f]{2})")
_ESCAPED_IN_NAMES: Final = re.compile(rb"\.([0-9a-f]{2})")

_CUT_ESCAPE: Final = re.compile(r"%.?$")
_NOT_QUOTABLE: Final = re.compile(r'[^ -~]|["\\%]')


@dataclass(frozen=True)
class ObjectStat:
    """What the S3 service says of an object; `sha256` is what was noted when we put it, if it was us."""

    bytes: int
    sha256: str | None
    media_type: str
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read boto3's answer to HEAD or GET."""
        metadata = decode_metadata(answer.get("Metadata", {}))
        return cls(
            bytes=answer["ContentLength"],
            sha256=metadata.pop("sha256", None),
            media_type=answer.get("ContentType", "application/octet-stream"),
            metadata=metadata,
        )


def encode_metadata(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Return metadata as S3 carries it: ASCII, other characters of values percent-encoded as UTF-8.

    Empty values are left out, as not every S3 service keeps them; so is what of *theirs* does not fit
    into the 2 KB that S3 allows, or has a name of ours.

    Args:
        ours: what the fleet says; values are cut at 360 characters.
        theirs: what the submitter says.
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
    """Return what `encode_metadata` was given, under lower-case names: some S3 services change them."""
    return {_text(name): unquote(value) for name, value in metadata.items()}


def content_disposition(name: str, *, media_type: str) -> str:
    """Return the header by which a browser shows the file, or only saves what it could run.

    The name is given twice (RFC 6266): in ASCII for old clients, and in UTF-8.
    """
    kind = "inline" if _SHOWN.fullmatch(media_type.partition(";")[0].strip()) else "attachment"
    plain = _NOT_QUOTABLE.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


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
