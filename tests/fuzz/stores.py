"""Redis and S3 for one run, empty, and the settings that name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from tests import servers


@contextmanager
def running_stores(folder: Path) -> Iterator[dict[str, str]]:
    """Yield settings by name."""
    with (
        BackgroundSupervisor(Supervisor(folder / "logs")) as services,
        servers.running_s3(folder / "s3") as s3,
    ):
        redis = servers.start_redis(services, folder / "redis")
        credentials = folder / "credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id = {s3.access_key}\n"
            f"aws_secret_access_key = {s3.secret_key}\n"
        )
        yield {
            "redis_url": redis.url,
            "s3_endpoint_url": s3.endpoint_url,
            "s3_bucket": "probe",
            "s3_addressing_style": "path",
            "s3_credentials_file": str(credentials),
        }
