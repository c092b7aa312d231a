"""`python -m tests.docs.readme_pictures`: the README's two pictures, from a batch that really runs.

One is a terminal while the batch is half done, the other what the batch has made. They change only
when this is run again: a picture that differed after every run would be a change in every commit.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from infra.local.contact_sheet import Labelled, write_sheet
from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.jobs import Artifact
from tests.docs.blocks import ROOT

PICTURES: Final = ROOT / "docs/pictures"

_PROMPTS: Final = (
    *("a red fox in the snow", "a lighthouse at dusk", "a paper boat", "a quiet harbour"),
    *("an old tram in the rain", "a kitchen at noon", "a wheat field", "a bridge in fog"),
)
_ROWS: Final = 40
_WIDTH: Final = 98
_SUBMIT: Final = "comfyfleet batch submit graph.json night.csv --name night-0412 --wait"
_SHOW: Final = "comfyfleet batch show {id}"

#: What moves a terminal's cursor, or shows and hides it.
_MOVES: Final = re.compile(r"(\n|\r|\x1b\[1A|\x1b\[2K|\x1b\[\?\d+[hl])")
_UP, _CLEAR = "\x1b[1A", "\x1b[2K"

#: Rich's own picture of a terminal loads its font from elsewhere; any fixed one will do.
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img">
  <title>A terminal with a batch that runs</title>
  <style>
    .{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif }}
    {styles}
  </style>
  <defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
  </g>
</svg>
"""


def main() -> None:
    """Run a batch on a fleet of its own, and leave both pictures."""
    arguments = ("--step-seconds", "0.03")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_files(folder)
        options = Options(state_dir=folder / "fleet", standin_arguments=arguments)
        with LocalStack(options) as stack, Producer(load_settings(**stack.settings)) as fleet:
            environment = {**os.environ, **stack.settings_env, "COLUMNS": str(_WIDTH)}
            said = _half_done(folder, environment)
            [batch] = fleet.batches(1)
            show = _SHOW.format(id=batch.id)
            facts = _terminal(show, folder, environment).read()
            fleet.wait_batch(batch.id)
            made = [job.artifacts[0] for _, job in fleet.batch_jobs(batch.id)][: len(_PROMPTS)]
            pictures = [
                Labelled(_content(fleet, artifact, folder), (prompt,))
                for artifact, prompt in zip(made, _PROMPTS, strict=True)
            ]
        (PICTURES / "terminal.svg").write_text(terminal([(_SUBMIT, said), (show, facts)]))
        write_sheet(pictures, "night-0412: the first eight of 40", folder / "sheet.png")
        with Image.open(folder / "sheet.png") as sheet:
            small = sheet.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
            small.save(PICTURES / "made.png", optimize=True)


def _content(fleet: Producer, artifact: Artifact, folder: Path) -> bytes:
    fleet.fetch(artifact, folder / "picture.png")
    return (folder / "picture.png").read_bytes()


def _write_files(folder: Path) -> None:
    graph = json.loads((ROOT / "infra/samples/text_to_image.json").read_text())
    (folder / "graph.json").write_text(json.dumps(graph))
    with (folder / "night.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("6.text", "3.seed"))
        rows.writerows((_PROMPTS[n % len(_PROMPTS)], n) for n in range(_ROWS))


class _Screen:
    """What stands on a terminal on which a command writes, and writes over what it wrote."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""

    def more(self) -> bool:
        """Read what comes next; tell whether there was anything."""
        try:
            found = os.read(self._descriptor, 65_536).decode(errors="replace")
        except OSError:  # the terminal's other side is closed
            return False
        self._text += found
        return bool(found)

    def read(self) -> str:
        """Read to the end, and return what stands there then."""
        while self.more():
            pass
        return self.shown

    @property
    def shown(self) -> str:
        """What stands there now; colours are left in it."""
        lines, row = [""], 0
        for part in _MOVES.split(self._text.replace("\r\n", "\n")):
            if part == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif part == _UP:
                row -= 1
            elif part in {"\r", _CLEAR}:
                lines[row] = ""  # Rich clears a line that it goes back to
            elif not part.startswith("\x1b[?"):
                lines[row] += part
        return "\n".join(lines).rstrip()


def _terminal(command: str, folder: Path, environment: dict[str, str]) -> _Screen:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, _WIDTH, 0, 0))
    with_path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    subprocess.Popen(
        command.split(),
        cwd=folder,
        env={**environment, "PATH": with_path, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return _Screen(ours)


def _half_done(folder: Path, environment: dict[str, str]) -> str:
    screen = _terminal(_SUBMIT, folder, environment)
    while screen.more():
        done = re.findall(r"(\d+)/\d+", screen.shown)
        if done and int(done[-1]) >= _ROWS * 0.6:
            break
    return screen.shown


def terminal(calls: Sequence[tuple[str, str]]) -> str:
    """Return a picture of a terminal with some commands and what each has said."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for command, said in calls:
        console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        console.print(Text.from_ansi(said))
        console.print()
    return console.export_svg(
        title="comfyfleet", theme=DIMMED_MONOKAI, code_format=_FORMAT, unique_id="t"
    )


if __name__ == "__main__":
    main()
