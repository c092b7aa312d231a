"""What a store's answer to a write proves; where it proves nothing, the object is looked at."""

from __future__ import annotations

import logging
import os

import pytest

from producer.contract.errors import StorageError
from tests.integration.object_store.faulty_store import CUT, faulty_store
from tests.integration.object_store.providers import Refusal
from tests.integration.object_store.stored_objects import PNG, content, file_of, put


def as_it_is(_request, headers):
    return headers


def no_checksums(_request, headers):
    """Ceph RGW 16 and MinIO of old know no newer checksums; the ETag is the MD5."""
    return {k: v for k, v in headers.items() if not k.lower().startswith("x-amz-checksum")}


def no_md5(_request, headers):
    """With SSE-KMS the ETag is no MD5."""
    return {k: v if k.lower() != "etag" else '"d41d8cd9-kms"' for k, v in headers.items()}


def neither(request, headers):
    return no_md5(request, no_checksums(request, headers))


def takes_any_digest(request):
    """moto takes a wrong digest: only the probe ever sends one."""
    is_probe = request.headers.get("If-None-Match") is None and "/probes/" in request.path
    return Refusal(200, "") if is_probe else None


@pytest.fixture
def looks(new_store, s3_server):
    """Return what puts two files, and how many times each was looked at."""

    def of(path, *, told, before=None, checksums="when_supported"):
        asked = []

        def watched(request):
            asked.append(request.command)
            return before(request) if before else None

        with faulty_store(s3_server.endpoint_url, before=watched, told=told) as relay:
            store = new_store(s3_endpoint_url=relay.url, s3_checksums=checksums)
            for key in ("renders/1", "renders/2"):
                put(store, path, key=key)
        return asked.count("HEAD")

    return of


@pytest.mark.parametrize("told", [as_it_is, no_checksums, no_md5])
def test_an_object_that_the_answer_proves_is_not_looked_at(looks, tmp_path, told):
    assert looks(file_of(tmp_path, os.urandom(1 << 20)), told=told) == 0


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_an_object_that_no_answer_proves_is_looked_at_each_time(looks, tmp_path, checksums):
    assert looks(file_of(tmp_path, PNG), told=neither, checksums=checksums) == 2


@pytest.mark.parametrize(
    ("checksums", "told"), [("when_supported", no_md5), ("when_required", as_it_is)]
)
def test_a_store_that_repeats_any_digest_proves_nothing_and_says_so_once(
    looks, tmp_path, caplog, checksums, told
):
    caplog.set_level(logging.INFO, "producer.storage.bucket")
    path = file_of(tmp_path, PNG)
    assert looks(path, told=told, before=takes_any_digest, checksums=checksums) == 2
    assert caplog.text.count("takes any checksum") == 1


def test_an_md5_that_the_store_was_not_told_proves_what_it_has(looks, tmp_path):
    assert looks(file_of(tmp_path, PNG), told=as_it_is, before=takes_any_digest) == 0


def test_a_file_that_was_taken_short_is_found_out(new_store, s3_server, s3, s3_bucket, tmp_path):
    def cut_short(request, headers):
        if request.command == "PUT":
            key = request.path.removeprefix(f"/{s3_bucket}/").partition("?")[0]
            taken = s3.put_object(Bucket=s3_bucket, Key=key, Body=PNG[:-1])
            headers = no_checksums(request, headers) | {"Etag": taken["ETag"]}
        return headers

    with faulty_store(s3_server.endpoint_url, told=cut_short) as relay:
        store = new_store(s3_endpoint_url=relay.url)
        with pytest.raises(StorageError, match="14 bytes were sent, the store holds 13"):
            put(store, file_of(tmp_path, PNG))


def test_a_file_is_sent_without_leave_and_with_it_where_that_is_cut_off(
    new_store, s3_server, s3, s3_bucket, tmp_path
):
    asked, is_cut = [], False

    def cut_what_comes_unasked(request):
        asked.append("Expect" in request.headers)
        return CUT if is_cut and not asked[-1] else None

    with faulty_store(s3_server.endpoint_url, before=cut_what_comes_unasked) as relay:
        store = new_store(s3_endpoint_url=relay.url)
        put(store, file_of(tmp_path, PNG))
        assert not any(asked)
        is_cut = True
        put(store, file_of(tmp_path, PNG), key="renders/b.png")
    assert asked[-1]
    assert content(s3, s3_bucket, "renders/b.png") == PNG
