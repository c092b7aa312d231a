"""The command where its streams are closed, full, or of another encoding, and where it is interrupted: a word, no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.api_server import GRAPH

COMMAND = str(Path(sys.executable).with_name("comfyfleet"))


def started(led, *args, **options):
    environment = {"COMFYFLEET_REDIS_URL": led.settings.redis_url, **options.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([COMMAND, *args], env=environment, text=True, **streams)


def ended(process):
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, out, err


def test_letters_that_the_encoding_lacks_are_escaped(led):
    led.queued(owner="Käthe")
    env = {"PYTHONIOENCODING": "ascii"}
    status, out, _ = ended(started(led, "owner", "list", env=env))
    assert (status, "K\\xe4the" in out) == (0, True)
    status, out, _ = ended(started(led, "job", "list", "owner:Käthe", env=env))
    assert (status, len(out.splitlines())) == (0, 2)


def test_a_closed_stdout_is_one_that_nobody_reads(led):
    led.queued()
    assert ended(started(led, "job", "list", stdout=None, preexec_fn=lambda: os.close(1)))[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_full_stdout_is_told(led, how):
    led.queued()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        status, _, err = ended(started(led, "job", "list", *how, stdout=full))
    assert status == 1
    assert err == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("args", "module"),
    [(("job", "list"), "typer"), (("api", "--port", "0"), "uvicorn"), (("hooks",), "redis")],
)
def test_an_interrupt_while_it_starts_is_one_too(led, args, module, tmp_path):
    """It comes while modules are imported: one of them is here another one that says so."""
    with ExitStack() as stack:
        slow = tmp_path / f"{module}.py"
        ready, told = os.pipe()
        stack.callback(os.close, ready)
        slow.write_text(f"import os, time; os.write({told}, b'1'); time.sleep(60)", "utf-8")
        process = started(led, *args, env={"PYTHONPATH": str(tmp_path)}, pass_fds=[told])
        os.close(told)
        assert os.read(ready, 1) == b"1"
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 130


def test_a_folder_that_takes_nothing_is_refused_before_anything_is_made(led, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH), "utf-8")
    args = ("submit", str(tmp_path / "graph.json"), "--output", str(tmp_path / "file" / "out"))
    status, _, err = ended(started(led, *args))
    assert (status, "cannot be made" in err) == (4, True)
    assert led.fleet.jobs().jobs == []
