"""A reader who does what a page says: the blocks of one page, in one folder, on one fleet."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.docs.blocks import Block

#: What a shell block may take, s.
_PATIENCE_S: Final = 60
#: A page says it once; here the command is on the path already.
_ACTIVATE: Final = ". .venv/bin/activate"
#: Languages that nothing can be done with but read.
_READ: Final = frozenset({"text"})


class Reader:
    """Runs blocks one after another; variables of Python and of the shell live on between them."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._variables = folder / ".variables"
        self._names: dict[str, Any] = {"__name__": "page"}

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: it does not work, or nobody can tell whether it does.
        """
        if block.not_run or (block.language in _READ and not block.title):
            return
        if block.title:
            (self._folder / Path(block.title).name).write_text(block.source)
        match block.language:
            case "python":
                self._run_python(block)
            case "sh":
                self._run_shell(block, block.source)
            case "console":
                self._run_session(block)
            case "json":
                json.loads(block.source)
            case "toml":
                tomllib.loads(block.source)
            case _:  # a file in no language that we read
                assert block.title, f"{block.place}: a block of {block.language!r} is never tried"

    def _run_python(self, block: Block) -> None:
        lines = "\n" * (block.line - 1)  # so that a traceback names the line of the page
        exec(compile(lines + block.source, block.page, "exec"), self._names)

    def _run_session(self, block: Block) -> None:
        """Run each line after `$`, and compare what follows it; `…` stands for anything."""
        for step in re.split(r"^\$ ", block.source, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            said = self._run_shell(block, command, may_fail=True)
            pattern = re.escape(expected.strip()).replace("…", "(?s:.*)")
            assert re.fullmatch(pattern, said.strip()), f"{block.place}: $ {command}\n{said}"

    def _run_shell(self, block: Block, script: str, *, may_fail: bool = False) -> str:
        # What a block sets, the next one has, as in a reader's own shell.
        script = script.replace(_ACTIVATE, ":")
        known = f". {self._variables}" if self._variables.exists() else ""
        kept = f"{known}\nset -a\n{script}\nexport -p > {self._variables}"
        done = subprocess.run(
            ["bash", "-c" if may_fail else "-euc", kept],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert may_fail or done.returncode == 0, f"{block.place}\n{script}\n{done.stdout}"
        return done.stdout
