"""Addresses as people write them: taken, or refused with the mend and without the secret."""

from __future__ import annotations

import re
import ssl
import traceback

import pytest
from kombu import Connection

from producer.contract.config.addresses import split_address, without_password
from producer.contract.config.redis_address import RedisAddress
from producer.contract.config.settings import load_settings
from producer.contract.errors import InvalidSettings


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


@pytest.mark.parametrize(
    ("url", "where", "broker"),
    [
        ("redis://h", ("h", 6379, 0, None, None, None), "redis://h:6379/0"),
        ("redis://", ("localhost", 6379, 0, None, None, None), "redis://localhost:6379/0"),
        ("redis://:p%23w@h:1/2", ("h", 1, 2, None, None, "p#w"), "redis://:p%23w@h:1/2"),
        ("redis://me:p%40%2Fw@h/3/", ("h", 6379, 3, None, "me", "p@/w"), "redis://me:p%40%2Fw@h:6379/3"),
        ("redis://:a:b@h?db=4", ("h", 6379, 4, None, None, "a:b"), "redis://:a%3Ab@h:6379/4"),
        ("redis://h?password=p;w", ("h", 6379, 0, None, None, "p;w"), "redis://:p%3Bw@h:6379/0"),
        ("redis://[::1]:7/1", ("::1", 7, 1, None, None, None), "redis://[::1]:7/1"),
        ("unix:///run/r.sock?db=2", (None, None, 2, "/run/r.sock", None, None), "redis+socket:///run/r.sock?virtual_host=2"),
        ("redis+socket:///run/r.sock?virtual_host=2", (None, None, 2, "/run/r.sock", None, None), "redis+socket:///run/r.sock?virtual_host=2"),
        ("unix://me:p@/run/r%20s", (None, None, 0, "/run/r s", "me", "p"), "redis+socket://me:p@/run/r%20s?virtual_host=0"),
    ],
)  # fmt: skip
def test_both_connections_are_made_of_one_reading(url, where, broker):
    address = RedisAddress.parse(url)
    options = address.client_options
    names = ("host", "port", "db", "unix_socket_path", "username", "password")
    assert tuple(options.get(name) for name in names) == where
    assert address.broker_url == broker
    assert RedisAddress.parse(broker) == address


def test_kombu_reads_what_it_is_given_as_redis_py_does():
    address = RedisAddress.parse("redis://me:p%40%2F%3Bw@[::1]:7/2")
    with Connection(address.broker_url) as broker:
        assert (broker.hostname, broker.port, broker.virtual_host) == ("::1", 7, "2")
        assert (broker.userid, broker.password) == ("me", "p@/;w")
    assert "p@" not in repr(address)


@pytest.mark.parametrize(
    ("query", "requirement", "checks"),
    [
        ("", "required", True),
        ("?ssl_cert_reqs=CERT_REQUIRED", "required", True),
        ("?ssl_cert_reqs=optional", "optional", True),
        ("?ssl_cert_reqs=CERT_NONE", "none", False),
        ("?ssl_cert_reqs=none", "none", False),
        ("?ssl_check_hostname=False", "required", False),
    ],
)
def test_a_certificate_is_verified_by_both_unless_said_otherwise(query, requirement, checks):
    address = RedisAddress.parse(f"rediss://h{query}")
    options = address.client_options
    assert options["ssl"] is True
    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (requirement, checks)
    with Connection(address.broker_url) as connection:
        assert connection.ssl["ssl_cert_reqs"] is getattr(ssl, f"CERT_{requirement.upper()}")
        assert connection.ssl["ssl_check_hostname"] is checks


def test_a_certificate_of_ones_own_reaches_both(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).touch()
    url = "rediss://h?ssl_ca_certs=~/ca.pem&ssl_certfile=~/me.pem&ssl_keyfile=~/me.key"
    address = RedisAddress.parse(url)
    with Connection(address.broker_url) as connection:
        for option, file in (("ca_certs", "ca.pem"), ("certfile", "me.pem"), ("keyfile", "me.key")):
            assert address.client_options[f"ssl_{option}"] == str(tmp_path / file)
            assert connection.ssl[f"ssl_{option}"] == str(tmp_path / file)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:secret@h", "expected redis://HOST"),
        ("h:6379", "expected redis://HOST"),
        ("", "expected redis://HOST"),
        ("sentinel://:secret@h:26379/mymaster", "Sentinel is not supported: give the primary's"),
        ("redis+sentinel://h", "Sentinel is not supported"),
        ("redis-cluster://h", "a cluster is not supported"),
        ("valkey://h", "write redis://"),
        ("redis://:secret@a/0;redis://:secret@b/0", "one address is expected, not a list"),
        ("redis://:sec#ret@h:1/0", "write # as %23"),
        ("redis://:secret/x@h:1/0", "/ as %2F"),
        ("redis://h/zero", "a database is a number"),
        ("redis://h/-1", "a database is a number"),
        ("redis://h/0/secret", "a database is a number"),
        ("redis:///run/redis.sock", "a socket is written unix:///PATH"),
        ("redis://h/1?db=2", "two databases are named"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix://", "three slashes"),
        ("unix:///r.sock?db=x", "a database is a number"),
        ("redis://secret@h", "write :PASSWORD@HOST"),
        ("redis://h/0#secret", "leave off what begins with #"),
        ("redis://h?ssl_cert_reqs=none", "means something with rediss:// alone"),
        ("rediss://h?ssl_cert_reqs=maybe", "expected required, optional or none"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca", "ssl_ca_certs names '/nowhere/ca', which is no file"),
        ("rediss://h?ssl_keyfile=/dev/null", "is no file"),
        ("redis://h?socket_timeout=5", "the option 'socket_timeout' is not known"),
    ],
)  # fmt: skip
def test_an_address_of_redis_is_refused_in_one_line_with_the_mend(url, said):
    with pytest.raises(InvalidSettings, match=f"COMFYFLEET_REDIS_URL: .*{re.escape(said)}") as exc:
        load_settings(redis_url=url)
    assert "\n" not in str(exc.value)
    assert "secret" not in str(exc.value)
    assert "ret@" not in str(exc.value)
    assert "secret" not in "".join(traceback.format_exception(exc.value))
