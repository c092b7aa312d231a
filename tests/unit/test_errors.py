"""The drawn tree of errors, and the words for causes, are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import infra.local
import producer
import worker
from producer.contract import errors
from producer.contract.causes import Cause
from tests.docs.source_comments import comments
from worker.attempt import error_signs, retry

LUA = Path(producer.__file__).parent / "store" / "lua"


def kinds(parent: type[errors.FleetError]) -> dict[str, str]:
    """Every kind of error below *parent*, with the name of the one above it."""
    found = {kind.__name__: parent.__name__ for kind in parent.__subclasses__()}
    for kind in parent.__subclasses__():
        found |= kinds(kind)
    return found


def drawn() -> dict[str, str]:
    parents, above = {}, {"*": "FleetError"}
    for mark, name in re.findall(r"^ *([+\-·]) (\w+)", errors.__doc__, re.MULTILINE):
        above[mark] = name
        parents[name] = above[{"+": "*", "-": "+", "·": "-"}[mark]]
    return parents


def test_the_drawn_tree_holds_every_error_below_its_parent():
    for package in (producer, worker, infra.local):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    of_the_stack = {"BinaryNotFound", "ComfyUnusable", "ServiceFailed", "StateDirInUse"}
    found = kinds(errors.FleetError)
    assert {name for name in found if name not in drawn()} == of_the_stack
    assert drawn() == {name: found[name] for name in drawn()}


def test_every_cause_says_what_it_means():
    assert set(comments(Cause)) == set(Cause.__members__)


def test_every_cause_that_an_attempt_may_end_with_is_a_cause():
    told = {cause for _, cause in retry._CAUSES} | {cause for cause, _ in error_signs._SIGNS}
    assert told < set(Cause)
    assert set(retry._ADVICE) < set(Cause)


def test_the_scripts_write_no_cause_of_their_own():
    text = "\n".join(path.read_text() for path in LUA.glob("*.lua"))
    assert set(re.findall(r"'cause', '(\w+)'", text)) < set(Cause)
