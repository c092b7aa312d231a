"""The package as it was landed last, installed into an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_REPOSITORY: Final = Path(__file__).parents[2]
#: The commit that was landed before the present work began; a session sets it anew.
LANDED: Final = "4bbc2bb27a59f793c439e515de20af954fbb8045"
_WITHIN_S: Final = 120
_GIT: Final = ("git", "-C", str(_REPOSITORY))


@dataclass(frozen=True)
class LandedVersion:
    """An installed package of an earlier commit.

    Args:
        commands: the folder with its Python and its `comfyfleet`.
        folder: an empty one, where its processes start: nothing there is taken for its modules.
    """

    commands: Path
    folder: Path

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start its Python with *arguments*; the log is beside it."""
        log = (self.folder / "processes.log").open("ab")
        with log:
            return subprocess.Popen(
                [self.commands / "python", *arguments],
                cwd=self.folder,
                env=self._environment(settings),
                stdout=log,
                stderr=log,
            )

    def ask(self, code: str, argument: Any, **settings: str) -> Any:
        """Run *code* in its Python with `argument` set, and return what it prints as JSON."""
        text = f"import json, sys\nargument = json.load(sys.stdin)\n{code}"
        done = subprocess.run(
            [self.commands / "python", "-c", text],
            cwd=self.folder,
            env=self._environment(settings),
            input=json.dumps(argument),
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, **settings}


class NoSuchCommitError(Exception):
    """This clone does not have the landed commit."""


def install(folder: Path) -> LandedVersion:
    """Build the landed commit's wheel and install it below *folder*.

    Raises:
        NoSuchCommitError: neither this clone has it nor where that comes from.
    """
    source, venv, empty = folder / "source", folder / "venv", folder / "empty"
    for path in (source, empty):
        path.mkdir(parents=True)
    archive = folder / "source.tar"
    _have_commit()
    _must(*_GIT, "archive", "-o", str(archive), LANDED)
    _must("tar", "-xf", str(archive), "-C", str(source))
    uv = (sys.executable, "-m", "uv", "--quiet")
    _must(*uv, "build", "--wheel", "--out-dir", str(folder), str(source))
    [wheel] = folder.glob("*.whl")
    _must(*uv, "venv", "--python", sys.executable, str(venv))
    into = (*uv, "pip", "install", "--python", str(venv))
    _must(*into, "--require-hashes", "-r", str(source / "requirements/run.txt"))
    _must(*into, "--no-deps", str(wheel))
    return LandedVersion(venv / "bin", empty)


def _have_commit() -> None:
    """Ask for the commit where this clone, a shallow one, does not have it; raises NoSuchCommitError."""
    if _run(*_GIT, "cat-file", "-e", f"{LANDED}^{{commit}}").returncode == 0:
        return
    asked = _run(*_GIT, "fetch", "--quiet", "--no-tags", "--depth", "1", "origin", LANDED)
    if asked.returncode:
        raise NoSuchCommitError(f"this clone has no commit {LANDED[:7]}: {asked.stderr.strip()}")


def _must(*command: str) -> None:
    done = _run(*command)
    assert done.returncode == 0, done.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
