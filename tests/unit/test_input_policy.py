"""What a producer that is a server reads for strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.contract.classes.files import FileInput
from producer.contract.errors import InvalidInput
from producer.intake.input_policy import InputPolicy

FILE = FileInput("34", "image", "x.png")


@pytest.fixture
def allowed(tmp_path) -> Path:
    """A folder with a picture in it, beside a file that is nobody's business."""
    (tmp_path / "secret.png").write_bytes(b"s")
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not/a.png").write_bytes(b"n")
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "inner.png").symlink_to(folder / "a.png")
    return folder


def check(policy, value):
    return policy.checked(value, FILE, "inputs.34.image")


@pytest.mark.parametrize("name", ["a.png", "inner.png", "x/../a.png"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_below_a_listed_folder_is_read_where_it_really_is(allowed, name, kind):
    assert check(InputPolicy(folders=[allowed]), kind(allowed / name)) == allowed / "a.png"


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "out.png", "up/secret.png", "../allowed-not/a.png", "../absent", "circle/a",
     "/etc/hostname", "a\0.png"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_elsewhere_is_refused_and_nothing_told_of_it(allowed, name, kind):
    with pytest.raises(InvalidInput, match="that this producer does not read") as caught:
        check(InputPolicy(folders=[allowed]), kind(allowed / name))
    assert (caught.value.field, caught.value.graph_node) == ("inputs.34.image", "34")


@pytest.mark.parametrize("value", ["s3://b/k", "s3://b/k?x", "s3://b//../k"])
def test_an_object_of_a_listed_bucket_is_taken(value):
    assert check(InputPolicy(buckets=["b"]), value) == value


@pytest.mark.parametrize(
    "value", ["s3://c/k", "s3://b@c/k", "s3://bb/k", "s3://", "s3:///k", "s3://b"]
)
def test_any_other_object_is_refused(value):
    with pytest.raises(InvalidInput, match="does not read"):
        check(InputPolicy(buckets=["b"]), value)


def test_bytes_only_means_bytes_only(allowed):
    policy = InputPolicy.bytes_only()
    assert check(policy, b"png") == b"png"
    for value in ("node:", "node:x.png", "s3://b/k", str(allowed / "a.png"), "", "~/x.png"):
        with pytest.raises(InvalidInput, match="does not read"):
            check(policy, value)


@pytest.mark.parametrize("value", ["node:x.png", "s3://c/k", "/etc/hostname", Path("x"), b"x"])
def test_without_limits_all_is_taken_as_it_came(value):
    assert check(InputPolicy(), value) is value


def test_a_long_value_is_not_repeated():
    with pytest.raises(InvalidInput) as caught:
        check(InputPolicy.bytes_only(), "x" * 5_000 + "\x1b[2J")
    assert len(str(caught.value)) < 500
    assert "\x1b" not in str(caught.value)
