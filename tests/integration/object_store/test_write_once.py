"""A key is written once: the same bytes may come again, others are a conflict."""

from __future__ import annotations

import hashlib
import os

import pytest

from producer.contract.errors import ObjectConflict, ObjectMissing, StorageError
from tests.integration.object_store.faulty_store import faulty_store
from tests.integration.object_store.stored_objects import (
    LARGE,
    PNG,
    content,
    file_of,
    on,
    open_uploads,
    put,
)

# --- a store that honours conditions, and those that do not


def test_this_store_honours_conditions_and_the_question_leaves_one_key(store):
    assert store.honours_conditions()
    assert store.honours_conditions()
    assert list(store.list_keys("")) == ["renders/probes/write"]


def test_a_store_that_overwrites_whatever_the_condition_is_found_out_and_looked_into_first(
    new_store, s3_server, s3, s3_bucket, tmp_path
):
    def forget(request):
        if request.headers.get("If-None-Match"):
            key = request.path.removeprefix(f"/{s3_bucket}/")
            s3.delete_object(Bucket=s3_bucket, Key=key)

    with faulty_store(s3_server.endpoint_url, before=forget) as faulty:
        store = new_store(s3_endpoint_url=faulty.url)
        assert not store.honours_conditions()
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, PNG))
        with pytest.raises(ObjectConflict):
            put(store, file_of(tmp_path, b"other"))
        assert content(s3, s3_bucket, "renders/a.png") == PNG


def test_a_store_that_knows_no_conditions_is_not_asked_for_them_again(
    new_store, s3_server, tmp_path
):
    def refuse(request):
        return 501 if request.headers.get("If-None-Match") else None

    with faulty_store(s3_server.endpoint_url, before=refuse) as faulty:
        store = new_store(s3_endpoint_url=faulty.url)
        assert not store.honours_conditions()
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, os.urandom(LARGE)), key="renders/large.png")


# --- writing again


@pytest.mark.parametrize("size", [100, LARGE])
def test_the_same_artifact_may_be_put_twice(store, tmp_path, size):
    path = file_of(tmp_path, os.urandom(size))
    put(store, path)
    parts = []
    on(store, "before-send.s3.UploadPart", lambda request, **_: parts.append(request.url))
    put(store, path)
    assert parts == []


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_key_with_other_bytes_is_a_conflict_and_stays(store, s3, s3_bucket, tmp_path, size):
    put(store, file_of(tmp_path, PNG))
    with pytest.raises(ObjectConflict, match="already holds 14 bytes"):
        put(store, file_of(tmp_path, os.urandom(size)))
    assert content(s3, s3_bucket, "renders/a.png") == PNG


def test_of_an_object_without_our_hash_what_is_there_is_hashed(store, s3, s3_bucket, tmp_path):
    s3.put_object(Bucket=s3_bucket, Key="renders/a.png", Body=PNG)
    put(store, file_of(tmp_path, PNG))
    with pytest.raises(ObjectConflict, match=r"14 bytes with SHA-256 [0-9a-f]{64}"):
        put(store, file_of(tmp_path, PNG.swapcase()))


def test_bytes_that_are_not_those_of_the_hash_are_refused_by_the_store(store, tmp_path):
    with pytest.raises(StorageError, match="BadDigest"):
        put(store, file_of(tmp_path, PNG), sha256="00" * 32)
    with pytest.raises(ObjectMissing):
        store.stat("renders/a.png")


@pytest.mark.parametrize(
    ("size", "request_line"), [(100, r"^PUT .*a\.png$"), (LARGE, r"^POST .*a\.png\?uploadId=")]
)
def test_an_artifact_whose_answer_was_lost_counts_as_stored(
    new_store, s3_server, tmp_path, size, request_line
):
    path = file_of(tmp_path, os.urandom(size))
    with faulty_store(s3_server.endpoint_url, lose=request_line) as faulty:
        store = new_store(s3_endpoint_url=faulty.url)
        put(store, path)
        assert faulty.lost == [200]
        with s3_server.client() as s3:
            assert open_uploads(s3, store._bucket.name) == []
        fetched = store.fetch("renders/a.png", tmp_path / "back")
    assert fetched.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_two_large_writers_one_wins_and_the_other_leaves_no_parts(
    store, s3, s3_bucket, tmp_path
):
    """The second one appears when the first has sent its parts and looked long ago."""

    def overtake(**_):
        s3.put_object(Bucket=s3_bucket, Key="renders/a.png", Body=PNG)

    on(store, "before-call.s3.CompleteMultipartUpload", overtake)
    with pytest.raises(ObjectConflict):
        put(store, file_of(tmp_path, os.urandom(LARGE)))
    assert content(s3, s3_bucket, "renders/a.png") == PNG
    assert open_uploads(s3, s3_bucket) == []
