"""Settings: where they come from, and what is said when one makes no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from producer.contract.settings import (
    InvalidSettings,
    Settings,
    check_name,
    load_settings,
    settings_file,
    without_password,
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYFLEET_CONFIG", raising=False)
    monkeypatch.delenv("COMFYFLEET_REDIS_URL", raising=False)


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "comfyfleet.toml").write_text('s3_bucket = "file"\ns3_prefix = "a/b"\n')
    monkeypatch.setenv("COMFYFLEET_S3_BUCKET", "environment")
    settings = load_settings()
    assert (settings.s3_bucket, settings.s3_prefix) == ("environment", "a/b")


def test_a_running_stack_is_found_without_a_setting(tmp_path):
    (tmp_path / ".comfyfleet").mkdir()
    (tmp_path / ".comfyfleet/comfyfleet.toml").write_text('redis_url = "redis://here:1/0"\n')
    assert load_settings().redis_url == "redis://here:1/0"


def test_a_file_that_is_named_must_be_there(monkeypatch):
    monkeypatch.setenv("COMFYFLEET_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidSettings, match=r"COMFYFLEET_CONFIG names nowhere\.toml"):
        settings_file()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REDIS_URL", "http://x", "COMFYFLEET_REDIS_URL: .*expected redis://"),
        ("LEASE_S", "soon", "COMFYFLEET_LEASE_S: .*number"),
        ("LEASE_S", "-1", "COMFYFLEET_LEASE_S: .*greater than 0"),
        ("START_WITHIN_S", "inf", "COMFYFLEET_START_WITHIN_S: .*less than or equal to 315360000"),
        ("S3_ADDRESSING_STYLE", "sideways", "COMFYFLEET_S3_ADDRESSING_STYLE: .*'path'"),
        ("S3_ENDPOINT_URL", "http://me:secret@s3", "COMFYFLEET_S3_ENDPOINT_URL: .*belong here"),
        ("S3_PREFIX", "a/../b", "COMFYFLEET_S3_PREFIX: .*dotted"),
    ],
)
def test_a_wrong_setting_is_named_by_its_variable(monkeypatch, name, value, said):
    monkeypatch.setenv(f"COMFYFLEET_{name}", value)
    with pytest.raises(InvalidSettings, match=said):
        load_settings()


def test_broken_toml_names_the_file(tmp_path):
    (tmp_path / "comfyfleet.toml").write_text("s3_bucket = \n")
    with pytest.raises(InvalidSettings, match=r"settings file comfyfleet\.toml"):
        load_settings()


def test_no_password_is_shown():
    assert without_password("redis://u:secret@host:1/0") == "redis://***@host:1/0"
    assert without_password("redis://host:1/0") == "redis://host:1/0"


def test_a_bad_name_says_what_a_name_is():
    with pytest.raises(InvalidSettings, match=r"--name: 'GPU 1' is no name; use lower-case"):
        check_name("GPU 1", field="--name")


def test_the_settings_page_knows_every_setting():
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    written = set(re.findall(r"^\| `COMFYFLEET_(\w+)`", page, re.MULTILINE))
    assert written == {name.upper() for name in Settings.model_fields}
