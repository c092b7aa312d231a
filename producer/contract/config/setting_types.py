"""Types of single settings: what a text must be; pydantic names the variable that has another one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from producer.contract.config.allowed_origins import AllowedOrigins
from producer.contract.config.deliver_buckets import DeliverBuckets
from producer.contract.config.redis_address import RedisAddress
from producer.contract.config.s3_address import check_bucket, check_endpoint
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.submissions import LONGEST_WITHIN_S

#: Lua and JSON represent integers exactly up to here.
LARGEST: Final = 1 << 53


def _redis_url(value: str) -> str:
    RedisAddress.parse(value)
    return value


def _endpoint(value: str) -> str | None:
    return check_endpoint(value) if value else None


def _hosts(value: str) -> str:
    TrustedHosts.parse(value)
    return value


def _origins(value: str) -> str:
    AllowedOrigins.parse(value)
    return value


def _buckets(value: str) -> str:
    DeliverBuckets.parse(value)
    return value


def _prefix(value: str) -> str:
    parts = value.strip("/").split("/")
    if value and any(part in {"", ".", ".."} for part in parts):
        raise ValueError("expected a path like renders/2026 without empty or dotted parts")
    return value.strip("/")


def _region(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", value):
        raise ValueError(f"{value[:80]!r} is no region's name, as eu-central-1")
    return value


def _file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"names {str(value)[:200]}, which is no file")
    return value


#: Durations in seconds, at most ten years: no sum of two of them overflows.
Seconds = Annotated[float, Field(gt=0, le=LONGEST_WITHIN_S)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Bucket = Annotated[str, AfterValidator(check_bucket)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Region = Annotated[str, AfterValidator(_region)]
Hosts = Annotated[str, AfterValidator(_hosts)]
Origins = Annotated[str, AfterValidator(_origins)]
Buckets = Annotated[str, AfterValidator(_buckets)]
#: A path of this machine; `~` is the user's home.
OwnPath = Annotated[Path, AfterValidator(Path.expanduser)]
#: The same of a file that must be there: boto3 ignores one that does not exist, and then finds no credentials.
ReadFile = Annotated[OwnPath, AfterValidator(_file)]
