"""The table of settings, from the class: names, defaults, and the comment above each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Literal, get_args, get_origin

from producer.contract.config.settings import Settings
from tests.docs.source_comments import comments

#: What a row says beside its comment: where its page is.
_SEE: Final = {
    "redis_url": "[Redis](../operate/redis.md)",
    "s3_endpoint_url": "[Storage](../operate/storage.md)",
    "node_headers": "[Nodes behind proxies](../operate/nodes.md)",
    "deliver_buckets": "[Copies](../use/copies.md#who-may-put-what-where)",
    "max_queued": "[Submit](../use/submit.md#limits)",
}
#: From the largest, as (how many seconds, what it is called).
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (1, "s"))


def table() -> str:
    """Return a row for each setting, in the order of the class."""
    meanings = comments(Settings)
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        meaning = meanings[name] + (f" See {_SEE[name]}." if name in _SEE else "")
        default = _default(name, field.get_default())
        rows.append(f"| `COMFYFLEET_{name.upper()}` | {default} | {meaning}{_choices(field)} |")
    return "\n".join(rows)


def _choices(field: Any) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    return f" One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}."


def _default(name: str, value: Any) -> str:
    if value is None or value == "":
        return "none"
    if name.endswith("_bytes"):
        return f"{value >> 20} MiB"
    if name.endswith("_s"):
        return _length(timedelta(seconds=value))
    return f"`{value}`"


def _length(value: timedelta) -> str:
    seconds = value.total_seconds()
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    ending = "s" if unit != "s" and seconds != size else ""
    return f"{seconds / size:g} {unit}{ending}"
