"""Addresses of nodes, and what proxies before them want: read, refused, and never shown."""

from __future__ import annotations

import traceback

import pytest

from producer.cli.processes import _split
from producer.contract.config.node_address import NodeAddress
from producer.contract.config.node_credentials import NodeCredentials, credentials_of
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidSettings
from producer.contract.nodes import Node


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://gpu:8188", "http://gpu:8188"),
        ("http://gpu:8188/", "http://gpu:8188"),
        ("http://gpu:8188/#/", "http://gpu:8188"),
        (" 'HTTP://gpu:8188' ", "http://gpu:8188"),
        ("https://proxy.lan/comfy/", "https://proxy.lan/comfy"),
        ("https://me:sesame@proxy.lan/comfy?token=sesame#x", "https://proxy.lan/comfy"),
        ("http://[::1]:8188", "http://[::1]:8188"),
    ],
)
def test_an_address_is_taken_as_it_is_pasted(given, base):
    address = NodeAddress.parse(given)
    assert str(address) == address.base == base
    assert "sesame" not in repr(address)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpu:8188", "write http://gpu:8188"),
        ("//gpu:8188/", "write http://gpu:8188"),
        ("10.0.0.7", "write http://10.0.0.7"),
        ("ws://gpu:8188", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("http:/gpu", "expected http://HOST:PORT"),
        ("http://gpu:port", "a port is a number"),
        ("http://gpu:99999", "a port is a number"),
        ("http://ho st", r"HOST\[:PORT\]"),
        ("http://me:ses#ame@gpu", "write # as %23"),
        ("http://me:sesame/x@gpu", "/ as %2F"),
        ("me:sesame@gpu:8188", "expected http://HOST:PORT"),
        ("gpu?token=sesame", "expected http://HOST:PORT"),
        ("", "expected http://HOST:PORT"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(given, said):
    with pytest.raises(InvalidSettings, match=said) as exc:
        NodeAddress.parse(given)
    assert "ComfyUI's address" in str(exc.value)
    assert "\n" not in str(exc.value)
    told = "".join(traceback.format_exception(exc.value))
    assert "sesame" not in told
    assert "ame@" not in told


def test_a_login_in_the_address_goes_as_utf_8_to_http_and_websocket_alike():
    address = NodeAddress.parse("http://j%C3%B6rg:%E2%82%AC@gpu")
    assert address.credentials.headers == {"Authorization": "Basic asO2cmc64oKs"}
    assert NodeAddress.parse("http://jörg:€@gpu").credentials == address.credentials


def test_a_token_in_the_address_goes_with_the_websocket_too():
    address = NodeAddress.parse("https://gpu/c?token=a%2Bb")
    assert address.credentials.query == {"token": "a+b"}
    assert address.websocket("x") == "wss://gpu/c/ws?clientId=x&token=a%2Bb"


LINES = """
# Cloudflare Access
CF-Access-Client-Id: 1.access
CF-Access-Client-Secret:  se:same=

?token=a=b
"""
HEADERS = {"CF-Access-Client-Id": "1.access", "CF-Access-Client-Secret": "se:same="}


@pytest.mark.parametrize(
    ("text", "headers", "query"),
    [
        (LINES, HEADERS, {"token": "a=b"}),
        (LINES.replace("\n", "\r\n"), HEADERS, {"token": "a=b"}),
        ('{"Authorization": "Bearer x", "?token": "y"}', {"Authorization": "Bearer x"}, {"token": "y"}),
        ("", {}, {}),
    ],
)  # fmt: skip
def test_headers_are_lines_or_json(text, headers, query):
    found = NodeCredentials.read(text, where="X")
    assert (found.headers, found.query) == (headers, query)
    assert "same" not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nBearer sesame", "X, line 2: expected Name: value, as in Authorization: Bearer TOKEN"),
        ("Authorization=Bearer sesame", "X, line 1: expected Name: value"),
        ("?sesame", "X, line 1: expected Name: value"),
        ("Authorization:", "the value of Authorization cannot be sent: it is empty"),
        ("Authorization: Bearer sésame", "the value of Authorization cannot be sent"),
        ('{"A": "sesame\\nB: c"}', "the value of A cannot be sent"),
        ("sesame key: x", "what stands before the colon is no header's name"),
        ("Host: sesame", "the header Host is made by the worker itself"),
        ("A: x\na: sesame", "X, line 2: the header a is given twice"),
        ('{"A": ["sesame"]}', "the value of 'A' is no text"),
        ('{"A": "sesame"', r"X begins with { and is no JSON object \(line 1\)"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_its_value(text, said):
    with pytest.raises(InvalidSettings, match=said) as exc:
        NodeCredentials.read(text, where="X")
    assert "same" not in "".join(traceback.format_exception(exc.value))


def test_headers_come_from_a_file(tmp_path):
    (tmp_path / "headers").write_bytes(b"\xef\xbb\xbfAuthorization: Bearer x\n")
    settings = Settings(node_headers_file=tmp_path / "headers")
    assert credentials_of(settings).headers == {"Authorization": "Bearer x"}


@pytest.mark.parametrize(
    ("content", "also", "said"),
    [
        (None, None, "HEADERS_FILE .*headers cannot be read: No such file"),
        (b"\xff\xfe", None, "is no text in UTF-8"),
        (b"A: x", "B: y", "both COMFYFLEET_NODE_HEADERS and COMFYFLEET_NODE_HEADERS_FILE are set"),
    ],
)
def test_a_file_that_gives_no_headers_is_refused(tmp_path, content, also, said):
    if content:
        (tmp_path / "headers").write_bytes(content)
    settings = Settings(node_headers_file=tmp_path / "headers", node_headers=also)
    with pytest.raises(InvalidSettings, match=said):
        credentials_of(settings)


def test_a_header_is_given_once():
    bearer = NodeCredentials.read("authorization: Bearer x", where="the file")
    with pytest.raises(InvalidSettings, match="is given by the file and by its address"):
        NodeAddress.parse("http://me:pw@gpu", bearer)


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("https://proxy.lan/other", True),
        ("https://proxy.lan:8443", True),
        ("http://proxy.lan", False),
        ("https://elsewhere.lan", False),
    ],
)
def test_credentials_go_to_nodes_of_the_same_host_alone(url, is_told):
    own = NodeAddress.parse("https://proxy.lan", NodeCredentials.read("A: sesame", where="X"))
    assert bool(own.other(url).credentials.headers) is is_told


def test_a_record_of_an_earlier_version_shows_no_password():
    node = Node(name="x", pool="p", url="https://me:sesame@gpu/c?token=sesame", state="ready")
    assert node.url == "https://gpu/c"


HIDDEN = {"--comfyui": "URL"}


@pytest.mark.parametrize(
    ("args", "shown", "environment"),
    [
        (["--comfyui", "http://gpu"], ["--comfyui", "http://gpu"], {}),
        (["--comfyui=http://gpu", "-x"], ["--comfyui=http://gpu", "-x"], {}),
        (["--comfyui", "http://me:pw@gpu", "-x"], ["-x"], {"URL": "http://me:pw@gpu"}),
        (["-x", "--comfyui=http://gpu?token=pw"], ["-x"], {"URL": "http://gpu?token=pw"}),
        (["--comfyui", "http://me:p#w@gpu"], [], {"URL": "http://me:p#w@gpu"}),
        (["--comfyui"], ["--comfyui"], {}),
    ],
)
def test_a_password_leaves_the_command_line(args, shown, environment):
    assert _split(args, HIDDEN) == (shown, environment)
