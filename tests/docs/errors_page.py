"""The page of errors and causes: the drawn tree, and what each cause means."""

from __future__ import annotations

from typing import Final

from producer.contract import errors
from producer.contract.causes import Cause
from tests.docs.source_comments import comments
from tests.guarantees import verdicts
from worker.attempt import retry

_TOP: Final = """\
# Errors and causes

Written by `python -m tests.docs` from the errors and the retry table; do not edit.

What to do about them: [Errors and what to do](../use/errors.md).

## Errors

Everything that the library raises on purpose is a `FleetError` of `{module}`: `message` says what happened in a sentence that a
person can act on, `advice` what to try, where that is known. What is wrong with a submission has `field` (as `params.6.text`) and
`graph_node` as well; `JobNotSucceeded` carries the `job`.

```text
{tree}
```

## Causes

`cause` is one word in a job's record, in its attempts and in its events. *Charged* says whether the attempt counts among
the {charged} that a job may spend by its own fault.

| cause | it means | charged | then |
| --- | --- | --- | --- |
{causes}
"""


#: Causes of jobs' ends that no attempt decides.
_BY_ITSELF: Final = {
    "poison": "failed, a dead letter",
    "not_resumed": "failed, a dead letter",
    "start_deadline": "expired",
    "cancelled": "cancelled",
}


def page() -> str:
    """Return the whole page."""
    tree = str(errors.__doc__).partition("\n\n")[2].strip()
    return _TOP.format(
        module=errors.__name__, tree=tree, charged=retry.CHARGED_LIMIT, causes="\n".join(_rows())
    )


def _rows() -> list[str]:
    decided = {cause: (charged, then) for cause, charged, then in verdicts()}
    meanings = {Cause[name]: text for name, text in comments(Cause).items()}
    rows = []
    for cause, meaning in meanings.items():
        charged, then = decided.get(cause, ("", _BY_ITSELF.get(cause, "")))
        rows.append(f"| `{cause}` | {meaning} | {charged} | {then} |")
    return rows
