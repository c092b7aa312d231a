"""Addresses that strangers name: what is asked, and what nobody is asked for, however it is written."""

# ruff: noqa: RUF001 - look-alike letters are what strangers try

from __future__ import annotations

import io

import pytest

from producer.contract.config.public_addresses import is_public
from producer.contract.config.settings import load_settings
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.config.web_address import WebAddress
from producer.contract.errors import AddressRefused, InvalidSettings
from producer.outbound.outbound import Outbound

#: What a stranger's own name server says; a name that is not here is looked up for real.
NAMES = {
    "loop.example": ["127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "azure.example": ["168.63.129.16"],
    "both.example": ["93.184.216.34", "10.0.0.7"],
    "six.example": ["2606:2800:220:1::1", "fd00::1"],
    "zone.example": ["fe80::1%1"],
    "carrier.example": ["100.64.3.4"],
    "nobody.example": ["0.0.0.0"],
}

REFUSED = {
    "loopback": "http://127.0.0.1/",
    "loopback, the rest of its network": "http://127.8.9.10/",
    "decimal": "http://2130706433/",
    "decimal of a private one": "http://167772161/",
    "octal": "http://0177.0.0.1/",
    "octal of all": "http://017700000001/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1/",
    "short form": "http://127.1/",
    "shorter form": "http://127.0.1/",
    "zero": "http://0/",
    "unspecified": "http://0.0.0.0/",
    "leading zeros": "http://127.000.000.001/",
    "an overflow that wraps": "http://4429185025/",
    "five parts": "http://127.0.0.0.1/",
    "a number at the end of a name": "http://example.0x7f/",
    "private, 10": "https://10.1.2.3/",
    "private, 172": "https://172.31.255.1/",
    "private, 192": "https://192.168.0.1/",
    "carrier's": "http://100.64.0.1/",
    "benchmarks": "http://198.19.0.1/",
    "documentation": "http://192.0.2.5/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "reserved": "http://240.0.0.1/",
    "metadata, most clouds": "http://169.254.169.254/latest/meta-data/",
    "metadata, containers": "http://169.254.170.2/v2/credentials",
    "metadata, Alibaba": "http://100.100.100.200/",
    "metadata, Oracle": "http://192.0.0.192/",
    "metadata, Azure": "http://168.63.129.16/",
    "metadata, IPv6": "http://[fd00:ec2::254]/",
    "metadata by name": "http://metadata.google.internal/",
    "IPv6 loopback": "http://[::1]/",
    "IPv6 loopback in full": "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "IPv6 unspecified": "http://[::]/",
    "IPv4 mapped": "http://[::ffff:127.0.0.1]/",
    "IPv4 mapped, hexadecimal": "http://[::ffff:7f00:1]/",
    "IPv4 compatible": "http://[::127.0.0.1]/",
    "IPv4 translated": "http://[::ffff:0:127.0.0.1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "Teredo": "http://[2001:0:4136:e378:8000:63bf:807f:fffe]/",
    "NAT64": "http://[64:ff9b::127.0.0.1]/",
    "NAT64 of a network": "http://[64:ff9b:1::a00:1]/",
    "ISATAP": "http://[2a00::5efe:7f00:1]/",
    "unique local": "http://[fc00::1]/",
    "link-local": "http://[fe80::1]/",
    "zone": "http://[fe80::1%25eth0]/",
    "zone of a public one": "http://[2606:2800:220:1::1%25lo]/",
    "IPv6 multicast": "http://[ff02::1]/",
    "site-local": "http://[fec0::1]/",
    "IPv6 without brackets": "http://::1/",
    "user": "http://example.org@127.0.0.1/",
    "user and password": "https://user:hunter2@example.org/",
    "password of another scheme": "ftp://user:hunter2@example.org/",
    "user that holds a slash": "http://example.org%2F@127.0.0.1/",
    "backslash": "http://example.org\\@127.0.0.1/",
    "backslash at the path": "http:\\\\127.0.0.1/",
    "port of mail": "http://example.org:25/",
    "port of Redis": "http://example.org:6379/",
    "port of SSH": "https://example.org:22/",
    "port zero": "http://example.org:0/",
    "port too high": "http://example.org:65616/",
    "port in letters": "http://example.org:http/",
    "port in other digits": "http://example.org:８０/",
    "two ports": "http://example.org:80:80/",
    "file": "file:///etc/passwd",
    "ftp": "ftp://example.org/x",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "data": "data:image/png;base64,AAAA",
    "dict": "dict://127.0.0.1:11211/stat",
    "unix socket": "unix:///var/run/docker.sock",
    "unix socket over http": "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "no scheme": "//127.0.0.1/",
    "no slashes": "http:127.0.0.1/",
    "one slash": "http:/127.0.0.1/",
    "three slashes": "http:///127.0.0.1/",
    "a blank before": " http://127.0.0.1/",
    "line end in the path": "http://example.org/\r\nHost: 127.0.0.1",
    "line end in the host": "http://example.org\r\n.127.0.0.1/",
    "tab in the scheme": "ht\ttp://127.0.0.1/",
    "NUL": "http://example.org\x00.127.0.0.1/",
    "full-width digits": "http://１２７.０.０.１/",
    "digits in circles": "http://①②⑦.⓪.⓪.①/",
    "ideographic full stop": "http://127。0。0。1/",
    "letters of other scripts": "http://lоcalhost/",
    "percent-encoded host": "http://%31%32%37.0.0.1/",
    "trailing dot": "http://127.0.0.1./",
    "trailing dot of a name": "http://localhost./",
    "localhost": "http://localhost/",
    "LOCALHOST": "http://LOCALHOST/",
    "below localhost": "http://app.localhost/",
    "its long name": "http://localhost.localdomain/",
    "its IPv6 name": "http://ip6-localhost/",
    "a host of the network": "http://redis/",
    "a name of the office": "http://wiki.corp/",
    "a printer": "http://printer.local/",
    "Kubernetes": "https://kubernetes.default.svc.cluster.local/",
    "a name that means loopback": "http://loop.example/",
    "a name that means loopback, mapped": "http://mapped.example/",
    "a name that means metadata": "http://metadata.example/",
    "a name that means Azure's": "http://azure.example/",
    "one private address among public ones": "http://both.example/",
    "one private IPv6 address among public ones": "https://six.example/",
    "a name with a zone": "http://zone.example/",
    "a name that means the carrier's": "http://carrier.example/",
    "a name that means nobody": "http://nobody.example/",
    "nothing": "",
    "no host": "http:///",
    "an empty label": "http://a..example/",
    "a label too long": f"http://{'a' * 64}.example/",
    "too long": f"http://example.org/{'a' * 2_100}",
    "bytes": b"http://127.0.0.1/",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
def test_nobody_is_asked_for(url):
    outbound = Outbound(TrustedHosts(), resolve=lambda host, _: NAMES[host])
    with pytest.raises(AddressRefused) as refused:
        outbound.fetch(url, io.BytesIO(), most_bytes=100, within_s=5)
    assert "hunter2" not in str(refused.value)
    assert len(str(refused.value)) < 220
    with pytest.raises(AddressRefused):
        outbound.post(url, b"{}", headers={}, within_s=5)


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("https://example.org", "example.org", "/"),
        ("HTTPS://Example.ORG:443/a?b=c#d", "example.org", "/a?b=c"),
        ("http://example.org:8080/ä b"[:-2], "example.org:8080", "/%C3%A4"),
        ("https://93.184.216.34/%20", "93.184.216.34", "/%20"),
        ("https://[2606:2800:220:1::1]:8443/", "[2606:2800:220:1::1]:8443", "/"),
        ("http://example.org#@127.0.0.1/", "example.org", "/"),
        ("https://xn--fiq228c.example?x=1", "xn--fiq228c.example", "/?x=1"),
    ],
)
def test_a_public_address_is_read_as_it_is(url, place, path):
    found = WebAddress.parse(url)
    assert (found.place, found.path) == (place, path)
    TrustedHosts().check_place(found)


def test_public_is_what_the_internet_has():
    public = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1")
    assert [is_public(address) for address in public] == [True] * 5
    assert not any(map(is_public, ("", "example.org", "1.1.1", "01.1.1.1", "::ffff:0:1.1.1.1")))


def check(trusted: str, url: str, *addresses: str) -> None:
    target, hosts = WebAddress.parse(url), TrustedHosts.parse(trusted)
    hosts.check_place(target)
    hosts.check_addresses(target, list(addresses) or [target.host])


def test_the_operator_may_trust_hosts_by_name_address_and_network():
    trusted = "minio, hooks.internal:9000, 127.0.0.1, 10.1.0.0/16, [::1]:8188"
    check(trusted, "http://minio:9000/x", "10.9.9.9")
    check(trusted, "http://hooks.internal:9000/x", "127.0.0.1")
    check(trusted, "http://127.0.0.1:5000/x")
    check(trusted, "http://10.1.2.3/x")
    check(trusted, "http://[::1]:8188/x")
    check(trusted, "http://elsewhere.example/x", "10.1.200.3")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://hooks.internal:9001/x", "127.0.0.1"),
        ("http://sub.minio/x", "10.9.9.9"),
        ("http://minio/x", "169.254.169.254"),  # whoever says what the name means
        ("http://minio/x", "fd00:ec2::254"),
        ("http://minio/x", "0.0.0.0"),
        ("http://10.2.0.1/x", "10.2.0.1"),
        ("http://[::1]:8189/x", "::1"),
        ("http://elsewhere.example/x", "127.0.0.1"),
    ],
)
def test_trust_goes_no_further_than_it_is_given(url, address):
    with pytest.raises(AddressRefused):
        check("minio, hooks.internal:9000, 10.1.0.0/16, [::1]:8188", url, address)


@pytest.mark.parametrize(
    "text", ["a b", "http://minio", "minio/x", "10.0.0.0/99", "user@minio", "1.2"]
)
def test_a_trusted_host_that_makes_no_sense_is_refused_by_its_setting(text):
    with pytest.raises(InvalidSettings, match=r"COMFYFLEET_TRUSTED_HOSTS: .* is no HOST"):
        load_settings(trusted_hosts=text)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:9000/", "127.0.0.1"),
        ("http://[::1]:8189/x", "::1"),
        ("http://hooks.internal/x", "10.9.9.9"),
        ("http://localhost:9001/x", "127.0.0.1"),
    ],
)
def test_what_is_refused_says_how_the_operator_allows_it(url, address):
    with pytest.raises(AddressRefused) as caught:
        check("", url, address)
    before, _, advised = caught.value.advice.rpartition("COMFYFLEET_TRUSTED_HOSTS=")
    assert before
    check(advised, url, address)
