"""The boto3 client as this project wants it."""

from __future__ import annotations

from ipaddress import ip_address
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from producer.contract.settings import InvalidSettings, Settings, without_password

CONNECT_TIMEOUT_S: Final = 3
READ_TIMEOUT_S: Final = 30  #: A silence, not a whole answer. boto3's own 60 s is a long stall.

#: A worker has eight threads, each of which may send two files at once, in two parts at once.
_CONNECTIONS: Final = 32

#: Tries a request. boto3's own retry is used, not a second one around it: it knows which answers
#: are passing (5xx, SlowDown, resets), rewinds a body that was half sent, and waits with jitter.
#: Few, because the worker retries storing itself, for far longer, and must see that a store is down.
_TRIES: Final = 3


class LazyClient:
    """A boto3 client that is made when first asked for, once, whichever thread asks.

    boto3 takes 0.3 s to import, which a command that stores nothing should not wait for.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._client: Any = None

    def get(self) -> Any:
        """Return the client; many threads may use it at once.

        Raises:
            InvalidSettings: the endpoint is no URL.
        """
        with self._lock:  # making one is not thread-safe
            if self._client is None:
                self._client = _make_client(self._settings)
            return self._client

    def close(self) -> None:
        """Close its connections; the next use makes a new client."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _make_client(settings: Settings) -> Any:
    import boto3  # noqa: PLC0415 - see LazyClient
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    botocore_session = Session()
    if settings.s3_credentials_file is not None:
        path = str(settings.s3_credentials_file)
        botocore_session.set_config_variable("credentials_file", path)
    config = Config(
        signature_version="s3v4",  # otherwise presigned URLs come out in the old SigV2
        s3={"addressing_style": settings.s3_addressing_style},
        request_checksum_calculation=settings.s3_checksums,
        response_checksum_validation=settings.s3_checksums,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        tcp_keepalive=True,
        # A proxy for the outside world cannot reach our own loopback address.
        proxies={} if _is_loopback(settings.s3_endpoint_url) else None,
    )
    try:
        return boto3.Session(botocore_session=botocore_session).client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            config=config,
        )
    except ValueError as exc:
        raise InvalidSettings(
            "COMFYFLEET_S3_ENDPOINT_URL: expected http://HOST:PORT or https://...,"
            f" not {without_password(settings.s3_endpoint_url or '')!r}"
        ) from exc


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url or "").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
