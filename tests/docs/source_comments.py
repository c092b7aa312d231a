"""What `#:` comments say of a class's fields: above a field, or behind it."""

from __future__ import annotations

import inspect
import re
from typing import Final

_FIELD: Final = re.compile(
    r"(?P<above>(?:^    #: .*\n)*)^    (?P<name>\w+)(?:: [^=\n]+)?(?: = [^\n]*?)?"
    r"(?:[ ]+#: (?P<behind>.*))?$",
    re.MULTILINE,
)


def comments(cls: type) -> dict[str, str]:
    """Return the comment of each field that has one, by its name."""
    found = _FIELD.finditer(inspect.getsource(cls))
    told = {m["name"]: f"{m['above'].replace('#:', ' ')} {m['behind'] or ''}" for m in found}
    return {name: " ".join(text.split()) for name, text in told.items() if text.strip()}
