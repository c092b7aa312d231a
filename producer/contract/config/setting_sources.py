"""Setting sources for pydantic-settings: the environment, cleaned of quotes, and a TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource

_SHORTEST_QUOTED: Final = 2


class Environment(EnvSettingsSource):
    """Variables without the blanks and quotation marks that `docker --env-file` leaves in them.

    An empty variable counts as not set: compose files and shells pass on missing values so.
    """

    def __call__(self) -> dict[str, Any]:
        """Return the values by the names of their fields."""
        cleaned = {name: _unquoted(value) for name, value in super().__call__().items()}
        return {name: value for name, value in cleaned.items() if value != ""}


class TomlFile(InitSettingsSource):
    """A TOML file in UTF-8; an unknown name is refused, since it is probably misspelt."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        """Read the file.

        Raises:
            OSError, ValueError: it cannot be read or parsed, or has an unknown name.
        """
        text = path.read_text("utf-8-sig")
        values = tomllib.loads(text)
        for name in values:
            if name not in settings_cls.model_fields:
                near = difflib.get_close_matches(name, settings_cls.model_fields, 1)
                mend = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"line {line_of(name, text)}: {name[:80]} is no setting{mend}")
        super().__init__(settings_cls, values)


def line_of(name: str, text: str) -> int | None:
    """Return the number, from 1, of the line of a TOML file that sets *name*; None if there is none."""
    key = re.compile(rf"\s*\[?\s*[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
    return next((n for n, line in enumerate(text.splitlines(), 1) if key.match(line)), None)


def _unquoted(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.strip()
    is_quoted = len(value) >= _SHORTEST_QUOTED and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].strip() if is_quoted else value
