"""S3 address: checks the endpoint of the S3 service and the name of the bucket."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from producer.contract.config.addresses import split_address, without_password

#: With capitals and underscores: AWS allowed them once, and other S3 services still do.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")

#: Hosts of providers whose pages show `https://BUCKET.HOST`; elsewhere a host may begin with the
#: bucket's name without being meant so.
_PROVIDERS: Final = re.compile(
    r"s3[.-].*|.*\.(amazonaws|digitaloceanspaces|backblazeb2|wasabisys|cloudflarestorage"
    r"|googleapis|linodeobjects|your-objectstorage|scw|ovh|aliyuncs)\.(com|cloud|net)(\.cn)?"
)


def check_endpoint(url: str) -> str:
    """Return the endpoint of an S3 service without a slash at its end.

    Raises:
        ValueError: it is no HTTP URL, or has credentials, a bucket or a query; the message says
            what to write.
    """
    if "@" in url:
        raise ValueError("credentials do not belong here; boto3 finds them by its own chain")
    if "://" not in url:
        raise ValueError(f"expected http://HOST:PORT or https://HOST; {_begin(url)}")
    parts = split_address(url)
    if parts.scheme == "s3":
        raise ValueError("this is a bucket; give it as COMFYFLEET_S3_BUCKET, without s3://")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(
            f"expected http://HOST:PORT or https://HOST, not {without_password(url)!r}"
        )
    if parts.query or parts.fragment:
        raise ValueError(
            "an endpoint ends after its host and path: leave off what begins with ? or #"
        )
    return url.rstrip("/")


def check_bucket(name: str) -> str:
    """Return *name* if it is a valid bucket name, or an access point's ARN.

    Raises:
        ValueError: it is neither; the message says what to write.
    """
    said = name.removeprefix("s3://").strip("/")
    bucket, _, rest = said.partition("/")
    if rest and _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"a bucket has no folders: write {bucket}, and COMFYFLEET_S3_PREFIX={rest}"
        )
    if said != name and _BUCKET.fullmatch(said):
        raise ValueError(f"expected a bucket's name alone: write {said}")
    if name.startswith("arn:"):
        return name  # an access point's, which boto3 supports
    if name.startswith(("http://", "https://")):
        raise ValueError(
            "expected a bucket's name alone; an address goes to COMFYFLEET_S3_ENDPOINT_URL"
        )
    if not _BUCKET.fullmatch(name) or ".." in name or _is_ip(name):
        raise ValueError(
            f"{name[:80]!r} is no bucket's name: 3 to 63 lower-case letters, digits, '-' and '.',"
            " a letter or digit first and last"
        )
    return name


def check_apart(endpoint: str, bucket: str) -> None:
    """Check that *endpoint* does not contain the bucket, in its path or its host.

    Raises:
        ValueError: it does, as in the examples of some providers.
    """
    parts = split_address(endpoint)
    if parts.path.rpartition("/")[2] == bucket:
        raise ValueError(f"the endpoint ends in the bucket's name: leave /{bucket} off")
    host = parts.hostname or ""
    if host.startswith(f"{bucket}.") and _PROVIDERS.fullmatch(host.removeprefix(f"{bucket}.")):
        raise ValueError(
            f"the endpoint begins with the bucket's name: leave {bucket}. off"
            " (COMFYFLEET_S3_ADDRESSING_STYLE=virtual puts it there)"
        )


def _begin(url: str) -> str:
    place = url.strip("/")
    return (
        f"write https://{place}"
        if re.fullmatch(r"[\w.:-]+(/[\w./-]*)?", place)
        else "it has no scheme"
    )


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
