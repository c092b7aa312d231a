"""Settings, from the environment (`COMFYFLEET_...`) or a TOML file; the environment takes precedence.

The file is `$COMFYFLEET_CONFIG`, else `comfyfleet.toml` in the working directory, else
`.comfyfleet/comfyfleet.toml` of a running `comfyfleet up`. boto3 finds S3 credentials itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from producer.contract.config.addresses import without_password as without_password  # noqa: PLC0414
from producer.contract.config.api_keys import check_key, read_key
from producer.contract.config.s3_address import check_apart
from producer.contract.config.setting_sources import Environment, TomlFile, line_of
from producer.contract.config.setting_types import (
    LARGEST,
    Bucket,
    Buckets,
    Endpoint,
    Hosts,
    Origins,
    OwnPath,
    Prefix,
    ReadFile,
    RedisUrl,
    Region,
    Seconds,
)
from producer.contract.errors import InvalidSettings
from producer.contract.queues import is_name

_FILES: Final = (Path("comfyfleet.toml"), Path(".comfyfleet/comfyfleet.toml"))


class Settings(BaseSettings):
    """The settings of one process; most must be the same in all processes of a fleet."""

    model_config = SettingsConfigDict(
        env_prefix="COMFYFLEET_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    #: Redis or Valkey, for records and messages.
    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", repr=False)

    #: The S3 service's address; none: AWS itself.
    s3_endpoint_url: Endpoint | None = None
    #: The S3 service's address in presigned links, if their users need another one; none: the endpoint
    #: above.
    s3_public_endpoint_url: Endpoint | None = None
    #: The bucket, which must exist.
    s3_bucket: Bucket = "comfyfleet"
    #: The prefix of every key, as `renders/2026`.
    s3_prefix: Prefix = ""
    #: The S3 service's region.
    s3_region: Region = "us-east-1"
    #: `path` for most self-hosted S3 services.
    s3_addressing_style: Literal["auto", "path", "virtual"] = "auto"
    #: `when_required` for gateways that refuse newer checksums.
    s3_checksums: Literal["when_supported", "when_required"] = "when_supported"
    #: A shared credentials file for boto3; read again when it changes.
    s3_credentials_file: ReadFile | None = None

    #: How long an attempt holds its job without renewing its lease.
    lease_s: Seconds = 15
    #: How often leases are renewed: best every third of the lease, at least every half.
    renew_s: Seconds = 5
    #: How often upkeep sweeps.
    sweep_s: Seconds = 1

    #: A job that no node has started within this time expires.
    start_within_s: Seconds = 30 * 86_400
    #: An attempt that takes longer is stopped.
    run_within_s: Seconds = 6 * 3_600
    #: How long the record of an ended job is kept.
    keep_ended_s: Seconds = 7 * 86_400
    #: When the record of an ended job is packed: it needs a third of the room from then on, and is read as before.
    #: Longer while older processes read records, too.
    pack_ended_s: Seconds = 3_600

    #: Limit of waiting jobs, rows of batches included; more are refused. 0: no limit.
    max_queued: int = Field(0, ge=0, le=LARGEST)
    #: Limit of a graph, as canonical JSON without blanks, as it is stored.
    max_graph_bytes: int = Field(4 << 20, gt=0, le=LARGEST)
    #: Limit of the params of one job, or one row of a batch.
    max_params_bytes: int = Field(4 << 20, gt=0, le=LARGEST)
    #: Limit of the extra data of one job: the workflow of the editor, keys.
    max_extra_data_bytes: int = Field(4 << 20, gt=0, le=LARGEST)
    #: Limit of an input file; the default is ComfyUI's own for one request.
    max_input_bytes: int = Field(100 << 20, gt=0, le=LARGEST)

    #: Limit of the pixels of a picture that is handed in, by its header; the default is Pillow's own. 0: no limit.
    max_input_pixels: int = Field(178_956_970, ge=0, le=LARGEST)

    #: Hosts that webhooks and input addresses may name although they are private, or listen at another port than
    #: 80, 443, 8080 or 8443: `HOST`, `HOST:PORT`, `ADDRESS` or `NETWORK/BITS`, separated by commas.
    trusted_hosts: Hosts = ""

    #: Buckets that copies of artifacts may be put into, separated by commas: `BUCKET` (each owner below a folder of
    #: its name), `BUCKET/FOLDER` (with `{owner}` for each owner's own), `BUCKET/*` (anywhere). None by default. The
    #: same at producers and workers.
    deliver_buckets: Buckets = ""

    #: Where the HTTP API listens. Put a proxy with TLS before it, rather than open it to the world.
    api_host: str = "127.0.0.1"
    #: The port of the HTTP API; 0: any that is free.
    api_port: int = Field(8190, ge=0, le=65_535)
    #: Limit of a request's body, but for uploads (`max_input_bytes`).
    api_max_body_bytes: int = Field(16 << 20, gt=0, le=LARGEST)
    #: Buckets whose objects jobs may name as inputs over HTTP, separated by commas; none by default.
    api_input_buckets: str = ""
    #: Streams of events that one process of the API has open at most.
    api_max_streams: int = Field(5_000, ge=0, le=LARGEST)
    #: Origins whose web pages may use the API from a browser, as `https://shop.example`, separated by commas; `*`:
    #: every one. `http://localhost:*` allows each port of this machine.
    api_allowed_origins: Origins = ""

    #: Headers and tokens that a proxy in front of a node requires.
    node_headers: str | None = Field(None, repr=False)
    #: The same in a file.
    node_headers_file: OwnPath | None = None
    #: The API key for partner nodes of each job submitted by this process; `--api-key-file` for one job.
    comfy_org_api_key: SecretStr | None = None
    #: The same in a file.
    comfy_org_api_key_file: OwnPath | None = None

    #: The API key for partner nodes that a worker adds to jobs without one.
    node_comfy_org_api_key: SecretStr | None = None
    #: The same in a file.
    node_comfy_org_api_key_file: OwnPath | None = None
    #: The spool folder, for outputs between node and S3; none: a temporary folder.
    node_spool_dir: OwnPath | None = None
    #: How long a node may take to answer `/object_info`, with many custom nodes or a slow proxy.
    node_info_s: Seconds = 120
    #: How long a running prompt may make no progress before it counts as stalled.
    node_progress_s: Seconds = 600
    #: How long a queue may be passed over for others whose models are loaded.
    node_warm_s: Seconds = 60
    #: About how long a node takes to load a model that nobody has seen it load.
    node_load_s: Seconds = 5
    #: How long a canary prompt may take on a suspect node.
    node_canary_s: Seconds = 30
    #: How long the first quarantine of a node lasts; each further one lasts twice as long.
    node_quarantine_s: Seconds = 60

    @property
    def producers_api_key(self) -> str | None:
        """The API key for partner nodes of jobs submitted by this process; raises InvalidSettings."""
        return self._api_key("comfy_org_api_key")

    @property
    def nodes_api_key(self) -> str | None:
        """The API key for partner nodes that this worker adds to jobs without one; raises InvalidSettings."""
        return self._api_key("node_comfy_org_api_key")

    def _api_key(self, name: str) -> str | None:
        text, file = getattr(self, name), getattr(self, f"{name}_file")
        try:
            if text is not None and text.get_secret_value():
                return check_key(text.get_secret_value())
            return read_key(file) if file else None
        except ValueError as exc:
            named = _variable(name if text is not None else f"{name}_file")
            raise InvalidSettings(f"settings: {named}: {exc}") from None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.renew_s > self.lease_s / 2:
            raise ValueError(
                f"{_variable('renew_s')} is {self.renew_s:g} s and {_variable('lease_s')}"
                f" {self.lease_s:g} s: a lease must last for two renewals at least, better three"
            )
        for name in ("s3_endpoint_url", "s3_public_endpoint_url"):
            if endpoint := getattr(self, name):
                try:
                    check_apart(endpoint, self.s3_bucket)
                except ValueError as exc:
                    raise ValueError(f"{_variable(name)}: {exc}") from None
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - `Environment` is ours
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the library's hook
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of precedence: arguments, environment, file."""
        file = settings_file()
        toml = TomlFile(settings_cls, file) if file else None
        return (init_settings, Environment(settings_cls), *([toml] if toml else []))


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process; *overrides* take precedence.

    Raises:
        InvalidSettings: some are invalid; names each by its variable, and what was expected.
    """
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        wrong = "; ".join(
            _told(error["loc"], error["msg"]) + _place(error["loc"], overrides)
            for error in exc.errors()
        )
        raise InvalidSettings(f"settings: {wrong}") from exc
    except (OSError, ValueError) as exc:
        raise InvalidSettings(f"settings file {settings_file()}: {exc}") from exc


def settings_file() -> Path | None:
    """Return the TOML file that is read, or None.

    Raises:
        InvalidSettings: COMFYFLEET_CONFIG names no file.
    """
    if named := os.environ.get("COMFYFLEET_CONFIG"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise InvalidSettings(f"COMFYFLEET_CONFIG names {named}, which is no file")
        return path
    return next((path for path in _FILES if path.is_file()), None)


def _told(place: tuple[int | str, ...], message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{_variable(*place)}: {said}" if place else said


def _place(place: tuple[int | str, ...], overrides: Mapping[str, Any]) -> str:
    """Return file and line of an invalid value; "" if it is not from the file."""
    file = settings_file()
    if not place or place[0] in overrides or file is None:
        return ""
    if any(name.upper() == _variable(place[0]) and value for name, value in os.environ.items()):
        return ""
    line = line_of(str(place[0]), file.read_text("utf-8-sig"))
    return f" ({file}, line {line})" if line else ""


def _variable(*place: int | str) -> str:
    return f"COMFYFLEET_{'_'.join(map(str, place)).upper()}"


def check_name(text: str, *, field: str) -> str:
    """Return *text* if it is a valid name of a node or pool.

    Raises:
        InvalidSettings: it is none; the message names *field*.
    """
    if not is_name(text):
        raise InvalidSettings(
            f"{field}: {text!r} is no name; use lower-case letters, digits, '.', '_', '-' "
            "(at most 63, a letter or digit first)"
        )
    return text
