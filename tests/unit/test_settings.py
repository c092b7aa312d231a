"""Settings: where they come from, and what is said when one makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.contract.config.settings import (
    check_name,
    load_settings,
    settings_file,
    without_password,
)
from producer.contract.errors import InvalidSettings


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


@pytest.mark.parametrize(
    ("variable", "value", "field", "means"),
    [
        ("LEASE_S", ' "20" ', "lease_s", 20),
        ("S3_BUCKET", "'renders'", "s3_bucket", "renders"),
        ("S3_PREFIX", "  a/b\t", "s3_prefix", "a/b"),
        ("S3_ENDPOINT_URL", "", "s3_endpoint_url", None),
        ("REDIS_URL", '""', "redis_url", "redis://127.0.0.1:6379/0"),
        ("RENEW_S", "  ", "renew_s", 5),
        ("NODE_SPOOL_DIR", "~/spool", "node_spool_dir", Path("/home/me/spool")),
        ("MAX_QUEUED", "1000", "max_queued", 1000),
    ],
)
def test_what_tools_leave_around_a_value_is_not_part_of_it(
    monkeypatch, variable, value, field, means
):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv(f"COMFYFLEET_{variable}", value)
    assert getattr(load_settings(), field) == means


def test_an_empty_variable_hides_nothing_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "comfyfleet.toml").write_bytes(b'\xef\xbb\xbfs3_bucket = "file"\n')
    monkeypatch.setenv("COMFYFLEET_S3_BUCKET", " ")
    assert load_settings().s3_bucket == "file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('s3_bucket = "x"\nlease_s = -1\n', r"COMFYFLEET_LEASE_S: .* \(comfyfleet\.toml, line 2\)"),
        ("\nleases = 5\n", r"comfyfleet\.toml: line 2: leases is no setting; did you mean lease_s"),
        ("[redis]\nurl = 'x'\n", r"comfyfleet\.toml: line 1: redis is no setting"),
        ("\nlease_s = 5 s\n", r"comfyfleet\.toml: .*line 2"),
        ("lease_s = 5\nlease_s = 6\n", r"comfyfleet\.toml: .*line 2"),
        ("renew_s = 20\n", r"COMFYFLEET_RENEW_S is 20 s and COMFYFLEET_LEASE_S 15 s: a lease must"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named_with_its_line(tmp_path, text, said):
    (tmp_path / "comfyfleet.toml").write_text(text)
    with pytest.raises(InvalidSettings, match=said) as exc:
        load_settings()
    assert "\n" not in str(exc.value)


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
        ("LEASE_S", "nan", "COMFYFLEET_LEASE_S: .*"),
        ("LEASE_S", "inf", "COMFYFLEET_LEASE_S: .*less than or equal"),
        ("LEASE_S", "1e300", "COMFYFLEET_LEASE_S: .*less than or equal"),
        ("LEASE_S", "15s", "COMFYFLEET_LEASE_S: .*number"),
        ("LEASE_S", "5", "COMFYFLEET_RENEW_S is 5 s and COMFYFLEET_LEASE_S 5 s: a lease must last"),
        ("SWEEP_S", "0", "COMFYFLEET_SWEEP_S: .*greater than 0"),
        ("KEEP_ENDED_S", "inf", "COMFYFLEET_KEEP_ENDED_S: .*"),
        ("MAX_QUEUED", "-1", "COMFYFLEET_MAX_QUEUED: .*greater than or equal to 0"),
        ("MAX_QUEUED", "1" + "0" * 30, "COMFYFLEET_MAX_QUEUED: .*less than or equal"),
        ("MAX_INPUT_BYTES", "100MB", "COMFYFLEET_MAX_INPUT_BYTES: .*integer"),
        ("S3_REGION", "eu central", "COMFYFLEET_S3_REGION: 'eu central' is no region's name"),
        (
            "S3_CREDENTIALS_FILE",
            "/nowhere",
            "COMFYFLEET_S3_CREDENTIALS_FILE: names /nowhere, which",
        ),
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
