"""Write proof: whether a store's answer to a write proves which bytes it has taken.

Two answers prove it. Either the ETag is the MD5 of the bytes, which was not sent with them, so that the
store must have computed it (AWS without KMS, Ceph RGW, SeaweedFS, moto). Or the digest that was sent
comes back, as SHA-256 or as an ETag, from a store that was seen to refuse a wrong one: some repeat
whatever they are told (moto 5.2 takes any SHA-256). All else is no proof, and the object is looked at.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from producer.storage.content_md5 import md5_header, md5_of


@dataclass(frozen=True)
class WriteProof:
    """What was sent with a whole body, and what its answer has to say.

    Args:
        sha256: of the body, hexadecimal.
        sent_md5: the body's MD5 in base64, if it was sent; else the SHA-256 was.
        is_compared: whether the store is known to refuse a wrong digest; called only where it matters.
    """

    sha256: str
    sent_md5: str | None
    is_compared: Callable[[], bool]

    def holds(self, answer: Mapping[str, Any], body: bytes | BinaryIO) -> bool:
        """Tell whether *answer* proves that just *body* was stored; a file is read from its begin."""
        if self._comes_back(answer) and self.is_compared():
            return True
        return self.sent_md5 is None and _etag(answer) == md5_of(body).hex()

    def _comes_back(self, answer: Mapping[str, Any]) -> bool:
        if self.sent_md5 is not None:
            return _etag(answer) == base64.b64decode(self.sent_md5).hex()
        sent = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        return bool(answer.get("ChecksumSHA256") == sent)


def wrong_digest(*, sha256: bool) -> dict[str, str]:
    """Return the digest of a body that nobody sends, as boto3's argument: its SHA-256, or its MD5."""
    body = b"another body"
    if not sha256:
        return md5_header(body)
    return {"ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode()}


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"').lower()
