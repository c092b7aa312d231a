"""Advice of the library in the words of who asks over HTTP: a route in place of a command, a field in place of an option."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = r"([^\s,;]+)"

#: What the library says, and what stands in its place.
_WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(said), told)
    for said, told in (
        (r"comfyfleet webhook list", "GET /v1/webhooks"),
        (r"comfyfleet webhook create", "POST /v1/webhooks"),
        (rf"comfyfleet webhook enable {_WORD}", r"POST /v1/webhooks/\1/enable"),
        (r"comfyfleet template list", "GET /v1/templates"),
        (r"comfyfleet template put", "PUT /v1/templates/{name}"),
        (r"comfyfleet dead list", "GET /v1/dead-letters"),
        (r"comfyfleet batch move moves", "POST /v1/batches/{id}/move moves"),
        (rf"comfyfleet batch (move|hold) {_WORD}", r"POST /v1/batches/\2/\1"),
        (rf"comfyfleet job (cancel|retry) {_WORD}", r"POST /v1/jobs/\2/\1"),
        (r"`comfyfleet (node|pool) list`", r"GET /v1/\1s"),
        (
            r"; comfyfleet owner limit sets another limit",
            "; who administers the fleet sets the limit",
        ),
        (r"--skip-invalid \(skip_invalid=True\)", "the parameter skip_invalid=true"),
        (r"^(comfyfleet check)", r"tell who runs the fleet: \1"),
        (r"--api-key-file FILE \(secrets=\{\.\.\.\}\)", '{"secrets": {...}}'),
        (
            r"^add --input '(.+)=FILE', or '.+=node:' if every node has it$",
            r'add it to inputs: {"\1": {"upload": ID}}',
        ),
        (
            r"^hand in the file's bytes, or what the InputPolicy of this producer lists$",
            "upload it; or have who runs the fleet list its bucket in COMFYFLEET_API_INPUT_BUCKETS",
        ),
        (r"^the operator can allow it", "who runs the fleet can allow it"),
    )
)


def over_http(advice: str) -> str:
    """Return an advice for somebody who has no shell at the fleet."""
    for said, told in _WORDS:
        advice = said.sub(told, advice)
    return advice
