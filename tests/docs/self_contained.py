"""Finds what a page of the site would have a browser load from another host."""

from __future__ import annotations

import re
from typing import Final

#: What a browser loads by itself. Links that a reader may follow are not meant.
_LOADED: Final = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"'> ]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=[\"']?"
    r"(?:https?:)?//[^\"'> ]+"
    r"|class=[\"']?mermaid\b"  # the theme loads a script for diagrams from elsewhere
    r"|@import\s+(?:url\()?[\"']?(?:https?:)?//[^\"') ]+"
)


def loaded_from_elsewhere(html: str) -> list[str]:
    """Return the parts of a page that a browser would load from another host by itself."""
    return _LOADED.findall(html)
