"""Content-MD5: the header by which every S3 service, also an old one, checks a request's body."""

from __future__ import annotations

import base64
import hashlib
from typing import BinaryIO


def md5_header(body: bytes | BinaryIO) -> dict[str, str]:
    """Return Content-MD5 as boto3's argument, for a request without a newer checksum.

    Buckets with Object Lock require one of the two.
    """
    return {"ContentMD5": base64.b64encode(md5_of(body)).decode()}


def md5_of(body: bytes | BinaryIO) -> bytes:
    """Return the MD5 of *body*; a file is read from its position to its end, and its position restored."""
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes):
        digest.update(body)
    else:
        start = body.tell()
        while chunk := body.read(256 << 10):
            digest.update(chunk)
        body.seek(start)
    return digest.digest()
