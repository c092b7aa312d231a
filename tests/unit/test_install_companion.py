from __future__ import annotations

from pathlib import Path

import pytest

from producer.cli.companion import NoComfyUI, install_companion

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
