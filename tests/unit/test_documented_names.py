"""What the pages name is there: commands, options, settings, modules, files."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from infra.companion_node.settings import NAMES as COMPANION_NAMES
from producer.contract.config.settings import Settings
from producer.contract.jobs import JobStatus, Phase
from producer.contract.nodes import NodeState
from producer.contract.queues import Tier
from tests.docs.blocks import ROOT, blocks, pages
from tests.docs.command_lines import calls, find_fault
from tests.docs.command_tree import commands

PAGES = [*pages(), "ARCHITECTURE.md"]
#: Variables that are neither of `Settings` nor an option's.
OTHERS = {
    *("COMFYFLEET_CONFIG", "COMFYFLEET_REDIS_BIN", "COMFYFLEET_WEED_BIN"),
    *(f"COMFYFLEET_COMPANION_{name}" for name in COMPANION_NAMES),
}


def spans(page: str) -> list[str]:
    """Return what stands between backticks in a line of a page."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def shell(page: str) -> str:
    return "\n".join(block.source for block in blocks(page) if block.language in {"sh", "console"})


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_is_known(page):
    told = [*calls(shell(page)), *(call for span in spans(page) for call in calls(span))]
    assert not {call: fault for call in told if (fault := find_fault(call))}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/start/first-node.md", NodeState),
        ("docs/use/follow.md", JobStatus),
        ("docs/use/follow.md", Phase),
        ("docs/use/submit.md", Tier),
        ("docs/understand/glossary.md", Tier),
    ],
)
def test_a_page_that_explains_some_words_explains_all_of_them(page, words):
    assert {word.value for word in words} <= set(spans(page))


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = "\n".join([shell(page), *spans(page)])
    assert set(re.findall(r"^make ([a-z-]+)", told, re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_is_known(page):
    named = set(re.findall(r"\bCOMFYFLEET_[A-Z0-9_]*[A-Z0-9]", (ROOT / page).read_text()))
    known = {f"COMFYFLEET_{name.upper()}" for name in Settings.model_fields} | OTHERS
    known |= {p.variable for command in commands().values() for p in command.parameters}
    assert not {name for name in named - known if not any(k.startswith(name) for k in known)}


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_file_is_there(page):
    names = {span for span in spans(page) if re.fullmatch(r"(producer|worker|infra)(\.\w+)+", span)}
    assert not {name for name in names if not is_importable(name)}
    folders = r"(producer|worker|infra|tests|docs)/[\w./-]+"
    paths = {Path(span) for span in spans(page) if re.fullmatch(folders, span)}
    assert not {path for path in paths if not (ROOT / path).exists()}


def is_importable(name: str) -> bool:
    head, _, tail = name.rpartition(".")
    try:
        import_module(name)
    except ImportError:
        return bool(head) and hasattr(import_module(head), tail)
    return True


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("submit graph.json --set 6.text=x --wait", None),
        ("batch show|list|wait", None),
        ("dead list", None),
        ("job", None),
        ("worker --comfyui URL --name NAME [--pool P]", None),
        ("submit graph.json --seed 7", "comfyfleet submit has no option --seed"),
        ("job dance", "there is no command 'job dance'"),
        ("render graph.json", "there is no command 'render graph.json'"),
    ],
)
def test_a_call_with_a_word_that_is_not_there_is_seen(call, fault):
    assert find_fault(call) == fault


def test_calls_are_found_wherever_they_stand_in_a_line():
    text = (
        "job=$(comfyfleet submit g.json) && comfyfleet job wait $job | head\ncd x; comfyfleet check"
    )
    assert list(calls(text)) == ["submit g.json", "job wait $job", "check"]
