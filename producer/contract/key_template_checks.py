"""Checks of key templates: no two copies come to one key, and every S3 service takes each.

A key tells whose copy it is if the placeholders that do so can be read back from it: each of them is reached from the
left or the right end of its part, `/` to `/`, over texts and over values whose end is certain. Values hold no `/`.
"""

from __future__ import annotations

import re
from typing import Final

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable, short, text_flaw
from producer.contract.key_templates import (
    FIELD,
    FORM,
    PLACEHOLDERS,
    THUMBNAIL_SUFFIX,
    KeyTemplate,
    Part,
    Placeholder,
    owner_value,
    parse_template,
    refused,
)
from producer.contract.near_names import near_names

_FIXED: Final = frozenset({"job", "batch"})  #: Values of one length.
_DIGITS: Final = frozenset({"row", "n"})
_TIES: Final = re.compile(r"[a-z0-9.]")  #: What an extension is made of.
_MOST_KEY_BYTES: Final = 1_024  #: S3's own limit, in UTF-8.
_MOST_PART_BYTES: Final = 255  #: S3 services that store keys as files allow so many a part.


def read_template(text: object, *, owner: str, has_batch: bool) -> KeyTemplate:
    """Read and check a template for the jobs of an owner.

    Args:
        owner: of the jobs; empty for none.
        has_batch: whether they are rows of a batch.

    Raises:
        InvalidJob: it is none, two copies could have one key, or a key could be none that every S3 service takes.
    """
    if flaw := text_flaw(text):
        raise refused(flaw, advice=f"write {FORM}")
    template = parse_template(str(text))
    _check_names(template, owner=owner, has_batch=has_batch)
    _check_parts(template)
    _check_length(template, owner=owner)
    _check_apart(template, has_batch=has_batch)
    return template


def _check_names(template: KeyTemplate, *, owner: str, has_batch: bool) -> None:
    for name in template.names:
        if name not in PLACEHOLDERS:
            near = near_names(name, PLACEHOLDERS)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            raise InvalidJob(
                f"{FIELD}: there is no placeholder {{{short(name)}}}{hint}",
                field=FIELD,
                allowed=[f"{{{known}}}" for known in PLACEHOLDERS],
            )
        if name == "owner" and not owner:
            raise refused("names {owner}, and the job has none", advice="hand it in for an owner")
        if name in {"batch", "row"} and not has_batch:
            raise refused(
                f"names {{{name}}}, and a single job is of no batch", advice="name {job} instead"
            )


def _check_parts(template: KeyTemplate) -> None:
    last = template.parts[-1][-1] if template.parts[-1] else None
    if template.names.count("ext") > int(last == Placeholder("ext")):
        raise refused("names {ext} elsewhere than at its end", advice="write it once, last")
    for part in template.parts:
        sure = [token for token in part if token != Placeholder("ext")]
        if not sure or all(isinstance(token, str) and not token.strip(".") for token in sure):
            raise refused(
                f"has a part that is {_shown(part)}; expected a name between any two slashes, other than . and .."
            )


def _check_length(template: KeyTemplate, *, owner: str) -> None:
    most = {**PLACEHOLDERS, "owner": len(owner_value(owner)) if owner else 0}
    lengths = [
        sum(len(token.encode()) if isinstance(token, str) else most[token.name] for token in part)
        for part in template.parts
    ]
    whole = sum(lengths) + len(lengths) - 1 + len(THUMBNAIL_SUFFIX)
    if whole > _MOST_KEY_BYTES:
        raise refused(
            f"may give keys of {whole:,} bytes, that of a thumbnail included; the limit is {_MOST_KEY_BYTES:,}"
        )
    lengths[-1] += len(THUMBNAIL_SUFFIX)
    if (longest := max(lengths)) > _MOST_PART_BYTES:
        raise refused(
            f"may give keys with {longest:,} bytes between two slashes; the limit is {_MOST_PART_BYTES}"
        )


def _check_apart(template: KeyTemplate, *, has_batch: bool) -> None:
    """Check that different files of different jobs, and of the rows of different batches, have different keys."""
    named, sure = set(template.names), _told_by_key(template)
    for lacks, found in ((True, named), (False, sure)):
        if "n" not in found:
            raise _alike(lacks, "{n}", "two files of one job")
        if "job" in found or {"batch", "row"} <= found:
            continue
        if not has_batch:
            raise _alike(lacks, "{job}", "two jobs")
        if "row" in found:
            raise _alike(lacks, "{batch}", "row 1 of two batches")
        raise _alike(lacks, "{row}" if "batch" in found else "{batch} and {row}", "two rows")


def _alike(lacks: bool, name: str, whose: str) -> InvalidJob:  # noqa: FBT001 - it says which of two
    if lacks:
        return refused(f"lacks {name}: {whose} would have one key", advice=f"put {name} into it")
    return refused(
        f"has {name} beside another placeholder, so that {whose} could have one key",
        advice=f"part {name} from others by - or /",
    )


def _told_by_key(template: KeyTemplate) -> set[str]:
    """Return the placeholders whose value can be read back from a key."""
    found: set[str] = set()
    for part in template.parts:
        found |= _from_left(part) | _from_right(part)
    return found


def _from_left(part: Part) -> set[str]:
    found: set[str] = set()
    for token, after in zip(part, [*part[1:], ""], strict=True):
        if isinstance(token, str):
            continue
        ends = after == Placeholder("ext") or (isinstance(after, str) and not after[:1].isdigit())
        if token.name in _FIXED or (token.name in _DIGITS and ends):
            found.add(token.name)
        elif token.name != "owner":  # which is the same in all keys of a submission
            break
    return found


def _from_right(part: Part) -> set[str]:
    found: set[str] = set()
    has_ext = part[-1:] == (Placeholder("ext"),)
    rest = list(part[:-1] if has_ext else part)
    if has_ext and (not rest or isinstance(rest[-1], str) or rest[-1].name == "owner"):
        return found  # where the extension begins may not be seen
    for index in range(len(rest) - 1, -1, -1):
        token, before = rest[index], rest[index - 1] if index else "/"
        if isinstance(token, str):
            continue
        starts = isinstance(before, str) and not before[-1].isdigit()
        if has_ext and index == len(rest) - 1 and token.name in _DIGITS:
            # `.7` may be an extension, too: only what no extension holds parts the number from others.
            starts = isinstance(before, str) and not _TIES.match(before[-1])
        if token.name in _FIXED or (token.name in _DIGITS and starts):
            found.add(token.name)
        elif token.name != "owner":
            break
    return found


def _shown(part: Part) -> str:
    text = "".join(token if isinstance(token, str) else f"{{{token.name}}}" for token in part)
    return printable(text) if text else "empty"
