"""The users of `infra/redis/users.acl` have what the code needs: a key or command that is new to it must be given to somebody."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import producer
from producer.store import keys

ROOT = Path(__file__).parents[2]
LUA = Path(producer.__file__).parent / "store/lua"
USERS = {
    line.split()[1]: line.split()[2:]
    for line in (ROOT / "infra/redis/users.acl").read_text().splitlines()
}


def patterns(user: str) -> list[str]:
    """Return the patterns of the keys that a user may touch in some way."""
    found = (re.fullmatch(r"(?:%R|%W)?~(.*?)\)?", word) for word in USERS[user])
    return [match[1] for match in found if match]


def table() -> list[str]:
    """Return the keys of the table, with a word where each has its own."""
    rows = re.findall(r"^\| (comfyfleet:\S+) \|", str(keys.__doc__), re.MULTILINE)
    return [re.sub(r"<[^>]*>", "x", row) for row in rows]


@pytest.mark.parametrize("key", table())
def test_every_key_is_some_process_to_use(key):
    users = [
        user
        for user in ("worker", "api", "hooks")
        if any(fnmatchcase(key, pattern) for pattern in patterns(user))
    ]
    assert users, f"{key} is new: give it to those in infra/redis/users.acl that use it"


def test_every_command_of_a_script_may_be_run_by_all():
    called = set()
    for script in LUA.glob("*.lua"):
        called |= set(re.findall(r"redis\.p?call\('([A-Z]+)'", script.read_text()))
    for user in ("worker", "api", "hooks", "operator"):
        assert {f"+{command.lower()}" for command in called} <= set(USERS[user])


def test_nobody_is_let_in_without_a_password_and_the_default_user_not_at_all():
    assert USERS["default"] == ["off", "resetpass", "resetkeys", "resetchannels", "-@all"]
    assert USERS.keys() - {"default"} == {"worker", "api", "hooks", "operator"}
    for words in (words for user, words in USERS.items() if user != "default"):
        assert words[:3] == ["on", "resetchannels", "-@all"]
        assert not any(word[0] in "><#" or word in {"nopass", "allkeys"} for word in words)
        assert not any(word.startswith("+@") for word in words)
