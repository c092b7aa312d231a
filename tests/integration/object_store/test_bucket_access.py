"""The way to the bucket: what is wrong with it, where, and what to try."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from producer.contract.config.settings import load_settings
from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    InvalidSettings,
    StorageError,
    StorageUnreachable,
)
from tests.integration.object_store.faulty_store import faulty_store
from tests.integration.object_store.stored_objects import credentials_file


def test_a_probe_of_a_good_bucket_is_silent(store):
    store.probe()


def test_a_missing_bucket_is_named_and_not_created_by_asking(new_store, s3_server, s3):
    with pytest.raises(BucketMissing, match=f"no bucket nowhere at {s3_server.endpoint_url}"):
        new_store(s3_bucket="nowhere").probe()
    assert "nowhere" not in [found["Name"] for found in s3.list_buckets()["Buckets"]]


def test_a_wrong_secret_is_forbidden_and_not_shown(new_store, s3_server, tmp_path):
    wrong = credentials_file(tmp_path, s3_server.access_key, "wrong-and-secret")
    with pytest.raises(BucketForbidden) as raised:
        new_store(s3_credentials_file=wrong).probe()
    assert s3_server.endpoint_url in str(raised.value)
    assert "wrong-and-secret" not in str(raised.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(raised.value)


@pytest.mark.parametrize(
    ("access_key", "advice"),
    [(None, "AWS_SECRET_ACCESS_KEY"), ("UNKNOWN", "AWS_ACCESS_KEY_ID")],
)
def test_what_is_wrong_with_the_keys_is_said(new_store, s3_server, tmp_path, access_key, advice):
    wrong = credentials_file(tmp_path, access_key or s3_server.access_key, "wrong")
    with pytest.raises(BucketForbidden, match=advice):
        new_store(s3_credentials_file=wrong).get_json("a.json")


def test_no_credentials_at_all_are_forbidden_with_how_to_give_them(new_store):
    with pytest.raises(BucketForbidden, match="COMFYFLEET_S3_CREDENTIALS_FILE"):
        new_store(s3_credentials_file=None).probe()


def test_a_dead_port_is_unreachable_and_named(new_store):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(StorageUnreachable, match=endpoint):
        new_store(s3_endpoint_url=endpoint).probe()


def test_an_endpoint_that_is_no_url_is_a_wrong_setting():
    with pytest.raises(InvalidSettings, match="COMFYFLEET_S3_ENDPOINT_URL"):
        load_settings(s3_endpoint_url="localhost")


def test_a_bucket_is_created_once(new_store, s3):
    store = new_store(s3_bucket="created-here")
    store.create_bucket_if_missing()
    store.create_bucket_if_missing()
    store.probe()
    store.close()
    s3.delete_bucket(Bucket="created-here")


def test_trouble_in_the_store_is_a_storage_error_with_its_status(new_store, s3_server):
    tries = []

    def fail(request):
        tries.append(request.path)
        return 503

    with faulty_store(s3_server.endpoint_url, before=fail) as faulty:
        with pytest.raises(StorageError, match="answered 503"):
            new_store(s3_endpoint_url=faulty.url).put_json("a.json", {})
        assert len(tries) == 3


def test_boto3_is_loaded_at_first_use_only():
    code = (
        "import sys; from producer.storage.object_store import ObjectStore;"
        "from producer.contract.config.settings import Settings; ObjectStore(Settings());"
        "print([name for name in sys.modules if name.startswith(('boto', 's3transfer'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_threads_share_one_client(store):
    store.probe()
    clients = set()
    threads = [threading.Thread(target=lambda: clients.add(id(store._bucket.s3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 1
