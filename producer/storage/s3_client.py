"""S3 client (boto3): made at first use, with the project's timeouts, retries and checksums."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from producer.contract.config.settings import Settings, without_password
from producer.contract.errors import InvalidSettings
from producer.storage.put_object import send_bodies_at_once

CONNECT_TIMEOUT_S: Final = 3
READ_TIMEOUT_S: Final = 30  #: Between two bytes, not for a whole answer; boto3's default is 60 s.

#: A worker has eight threads, each of which may send four files at once, in two parts at once.
_CONNECTIONS: Final = 64

#: Tries of a request. boto3's own retry is used, not a second one around it: it knows which answers
#: are temporary (5xx, SlowDown, resets), rewinds a half-sent body, and waits with jitter. Few tries,
#: because the worker retries storing for far longer, and must notice that an S3 service is down.
_TRIES: Final = 3


#: Of each file: time of modification, bytes, inode; None while it does not exist.
_Stamps = tuple[tuple[int, int, int] | None, ...]


class LazyClient:
    """A boto3 client that is made at first use. Thread-safe.

    boto3 takes 0.3 s to import, which commands without S3 should not wait for. A new client is made
    when a credentials file has changed: boto3 itself reads it only once.

    Args:
        endpoint: in place of the settings' own.
    """

    def __init__(self, settings: Settings, *, endpoint: str | None = None) -> None:
        self._settings = settings
        self._endpoint = endpoint or settings.s3_endpoint_url
        self._checksums = settings.s3_checksums
        self._lock = Lock()
        self._client: Any = None
        self._files: tuple[Path, ...] = ()
        self._read: _Stamps = ()

    def get(self) -> Any:
        """Return the client, which is thread-safe.

        Raises:
            InvalidSettings: the endpoint is no URL.
        """
        with self._lock:  # making one is not thread-safe
            if self._client is None or self._has_news():
                self._client = self._made()
            return self._client

    def renew(self) -> None:
        """Read the credentials again before the next use; running requests are not affected."""
        with self._lock:
            self._client = None

    def do_without_checksums(self) -> None:
        """Send newer checksums only with requests that require one, from the next use on."""
        self._checksums = "when_required"
        self.renew()

    def close(self) -> None:
        """Close its connections; the next use makes a new client."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _has_news(self) -> bool:
        """Tell whether a file has changed; one that is missing is just being replaced."""
        return any(
            now is not None and now != then
            for now, then in zip(_stamps(self._files), self._read, strict=True)
        )

    def _made(self) -> Any:
        import boto3  # noqa: PLC0415 - see the class
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        botocore_session = Session()
        if self._settings.s3_credentials_file is not None:
            path = str(self._settings.s3_credentials_file)
            botocore_session.set_config_variable("credentials_file", path)
        files = tuple(
            Path(str(botocore_session.get_config_variable(name))).expanduser()
            for name in ("credentials_file", "config_file")
        )
        read = _stamps(files)
        try:
            client = boto3.Session(botocore_session=botocore_session).client(
                "s3",
                endpoint_url=self._endpoint,
                region_name=self._settings.s3_region,
                config=self._config(),
            )
        except ValueError as exc:
            raise InvalidSettings(
                "COMFYFLEET_S3_ENDPOINT_URL: expected http://HOST:PORT or https://...,"
                f" not {without_password(self._endpoint or '')!r}"
            ) from exc
        except BotoCoreError:
            if self._client is None:
                raise
            return self._client  # the file is half written; it is read again at the next use
        send_bodies_at_once(client)
        self._files, self._read = files, read
        return client

    def _config(self) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        return Config(
            signature_version="s3v4",  # by default presigned URLs are signed by the old SigV2
            s3={"addressing_style": self._settings.s3_addressing_style},
            request_checksum_calculation=self._checksums,
            response_checksum_validation=self._checksums,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            tcp_keepalive=True,
            # A proxy from the environment cannot reach this machine's loopback address.
            proxies={} if _is_loopback(self._endpoint) else None,
        )


def _stamps(files: tuple[Path, ...]) -> _Stamps:
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url or "").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
