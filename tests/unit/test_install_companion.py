from __future__ import annotations

from pathlib import Path

import pytest

from producer.cli.companion import NoComfyUI, gain_of, gains_here, install_companion
from producer.contract.nodes import Node, NodeState

PARTS = {path.name for path in Path("infra/companion_node").glob("*.py")}


@pytest.fixture
def custom_nodes(tmp_path):
    """The folder of a ComfyUI where extensions go."""
    folder = tmp_path / "custom_nodes"
    folder.mkdir()
    return folder


def test_the_whole_package_is_copied_and_nothing_beside(custom_nodes):
    target = install_companion(custom_nodes.parent)

    assert list(custom_nodes.iterdir()) == [target]
    assert {path.name for path in target.iterdir()} == PARTS


def test_an_older_one_is_replaced(custom_nodes):
    target = custom_nodes / "comfyfleet_companion"
    target.mkdir()
    (target / "old.py").write_text("")

    assert install_companion(custom_nodes.parent) == target
    assert {path.name for path in target.iterdir()} == PARTS


def test_a_link_is_replaced_and_not_followed(custom_nodes, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (custom_nodes / "comfyfleet_companion").symlink_to(mine)

    assert not install_companion(custom_nodes.parent).is_symlink()
    assert not list(mine.iterdir())


def test_another_folder_is_no_comfyui(tmp_path):
    with pytest.raises(NoComfyUI, match="it has no folder custom_nodes"):
        install_companion(tmp_path)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"companion": False}, "gpu-01 has had none so far"),
        ({"companion": True}, "less than 10 s"),
        ({"companion": True, "companion_gained_s": 640}, "640 s of encoding that no render waited"),
    ],
)
def test_what_it_gained_is_told_in_words(known, expected):
    node = Node(name="gpu-01", pool="default", url="http://a:1", state=NodeState.READY, **known)
    assert expected in gain_of(node)


def test_without_a_fleet_nothing_is_told(monkeypatch):
    monkeypatch.setenv("COMFYFLEET_REDIS_URL", "redis://127.0.0.1:1/0")
    assert list(gains_here()) == []
