"""Artifacts and manifests go in whole and come back; what failed leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from producer.contract.errors import (
    BucketMissing,
    InvalidInput,
    ObjectConflict,
    ObjectMissing,
    StorageError,
)
from tests.integration.object_store.stored_objects import LARGE, PNG, file_of, on, open_uploads, put


@pytest.mark.parametrize("size", [1, LARGE])
@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_an_artifact_comes_back_with_its_bytes_type_and_metadata(
    new_store, tmp_path, size, checksums
):
    store = new_store(s3_checksums=checksums)
    path = file_of(tmp_path, os.urandom(size))
    put(store, path, metadata={"Job": "1", "name": "北京 (2)  é.png"})

    stat = store.stat("renders/a.png")
    assert (stat.bytes, stat.media_type) == (size, "image/png")
    assert stat.metadata == {"job": "1", "name": "北京 (2)  é.png"}
    fetched = store.fetch("renders/a.png", tmp_path / "back")
    assert (fetched.bytes, fetched.sha256) == (size, stat.sha256)
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_a_failed_part_leaves_nothing_behind(store, s3, s3_bucket, tmp_path):
    path = file_of(tmp_path, os.urandom(LARGE))

    def lose_the_file(params, **_):
        if params["url_path"].endswith("a.png") and params["query_string"]["partNumber"] == 2:
            raise OSError("the disk is gone")

    on(store, "before-call.s3.UploadPart", lose_the_file)
    with pytest.raises(OSError, match="the disk is gone"):
        put(store, path)
    assert open_uploads(s3, s3_bucket) == []
    assert list(store.list_keys("")) == []


# --- reading


def test_a_missing_object_is_missing_everywhere(store, tmp_path):
    for ask in (
        lambda: store.stat("nothing"),
        lambda: store.get_json("nothing"),
        lambda: store.fetch("nothing", tmp_path / "file"),
    ):
        with pytest.raises(ObjectMissing, match="nothing"):
            ask()
    assert not (tmp_path / "file").exists()


def test_an_s3_url_is_fetched_from_its_own_bucket(new_store, s3_bucket, tmp_path):
    new_store().put_json("a.json", {"a": 1})
    elsewhere = new_store(s3_bucket="another")
    elsewhere.fetch(f"s3://{s3_bucket}/a.json", tmp_path / "file")
    assert json.loads((tmp_path / "file").read_text()) == {"a": 1}
    with pytest.raises(BucketMissing, match="another"):
        elsewhere.fetch("a.json", tmp_path / "file")


def test_a_file_with_another_hash_than_recorded_is_not_kept(store, tmp_path):
    put(store, file_of(tmp_path, PNG))
    with pytest.raises(ObjectConflict, match="SHA-256"):
        store.fetch("renders/a.png", tmp_path / "back", sha256="00" * 32)
    assert not (tmp_path / "back").exists()


def test_json_is_written_over_and_read_back(store):
    store.put_json("renders/manifest.json", {"attempt": 1})
    store.put_json("renders/manifest.json", {"attempt": 2, "名": "é"})
    assert store.get_json("renders/manifest.json") == {"attempt": 2, "名": "é"}


def test_a_manifest_that_is_no_json_is_a_storage_error(store, s3, s3_bucket):
    s3.put_object(Bucket=s3_bucket, Key="manifest.json", Body=b"{")
    with pytest.raises(StorageError, match="holds no JSON"):
        store.get_json("manifest.json")


def test_a_manifest_without_an_end_is_a_storage_error(store):
    class Endless:
        def read(self, size=None):
            assert size, "it would be read for ever"
            return b"1" * size

    store.put_json("manifest.json", {})
    store._bucket.s3.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: parsed.update(Body=Endless())
    )
    with pytest.raises(StorageError, match="holds more than 134,217,728 bytes"):
        store.get_json("manifest.json")


def test_a_manifest_that_is_nested_without_end_is_a_storage_error(store, s3, s3_bucket):
    s3.put_object(Bucket=s3_bucket, Key="manifest.json", Body=b"[" * 100_000)
    with pytest.raises(StorageError, match="holds no JSON"):
        store.get_json("manifest.json")


def test_an_input_of_another_bucket_is_bounded_also_where_its_length_is_not_told(
    new_store, s3, s3_bucket, tmp_path
):
    s3.put_object(Bucket=s3_bucket, Key="long.png", Body=b"x" * 2_000)
    store = new_store(max_input_bytes=1_000)
    store._bucket.s3.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: parsed.pop("ContentLength")
    )
    with pytest.raises(InvalidInput, match="has 2,000 bytes; the limit is 1,000"):
        store.fetch(f"s3://{s3_bucket}/long.png", tmp_path / "long.png")
    assert not (tmp_path / "long.png").exists()


def test_keys_are_listed_by_prefix(store):
    for key in ("renders/jobs/1/1/a", "renders/jobs/1/2/a", "renders/jobs/10/1/a"):
        store.put_json(key, None)
    assert list(store.list_keys("renders/jobs/1/")) == ["renders/jobs/1/1/a", "renders/jobs/1/2/a"]


def test_metadata_with_names_that_no_header_has_is_stored_and_read_back(store, tmp_path):
    odd = {"größe": "ä b", "a b:c": "x\ny", "名": "é" * 100}
    put(store, file_of(tmp_path, PNG), metadata=odd | {"too-long": "x" * 3000})
    assert store.stat("renders/a.png").metadata == odd


# --- memory


STATUS = Path("/proc/self/status")
MEASURE = """
import hashlib, sys
from pathlib import Path
from producer.contract.config.settings import Settings
from producer.storage.object_store import ObjectStore

def peak_kib():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def put(name):
    path = Path(name)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    store.put_file(path, key=path.name, sha256=sha256, media_type="video/mp4", metadata={},
                   download_name=path.name)

store = ObjectStore(Settings())
put(sys.argv[1])
before = peak_kib()
put(sys.argv[2])
print(peak_kib() - before)
store.close()
"""


@pytest.mark.skipif(not STATUS.exists(), reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_artifact(s3_server, s3_bucket, tmp_path):
    small = file_of(tmp_path, b"small", name="small.mp4")
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    environment = {
        "COMFYFLEET_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "COMFYFLEET_S3_BUCKET": s3_bucket,
        "COMFYFLEET_S3_ADDRESSING_STYLE": "path",
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(large)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(measured.stdout) < 24 * 1024
