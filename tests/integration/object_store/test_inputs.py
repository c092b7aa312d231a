"""Inputs are stored under their content, checked, and sent once."""

from __future__ import annotations

import hashlib

import pytest

from producer.contract.errors import InvalidInput, ObjectConflict
from producer.storage.object_keys import input_key
from tests.integration.object_store.stored_objects import LARGE, PNG, content, file_of, on


@pytest.mark.parametrize("as_file", [True, False])
def test_an_input_is_stored_under_its_content(store, s3, s3_bucket, tmp_path, as_file):
    key = store.put_input(file_of(tmp_path, PNG) if as_file else PNG)
    assert key == input_key("renders", sha256=hashlib.sha256(PNG).hexdigest())
    assert content(s3, s3_bucket, key) == PNG


def test_a_large_input_goes_in_one_request_so_that_the_store_checks_its_hash(store, tmp_path):
    parts = []
    on(store, "before-send.s3.UploadPart", lambda request, **_: parts.append(request.url))
    assert store.stat(store.put_input(file_of(tmp_path, bytes(LARGE)))).bytes == LARGE
    assert parts == []


def test_an_input_that_is_there_is_not_sent_again(store, s3, s3_bucket):
    key = store.put_input(PNG)
    before = s3.head_object(Bucket=s3_bucket, Key=key)["LastModified"]
    sent = []
    on(store, "before-send.s3.PutObject", lambda request, **_: sent.append(request.url))
    assert store.put_input(PNG) == key
    assert sent == []
    assert s3.head_object(Bucket=s3_bucket, Key=key)["LastModified"] == before


@pytest.mark.parametrize(
    ("name", "said"), [("absent", "is no file"), ("empty", "is empty"), ("large", "has 11 bytes")]
)
def test_an_input_that_cannot_be_one_is_refused_by_name(new_store, tmp_path, name, said):
    file_of(tmp_path, b"", name="empty")
    file_of(tmp_path, b"x" * 11, name="large")
    with pytest.raises(InvalidInput, match=f"{name} {said}"):
        new_store(max_input_bytes=10).put_input(tmp_path / name)


def test_an_input_that_is_not_what_its_key_promises_is_not_kept(store, s3, s3_bucket, tmp_path):
    key = input_key("renders", sha256="00" * 32)
    s3.put_object(Bucket=s3_bucket, Key=key, Body=PNG)
    with pytest.raises(ObjectConflict, match="SHA-256"):
        store.fetch(key, tmp_path / "input")
    assert not (tmp_path / "input").exists()
