"""When a worker counts as of no use, and what systemd is told."""

from __future__ import annotations

import socket
import threading

import pytest

from worker.watchdog import JobThreads, LifeSigns, Watchdog, notify


def watchdog(*, polled=0.0, looped=0.0, answered=1000.0, die=lambda: None):
    signs = LifeSigns(polled=lambda: polled, looped=lambda: looped, answered=lambda: answered)
    return Watchdog(signs, poll_timeout_s=40, die=die)


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ({}, None),
        ({"polled": 39.0, "looped": 39.0}, None),
        ({"polled": 41.0}, "no messages were asked for in 41 s"),
        # Redis is away: nobody can poll, and the worker is right to wait.
        ({"polled": 300.0, "answered": 0.0}, None),
        # It is back, and kombu's pause of 30 s has only just begun.
        ({"polled": 300.0, "answered": 69.0}, None),
        ({"polled": 300.0, "answered": 71.0}, "no messages were asked for in 300 s"),
        # One round of the lease thread, with a beat that Redis does not answer.
        ({"looped": 80.0, "answered": 0.0}, None),
        ({"looped": 181.0, "answered": 0.0}, "leases were not renewed for 181 s"),
    ],
)
def test_only_what_the_worker_itself_fails_at_speaks_against_it(signs, said):
    assert watchdog(**signs).problem() == said


def test_a_worker_of_no_use_is_ended():
    ended = threading.Event()
    dog = watchdog(looped=200.0, die=ended.set)
    dog.start()
    assert ended.wait(5)


def test_who_has_no_free_thread_need_not_ask_for_messages():
    threads = JobThreads(2)
    began = threads.free_since
    with threads:
        assert threads.free_since == began
        with threads:
            assert began < threads.free_since < threads.free_since
        freed = threads.free_since
        assert began < freed
    assert threads.free_since == freed


def test_systemd_is_told_in_its_own_words(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        dog = watchdog()
        dog.start()
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
        dog.stop()
        while (told := systemd.recv(64)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"


def test_nobody_listening_is_no_trouble(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    notify("READY=1")
