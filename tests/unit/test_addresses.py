"""Addresses as people write them: taken, or refused with the mend and without the secret."""

from __future__ import annotations

import pytest

from producer.contract.addresses import split_address, without_password
from producer.contract.settings import InvalidSettings, load_settings


@pytest.fixture(autouse=True)
def _without_settings_of_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "REDIS_URL", "S3_ENDPOINT_URL", "S3_BUCKET"):
        monkeypatch.delenv(f"COMFYFLEET_{name}", raising=False)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@host:1/0", "redis://***@host:1/0"),
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://:pa#secret@host", "redis://***@host"),
        ("redis://:secret/x?y@host:1/0", "redis://***@host:1/0"),
        ("u:secret@host:1", "***@host:1"),
        ("https://host/x?token=secret#secret", "https://host/x?***"),
        ("https://host/?secret", "https://host/?***"),
    ],
)
def test_no_secret_of_an_address_is_shown(url, shown):
    assert without_password(url) == shown


@pytest.mark.parametrize("raw", ["#", "/", "?", "[", "]", "%", "#/", "1/", "%zz", "@/"])
def test_a_sign_that_ends_a_host_is_refused_within_a_password(raw):
    with pytest.raises(ValueError, match="percent-encode user and password: write # as %23") as exc:
        split_address(f"redis://:se{raw}cret@host:6379/0")
    assert "cret" not in str(exc.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:port/0",
        "redis://:secret",
        "redis://ho st",
        "redis://h:99999",
        "redis://[::1/0",
    ],
)
def test_what_is_no_host_and_port_is_refused(url):
    with pytest.raises(ValueError, match=r"expected \[USER:PASSWORD@\]HOST\[:PORT\]") as exc:
        split_address(url)
    assert "secret" not in str(exc.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "s3_endpoint_url",
            "http://h:1/comfyfleet",
            "ends in the bucket's name: leave /comfyfleet off",
        ),
        ("s3_endpoint_url", "http://h:1/x/comfyfleet/", "ends in the bucket's name"),
        (
            "s3_public_endpoint_url",
            "https://cdn.example.com/comfyfleet",
            "ends in the bucket's name",
        ),
        (
            "s3_endpoint_url",
            "https://comfyfleet.s3.eu-west-1.amazonaws.com",
            r"leave comfyfleet\. off",
        ),
        ("s3_endpoint_url", "s3.lan:9000", "write https://s3.lan:9000"),
        ("s3_endpoint_url", "//s3.lan", "write https://s3.lan"),
        ("s3_endpoint_url", "s3://comfyfleet", "give it as COMFYFLEET_S3_BUCKET"),
        ("s3_endpoint_url", "http://me:secret@s3.lan", "credentials do not belong here"),
        ("s3_endpoint_url", "http://me:se#cret@s3.lan", "credentials do not belong here"),
        ("s3_endpoint_url", "http://s3.lan?secret=1", "leave off what begins with"),
        ("s3_endpoint_url", "ftp://s3.lan", "expected http://HOST:PORT"),
        ("s3_endpoint_url", "http://s3 lan", "HOST"),
        ("s3_bucket", "s3://renders", "write renders"),
        ("s3_bucket", "renders/", "write renders"),
        ("s3_bucket", "renders/2026", "write renders, and COMFYFLEET_S3_PREFIX=2026"),
        ("s3_bucket", "s3://renders/a/b/", "write renders, and COMFYFLEET_S3_PREFIX=a/b"),
        ("s3_bucket", "http://s3.lan/renders", "goes to COMFYFLEET_S3_ENDPOINT_URL"),
        ("s3_bucket", "my renders", "'my renders' is no bucket's name"),
        ("s3_bucket", "ab", "is no bucket's name"),
        ("s3_bucket", "10.0.0.1", "is no bucket's name"),
    ],
)
def test_a_store_is_refused_in_one_line_with_the_mend(name, value, said):
    with pytest.raises(InvalidSettings, match=said) as exc:
        load_settings(**{name: value})
    assert f"COMFYFLEET_{name.upper()}: " in str(exc.value)
    assert "\n" not in str(exc.value)
    assert "secret" not in str(exc.value)


def test_a_bucket_called_as_its_host_is_no_mistake():
    settings = load_settings(s3_endpoint_url="http://minio.lan:9000/", s3_bucket="minio")
    assert settings.s3_endpoint_url == "http://minio.lan:9000"
    assert load_settings(s3_bucket="arn:aws:s3:eu-west-1:1:accesspoint/x").s3_bucket.startswith(
        "arn:"
    )
