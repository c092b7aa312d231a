"""Content-MD5: the header by which any S3 service, old ones too, checks what arrives."""

from __future__ import annotations

import base64
import hashlib
from typing import BinaryIO


def md5_header(body: bytes | BinaryIO) -> dict[str, str]:
    """Return Content-MD5 for a request without a newer checksum, in boto3's words.

    Buckets with Object Lock take no write without one of the two. A file is read from where it
    stands and left there.
    """
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes):
        digest.update(body)
    else:
        start = body.tell()
        while chunk := body.read(256 << 10):
            digest.update(chunk)
        body.seek(start)
    return {"ContentMD5": base64.b64encode(digest.digest()).decode()}
