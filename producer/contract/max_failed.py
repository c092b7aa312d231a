"""How many jobs of a batch may fail before it is braked: a number, or a share of its rows."""

from __future__ import annotations

import re
from typing import Final

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable

_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,10}", re.ASCII)
_HIGHEST: Final = 9_999_999_999
_WHOLE: Final = 100.0
_EXPECTED: Final = "expected a number of jobs from 1, or a share as 5%, up to 100%"


def read_max_failed(given: object) -> str:
    """Return how it is written down: `40` or `5%`; nothing where there is no limit.

    Raises:
        InvalidJob: it is neither.
    """
    if given is None or given == "":
        return ""
    if isinstance(given, int) and not isinstance(given, bool):
        # Python writes no number of more than 4,300 digits.
        if 0 < given <= _HIGHEST:
            return str(given)
        raise _refused(str(given) if -_HIGHEST <= given <= _HIGHEST else "beyond all bounds")
    if not isinstance(given, str):
        raise _refused(f"a {type(given).__name__}")
    text = given.strip()
    share = _SHARE.fullmatch(text)
    if (share and 0 < float(share[1]) <= _WHOLE) or (_NUMBER.fullmatch(text) and int(text) > 0):
        return text
    raise _refused(printable(given))


def _refused(what: str) -> InvalidJob:
    return InvalidJob(f"max_failed is {what}; {_EXPECTED}", field="max_failed")
