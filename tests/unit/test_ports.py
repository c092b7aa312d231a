"""Ports of the embedded servers: two that start side by side never get the same one."""

from __future__ import annotations

from infra.local.ports import choose_ports


def test_no_port_is_given_again_before_its_server_listens():
    # Of 7,232, so that two of them would be the same but once in 500 runs.
    given = [choose_ports(["api"], {})["api"] for _ in range(300)]
    assert len(set(given)) == len(given)


def test_a_kept_port_is_given_again():
    [port] = choose_ports(["redis"], {}).values()
    assert choose_ports(["redis"], {"redis": port}) == {"redis": port}
