"""Makes folders that only this user can write to, where every user of the host may write (`/tmp`)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class NotPrivate(OSError):
    """A folder is there, and somebody else than this user can put files into it."""


def make_private(folder: Path) -> None:
    """Make *folder*, for this user alone, unless it is there and this user's alone already.

    Who makes it first owns it: a folder, or a link in its place, that somebody else has put there
    could have our files written over theirs, or theirs taken for ours.

    Raises:
        NotPrivate: it is there, and a link, somebody else's, or open to others.
        OSError: it cannot be made.
    """
    if not folder.parent.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)  # another attempt of ours may be quicker
    except FileExistsError:
        if flaw := _flaw(folder.lstat()):
            raise NotPrivate(errno.EPERM, f"{folder} {flaw}") from None


def _flaw(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "is a link; expected a folder of this user's own"
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to user {os.geteuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written to by other users; take that right away (chmod go-w)"
    return ""
