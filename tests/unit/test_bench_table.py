"""What the pages say of benchmarks is what docs/figures.json says."""

from __future__ import annotations

import json

import pytest

from tests.bench import readme
from tests.bench.results import Case, Result


def result(value: float, **case) -> Result:
    case = {"floor": 2.0, "plain": None, "goal": "<= 3 x floor", "holds": True, **case}
    return Result(name="speed", unit="ms", cases=[Case(name="a case", value=value, **case)])


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "MEASURED", tmp_path / "measured.md")
    monkeypatch.setattr(readme, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(readme, "few", lambda: "")
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    readme.README.write_text(f"{readme.FEW_BEGIN}\n{readme.FEW_END}\n")
    readme.MEASURED.write_text(f"before\n\n{readme.BEGIN}\nold\n{readme.END}\n\nafter\n")
    readme.FIGURES.write_text('{"storm": {"lost": 0}}')
    return readme.MEASURED


def between(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0].strip()


def test_the_pages_say_what_was_measured_last():
    told = between(readme.MEASURED.read_text(), readme.BEGIN, readme.END)
    assert told == readme.table(), "run: python -m tests.bench.readme"
    told = between(readme.README.read_text(), readme.FEW_BEGIN, readme.FEW_END)
    assert told == readme.few(), "run: python -m tests.bench.readme"


def test_a_new_run_takes_the_place_of_the_last_and_of_nothing_else(page):
    for value in (7.0, 5.0):
        readme.keep(result(value).as_dict())
        readme.write()
    text = page.read_text()
    assert text.startswith("before\n\n<!--")
    assert text.endswith("-->\n\nafter\n")
    assert "| speed | a case | 5 ms | 2 ms | 2.50 | ≤ 3 x floor | yes | - | 20" in text
    assert "7 ms" not in text
    assert json.loads(readme.FIGURES.read_text())["storm"] == {"lost": 0}


def test_the_headline_is_the_case_that_stands_worst():
    goal = Case(name="a", value=0.96, floor=1.0, plain=None, goal=">= 0.95", holds=True)
    better = Case(name="b", value=1.0, floor=1.0, plain=None, goal=">= 0.95", holds=True)
    missed = Case(name="c", value=9.0, floor=1.0, plain=None, goal="<= 8 x floor", holds=False)
    assert Result(name="n", unit="", cases=[better, goal]).as_dict()["value"] == 0.96
    assert Result(name="n", unit="", cases=[better, missed, goal]).as_dict()["value"] == 9.0
