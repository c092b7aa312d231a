"""Extra data: the `extra_data` that ComfyUI's `POST /prompt` takes beside a graph; shared and secret parts.

`extra_pnginfo` goes into saved pictures, and some classes read the editor's workflow there; other
keys belong to extensions. Keys and tokens among them are secrets: ComfyUI takes `api_key_comfy_org`
and `auth_token_comfy_org` out of its history (0.3.64 and 0.33.0, `execution.py`), and we keep these
two and whatever looks like them out of records, manifests, pictures, logs and events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import canonical, find_flaw, printable

#: The API key for partner nodes; see `ExtraData.with_key`.
API_KEY: Final = "api_key_comfy_org"
_COMFY_ORG: Final = frozenset({API_KEY, "auth_token_comfy_org"})
_PNGINFO: Final = "extra_pnginfo"
#: Keys that ComfyUI sets itself at every post (0.3.64 and 0.33.0, `server.py`).
_COMFYUIS_OWN: Final = frozenset({"client_id", "create_time"})
_OURS: Final = ("job_id", "job_attempt")

_CREDENTIAL: Final = re.compile(
    r"(?:^|_)(?:api_?key|access_?key|private_?key|secret|token|passw(?:or)?d|passphrase"
    r"|auth|authorization|bearer|cookie|credentials?)(?:$|_)"
)
_MAX_DEPTH: Final = 200
#: Limit of the secrets, bytes: unlike shared parts, they are stored once per job.
_LONGEST_SECRETS: Final = 32 << 10


class ExtraData(NamedTuple):
    """The two parts of `extra_data`, each by key.

    Args:
        shared: not secret; stored once for all jobs with the same content.
        secrets: stored apart from the record; deleted when the job ends.
        added: keys of those secrets that come from a setting, not from the submitter.
    """

    shared: dict[str, Any]
    secrets: dict[str, Any]
    added: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show the keys only, so that logging it by mistake shows no secret."""
        return f"ExtraData(shared={sorted(self.shared)}, secrets={sorted(self.secrets)})"

    def with_key(self, api_key: str | None) -> ExtraData:
        """Return a copy with *api_key* for partner nodes, unless it has a key or token for them."""
        if api_key is None or self.secrets.keys() & _COMFY_ORG:
            return self
        return self._replace(secrets={**self.secrets, API_KEY: api_key}, added=(API_KEY,))

    @property
    def shared_json(self) -> bytes:
        """The shared part as canonical JSON, as it is stored; b"" if there is none."""
        return canonical(self.shared).encode() if self.shared else b""

    @property
    def secrets_json(self) -> bytes:
        """The secrets as canonical JSON, as they are stored; b"" if there are none."""
        return canonical(self.secrets).encode() if self.secrets else b""


def split_extra_data(given: Mapping[str, Any], *, max_bytes: int) -> ExtraData:
    """Check `extra_data` and separate its secrets.

    Keys that ComfyUI sets itself at every post are dropped, as `client_id`: a worker posts with its own.

    Raises:
        InvalidJob: it is no JSON object, too large, has a key that the fleet sets itself, or a
            credential in `extra_pnginfo`, which ComfyUI would write into every picture.
    """
    _check(as_extra_data(given))
    parts = {key: value for key, value in given.items() if key not in _COMFYUIS_OWN}
    secrets = {key: value for key, value in parts.items() if _is_secret(key, value)}
    shared = {key: value for key, value in parts.items() if key not in secrets}
    extra = ExtraData(shared, secrets)
    _check_size(len(extra.shared_json), max_bytes, "COMFYFLEET_MAX_EXTRA_DATA_BYTES")
    _check_size(len(extra.secrets_json), _LONGEST_SECRETS, "for keys and tokens")
    return extra


def as_extra_data(given: object) -> Mapping[str, Any]:
    """Return *given* if it is a mapping.

    Raises:
        InvalidJob: it is none.
    """
    if not isinstance(given, Mapping):
        raise _refused(f"must be an object, not {type(given).__name__}")
    return given


def _check(given: Mapping[str, Any]) -> None:
    if flaw := find_flaw(dict(given), most_depth=_MAX_DEPTH):
        raise _refused(f"cannot be kept: {flaw}")
    if ours := next((key for key in _OURS if key in given), None):
        raise _refused(f"has a key {ours!r}, which the fleet sets itself", advice="leave it out")
    info = given.get(_PNGINFO)
    if info is not None and not isinstance(info, dict):
        raise _refused(f"has an {_PNGINFO} that is no object")
    if named := next((key for key in info or () if _is_credential(key)), None):
        raise _refused(
            f"would write {printable(named)} into every picture, as it is in {_PNGINFO}",
            advice="put it beside extra_pnginfo",
        )


def _check_size(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise _refused(f"has {size:,} bytes; the limit is {limit:,} bytes ({what})")


def _refused(why: str, *, advice: str | None = None) -> InvalidJob:
    return InvalidJob(f"extra_data {why}", field="extra_data", advice=advice)


def is_secret(key: str, value: Any) -> bool:
    """Tell whether *key* is called as credentials are, or a key inside *value*."""
    return _is_credential(key) or _holds_secret(value)


def _is_secret(key: str, value: Any) -> bool:
    return key in _COMFY_ORG or _is_credential(key) or (key != _PNGINFO and _holds_secret(value))


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_credential(key) or _holds_secret(part) for key, part in value.items())
    return isinstance(value, list) and any(map(_holds_secret, value))


def _is_credential(key: str) -> bool:
    return _reads_as_credential(key[:200])


@lru_cache(maxsize=4096)
def _reads_as_credential(key: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", key).lower()
    return _CREDENTIAL.search(words) is not None
