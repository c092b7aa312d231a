"""Rules that real providers have, for `faulty_store`: each says what is answered in a store's place."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Refusal:
    """An answer with a code, as S3 gives it; without one, a web server's."""

    status: int
    code: str
    more: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self):
        if not self.code:
            return b"Bad Request"
        return (
            f"<Error><Code>{self.code}</Code><Message>Said by the rule.</Message>{self.more}</Error>"
        ).encode()


DENIED = Refusal(403, "AccessDenied")


def no_conditions(status, code):
    """Backblaze B2 and Alibaba OSS answer 501, others 405 or 400."""
    return lambda request: Refusal(status, code) if request.headers.get("If-None-Match") else None


def no_conditions_for_parts(request):
    is_conditional = request.headers.get("If-None-Match")
    return Refusal(501, "NotImplemented") if is_conditional and request.command == "POST" else None


def no_checksums(request):
    """GCS and NetApp reckon another signature for requests with newer checksums."""
    is_new = any(name.lower().startswith("x-amz-checksum") for name in request.headers)
    return Refusal(403, "SignatureDoesNotMatch") if is_new else None


def object_lock(request):
    """A bucket with Object Lock takes no write without a checksum of either kind."""
    names = {name.lower() for name in request.headers}
    is_checked = "content-md5" in names or any(name.startswith("x-amz-checksum") for name in names)
    is_write = request.command == "PUT" and "uploads" not in request.path
    return Refusal(400, "InvalidRequest") if is_write and not is_checked else None


def no_deleting(request):
    return DENIED if request.command == "DELETE" else None


def no_head(status):
    return lambda request: Refusal(status, "") if request.command == "HEAD" else None


def no_listing(bucket, keys):
    """Without s3:ListBucket, AWS says "forbidden" also of keys that are not there."""

    def rule(request):
        path = request.path.partition("?")[0].strip("/")
        if request.command not in {"HEAD", "GET"}:
            return None
        return None if path.removeprefix(f"{bucket}/") in keys() else DENIED

    return rule


def known_as(access_key, code, status=400):
    """Only requests that are signed with *access_key* are let in."""
    return lambda request: (
        None if access_key in request.headers.get("Authorization", "") else Refusal(status, code)
    )


def all_of(*rules):
    return lambda request: next(filter(None, (rule(request) for rule in rules)), None)
