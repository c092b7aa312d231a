"""The supervisor and its leash, on small processes of our own."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from infra.local.background import BackgroundSupervisor
from infra.local.environment import for_python
from infra.local.supervisor import NotReady, Service, ServiceFailed, Supervisor
from tests.polling import wait_until
from tests.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Writes a line for each TERM and then ends, as a server that stops in good order does.
STOPS_ON_TERM = """
import signal, sys, time
def end(*_):
    print("told to stop", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("serving", flush=True)
while True:
    time.sleep(60)
"""

IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("serving", flush=True)
while True:
    time.sleep(60)
"""

SAYS_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"

#: Has a child in its group, as a pre-forking worker has, and needs it while it shuts down.
HAS_CHILD = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STOPS_ON_TERM!r}])
pathlib.Path("child").write_text(str(child.pid))
{STOPS_ON_TERM.replace('print("told to stop"', 'time.sleep(0.3); print("parent ends"')}
"""


@pytest.fixture
def supervisor(tmp_path):
    with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as background:
        yield background


def service(directory: Path, name: str, script: str, **options) -> Service:
    options.setdefault("probe", says(directory, name, "serving"))
    return Service(
        name=name,
        argv=(sys.executable, "-c", script),
        environment=for_python({}),
        directory=directory,
        **options,
    )


def says(directory: Path, name: str, text: str):
    def probe() -> None:
        if text not in log_of(directory, name):
            raise NotReady(f"it has not said {text!r}")

    return probe


def log_of(directory: Path, name: str) -> str:
    return (directory / "logs" / f"{name}.log").read_text()


def test_start_returns_when_every_service_of_the_stage_is_ready(tmp_path, supervisor):
    slow = "import time; time.sleep(0.3)\n" + STOPS_ON_TERM
    supervisor.start(service(tmp_path, "a", slow), service(tmp_path, "b", STOPS_ON_TERM))
    assert "serving" in log_of(tmp_path, "a")
    assert "serving" in log_of(tmp_path, "b")


def test_stages_stop_in_reverse_order(tmp_path):
    writes_when_stopped = STOPS_ON_TERM.replace(
        'print("told', 'open("order", "a").write("{}"); print("told'
    )
    with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as background:
        for name in ("1", "2", "3"):
            background.start(service(tmp_path, name, writes_when_stopped.format(name)))
    assert (tmp_path / "order").read_text() == "321"


def test_term_goes_to_the_main_process_alone_and_leftovers_are_ended(tmp_path):
    with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as background:
        background.start(service(tmp_path, "parent", HAS_CHILD))
        wait_until(
            lambda: log_of(tmp_path, "parent").count("serving") == 2,
            description="parent and child listen for TERM",
        )
        child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child), description="the child is gone")
    assert "parent ends\ntold to stop\n" in log_of(tmp_path, "parent")


def test_a_service_deaf_to_term_is_killed_after_its_grace(tmp_path):
    with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as background:
        deaf = service(tmp_path, "deaf", IGNORES_TERM, stop_within=timedelta(seconds=0.2))
        background.start(deaf)
        pid = background.pid("deaf")
    assert not is_running(pid)


def test_a_killed_service_is_started_again(tmp_path, supervisor):
    supervisor.start(service(tmp_path, "victim", STOPS_ON_TERM))
    first = supervisor.pid("victim")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.pid("victim") != first, description="a second process")
    assert is_running(supervisor.pid("victim"))
    assert not is_running(first)


def test_a_service_does_not_outlive_a_killed_leash(tmp_path, supervisor):
    supervisor.start(service(tmp_path, "victim", STOPS_ON_TERM))
    first = supervisor.pid("victim")
    leash = int(Path(f"/proc/{first}/stat").read_text().split()[3])
    os.kill(leash, signal.SIGKILL)
    wait_until(lambda: not is_running(first), description="the service is gone as well")
    wait_until(lambda: supervisor.pid("victim") != first, description="a second process")


def test_a_service_that_keeps_ending_is_given_up(tmp_path):
    failures: queue.SimpleQueue[ServiceFailed] = queue.SimpleQueue()
    supervisor = Supervisor(tmp_path / "logs", on_failure=failures.put)
    with BackgroundSupervisor(supervisor) as background:
        background.start(service(tmp_path, "frail", STOPS_ON_TERM, max_restarts=1))
        first = background.pid("frail")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: background.pid("frail") != first, description="a second process")
        os.kill(background.pid("frail"), signal.SIGKILL)
        assert "exit code 137" in str(failures.get(timeout=5))


def test_a_service_that_ends_before_it_is_ready_fails_with_its_last_words(tmp_path, supervisor):
    broken = service(tmp_path, "broken", "import sys; sys.exit('no such table')")
    with pytest.raises(ServiceFailed, match=r"(?s)broken: it ended with exit code 1.*no such tab"):
        supervisor.start(broken)


def test_a_program_that_is_not_there_is_named(tmp_path, supervisor):
    absent = Service(
        name="absent",
        argv=("/nowhere/absent",),
        environment={},
        directory=tmp_path,
        probe=says(tmp_path, "absent", "serving"),
    )
    with pytest.raises(ServiceFailed, match="cannot start /nowhere/absent: No such file"):
        supervisor.start(absent)


def test_a_service_that_is_not_ready_in_time_fails_with_what_is_missing(tmp_path, supervisor):
    silent = service(
        tmp_path, "silent", "import time; time.sleep(60)", ready_within=timedelta(seconds=0.2)
    )
    with pytest.raises(ServiceFailed, match=r"not ready within 0\.2 s: it has not said 'serving'"):
        supervisor.start(silent)


def test_a_service_whose_probe_breaks_fails_and_is_stopped(tmp_path, supervisor):
    def probe() -> None:
        raise KeyError("devices")

    with pytest.raises(ServiceFailed, match="cannot be watched: KeyError"):
        supervisor.start(service(tmp_path, "unwatched", STOPS_ON_TERM, probe=probe))
    assert not is_running(supervisor.pid("unwatched"))


def test_an_interrupt_while_a_service_starts_ends_it(tmp_path):
    holder = f"""
from pathlib import Path
from tests.integration.test_supervisor import says, service
from infra.local.background import BackgroundSupervisor
from infra.local.exit_signals import exit_on_signals
from infra.local.supervisor import Supervisor
here = Path({str(tmp_path)!r})
with exit_on_signals(), BackgroundSupervisor(Supervisor(here / "logs")) as background:
    background.start(service(here, "slow", {SAYS_PID!r}, probe=says(here, "slow", "never")))
"""
    with subprocess.Popen([sys.executable, "-c", holder]) as supervisor:
        log = tmp_path / "logs" / "slow.log"
        wait_until(lambda: log.exists() and log.read_text(), description="the service has started")
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(timeout=10) == 130
    assert not is_running(int(log.read_text().split()[0]))


def test_an_interrupt_that_does_not_wake_who_waits_is_heard_too(tmp_path):
    """One that comes just before a thread waits does not; nor does one that another thread is given."""
    holder = f"""
import signal, threading
from pathlib import Path
from tests.integration.test_supervisor import service
from infra.local.background import BackgroundSupervisor
from infra.local.exit_signals import exit_on_signals
from infra.local.supervisor import NotReady, Supervisor
def interrupts():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    raise NotReady("never")
here = Path({str(tmp_path)!r})
with exit_on_signals(), BackgroundSupervisor(Supervisor(here / "logs")) as background:
    background.start(service(here, "slow", {SAYS_PID!r}, probe=interrupts))
"""
    done = subprocess.run([sys.executable, "-c", holder], timeout=30, check=False)
    assert done.returncode == 130


def test_lines_are_echoed_with_the_name_of_their_service(tmp_path):
    heard: list[tuple[str, str]] = []
    supervisor = Supervisor(tmp_path / "logs", echo=lambda *line: heard.append(line))
    with BackgroundSupervisor(supervisor) as background:
        background.start(service(tmp_path, "talker", STOPS_ON_TERM))
    assert heard == [("talker", "serving"), ("talker", "told to stop")]


def test_the_log_of_the_run_before_is_kept(tmp_path):
    for _ in range(2):
        with BackgroundSupervisor(Supervisor(tmp_path / "logs")) as background:
            background.start(service(tmp_path, "talker", STOPS_ON_TERM))
    assert log_of(tmp_path, "talker") == "serving\ntold to stop\n"
    assert (tmp_path / "logs" / "talker.log.1").read_text() == "serving\ntold to stop\n"


def test_services_stop_in_good_order_when_their_supervisor_is_killed(tmp_path):
    holder = f"""
import os, sys, time
from datetime import timedelta
from pathlib import Path
from tests.integration.test_supervisor import HAS_CHILD, service
from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
here = Path({str(tmp_path)!r})
with BackgroundSupervisor(Supervisor(here / "logs")) as background:
    background.start(service(here, "orphan", HAS_CHILD))
    print(background.pid("orphan"), flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        orphan = int(supervisor.stdout.readline())
        wait_until((tmp_path / "child").exists, description="the child has been started")
        child = int((tmp_path / "child").read_text())
        supervisor.kill()
    wait_until(lambda: not is_running(orphan), description="the service is gone", within_s=20)
    wait_until(lambda: not is_running(child), description="its child is gone", within_s=20)
    assert "parent ends\ntold to stop\n" in log_of(tmp_path, "orphan")
