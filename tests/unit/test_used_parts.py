"""Each Lua script has all that it uses of what scripts share, and what it does not use it has not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis import Redis

import producer
from producer.store.scripts import Scripts
from producer.store.used_parts import parts_of, with_used_parts

LUA = Path(producer.__file__).parent / "store/lua"
SCRIPTS = sorted(file.stem for file in LUA.glob("[!_]*.lua"))
SHARED = sorted(LUA.glob("_*.lua"))
#: What Redis gives to every script, and words of Lua after which a bracket may stand.
GIVEN = {
    *("cjson", "error", "ipairs", "math", "pairs", "pcall", "redis", "select", "string", "table"),
    *("tonumber", "tostring", "type", "unpack", "KEYS", "ARGV"),
    *("and", "elseif", "function", "if", "in", "not", "or", "return", "until", "while"),
}


def code_of(text):
    """Return Lua code without comments and texts, each line where it was."""
    return re.sub(r"--.*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", "''", text)


def unknown_in(code):
    """Return names that are called, or written as constants are, and that no line up to there declares."""
    known, unknown = set(GIVEN), set()
    for line in code.splitlines():
        for declared in re.findall(
            r"\blocal (?:function )?([\w, ]+)|\bfor ([\w, ]+) (?:=|in)", line
        ):
            known |= set(re.split(r", ?| ", "".join(declared)))
        for parameters in re.findall(r"\bfunction\b[^(]*\(([\w, ]*)\)", line):
            known |= set(parameters.split(", "))
        unknown |= set(re.findall(r"(?<![\w.:])([A-Za-z_]\w*)(?=\()", line)) - known
        unknown |= set(re.findall(r"(?<![\w.:])([A-Z][A-Z_]+)\b", line)) - known
    return unknown


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_all_that_it_uses(name):
    assert unknown_in(code_of(Scripts(Redis())._load(name).script)) == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_nothing_that_it_does_not_use(name):
    code = code_of(Scripts(Redis())._load(name).script)
    for declared in re.findall(r"^local (?:function )?([\w, ]+)", code, re.MULTILINE):
        uses = (len(re.findall(rf"\b{word}\b", code)) for word in declared.strip().split(", "))
        assert max(uses) > 1, f"{declared} is declared and not used"


@pytest.mark.parametrize("file", SHARED, ids=lambda file: file.stem)
def test_what_scripts_share_is_made_of_declarations_alone(file):
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("--")]
    assert [
        line for part in parts_of(file.read_text()) for line in part.text.splitlines() if line
    ] == lines


def test_every_name_that_scripts_share_is_declared_once():
    names = [name for file in SHARED for part in parts_of(file.read_text()) for name in part.names]
    assert len(names) == len(set(names)) > 100


def test_what_a_part_uses_comes_with_it_in_order():
    parts = parts_of(
        "local A = 1\nlocal B = 2\n-- Adds.\nlocal function add()\n    return A\nend\nlocal C = 3\n"
    )
    assert with_used_parts("return add() + C\n", parts) == (
        "local A = 1\nlocal function add()\n    return A\nend\nlocal C = 3\nreturn add() + C\n"
    )


@pytest.mark.parametrize(
    "script",
    [
        "return 'a -- b' .. A",
        'return "it\'s -- " .. A',
        "return'\\'--' .. A",
        "-- it's\nreturn A",
        "return x..A",
    ],
)
def test_a_text_hides_nothing_that_is_used(script):
    assert with_used_parts(script, parts_of("local A = 1\n")) == f"local A = 1\n{script}"


@pytest.mark.parametrize(
    "script", ["-- as A does\nreturn 1", "return 'A'", 'return "A"', "return AB + B_A"]
)
def test_what_is_no_name_in_the_code_is_no_use(script):
    assert with_used_parts(script, parts_of("local A = 1\n")) == script
