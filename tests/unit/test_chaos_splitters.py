"""The fault proxy knows where each request and answer begins, however the network cuts them."""

from __future__ import annotations

import hashlib
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.proxy.http1 import http_speech
from tests.chaos.proxy.naming import node_name, redis_name, s3_name, script_names
from tests.chaos.proxy.resp import redis_speech

SHA = hashlib.sha1(b"claim").hexdigest().encode()

COMMANDS = (
    b"*3\r\n$4\r\nHSET\r\n$7\r\nunacked\r\n$2\r\n\r\n\r\n"
    b"*1\r\n$5\r\nMULTI\r\n"
    b"*3\r\n$7\r\nEVALSHA\r\n$40\r\n" + SHA + b"\r\n$1\r\n0\r\n"
    b"*2\r\n$5\r\nBRPOP\r\n$27\r\ncomfyfleet.pool.default.any\r\n"
)
REPLIES = (
    b":1\r\n"
    b"+OK\r\n"
    b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n"
    b"*2\r\n$7\r\nclaimed\r\n%1\r\n$1\r\na\r\n*-1\r\n"
    b"*2\r\n$1\r\nq\r\n$4\r\n\r\n\r\n\r\n"
)
REQUESTS = (
    b"PUT /bucket/jobs/x/1/manifest.json HTTP/1.1\r\nContent-Length: 3\r\n"
    b"Expect: 100-continue\r\n\r\nabc"
    b"POST /prompt HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\r\nb\r\n0\r\n\r\n"
    b"HEAD /view?filename=x HTTP/1.1\r\nHost: a\r\n\r\n"
    b"GET /queue HTTP/1.1\r\nHost: a\r\n\r\n"
)
ANSWERS = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
)


def in_parts(content: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [content[a:b] for a, b in pairwise(edges)]


def split(splitter, content, cuts):
    return [piece for part in in_parts(content, cuts) for piece in splitter(part)]


some_cuts = st.lists(st.integers(0, 2000), max_size=8)


@given(some_cuts, some_cuts)
def test_commands_and_replies_are_told_apart(cuts, more_cuts):
    speech = redis_speech(partial(redis_name, scripts={SHA: "claim"}))
    commands = split(speech.requests, COMMANDS, cuts)
    replies = split(speech.answers, REPLIES, more_cuts)
    assert b"".join(piece.raw for piece in commands) == COMMANDS
    assert b"".join(piece.raw for piece in replies) == REPLIES
    names = ["HSET unacked", "MULTI", "EVALSHA claim", "BRPOP queue"]
    assert [piece.opens for piece in commands] == names
    # A push answers nothing; a pop that brings a message is a site of its own.
    assert [piece.answers for piece in replies] == [True, True, False, True, True]
    assert [piece.opens for piece in replies] == [None] * 4 + ["BRPOP queue message"]


@given(some_cuts, some_cuts)
def test_requests_and_answers_are_told_apart(cuts, more_cuts):
    speech = http_speech(node_name)
    requests = split(speech.requests, REQUESTS, cuts)
    answers = split(speech.answers, ANSWERS, more_cuts)
    assert b"".join(piece.raw for piece in requests) == REQUESTS
    assert b"".join(piece.raw for piece in answers) == ANSWERS
    opened = [piece.opens for piece in requests if piece.opens]
    assert [name.split()[0] for name in opened] == ["PUT", "POST", "HEAD", "GET"]
    assert sum(piece.answers for piece in answers) == 4  # `100 Continue` is no answer


@given(some_cuts)
def test_a_body_without_a_length_goes_to_the_end(cuts):
    speech = http_speech(node_name)
    speech.requests(b"GET /view HTTP/1.1\r\n\r\n")
    content = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256))
    pieces = split(speech.answers, content, cuts)
    assert b"".join(piece.raw for piece in pieces) == content
    assert [piece.answers for piece in pieces].count(True) == 1


@given(some_cuts)
def test_messages_of_a_websocket_are_named(cuts):
    speech = http_speech(node_name)
    [request] = speech.requests(b"GET /ws?clientId=1 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    assert request.opens == "WS /ws"
    long = b'{"type": "executing", "data": "' + b"x" * 200 + b'"}'
    frames = b"\x81\x12" + b'{"type": "status"}' + b"\x81\x7e" + len(long).to_bytes(2, "big") + long
    frames += b"\x82\x01p" + b"\x89\x00"
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    pieces = split(speech.answers, head + frames, cuts)
    assert b"".join(piece.raw for piece in pieces) == head + frames
    names = ["WS status", "WS executing", "WS frame", "WS frame"]
    assert [piece.opens for piece in pieces] == [None, *names]


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("PUT", "/b/p/jobs/x/1/manifest.json", "PUT manifest"),
        ("PUT", "/b/jobs/x/1/9-0.png", "PUT artifact"),
        ("PUT", "/b/jobs/x/1/9-0.mp4?partNumber=2&uploadId=a", "PUT artifact part"),
        ("POST", "/b/jobs/x/1/9-0.mp4?uploads", "POST artifact begin"),
        ("GET", "/b/inputs/abc", "GET input"),
        ("PUT", "/b/p/templates/abc.json", "PUT template"),
        ("PUT", "/b/extra_data/abc.json", "PUT extra data"),
        ("HEAD", "/b", "HEAD bucket"),
        ("GET", "/b?list-type=2", "GET bucket list"),
    ],
)
def test_requests_to_the_store_are_named_by_meaning(method, target, name):
    assert s3_name(method, target) == name


def test_routes_are_named_without_ids():
    job = "01a202fc-72b0-7acb-9f17-73fc8595814e"
    assert node_name("POST", f"/api/jobs/{job}/cancel?x=1") == "POST /api/jobs/{id}/cancel"


def test_every_script_of_the_store_has_its_name():
    assert {"claim", "finish", "renew", "requeue", "submit"} <= set(script_names().values())
