"""The object store, on a real S3 server."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    InvalidInput,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageUnreachable,
)
from producer.contract.settings import InvalidSettings, Settings
from producer.storage.object_keys import input_key
from producer.storage.object_store import ObjectStore
from producer.storage.write_once import MULTIPART_ABOVE_BYTES
from tests.waiting import wait_until

LARGE = MULTIPART_ABOVE_BYTES + 1000
STATUS = Path("/proc/self/status")
PNG = b"\x89PNG not quite"


def credentials_file(folder, access_key, secret_key):
    path = folder / f"credentials-{len(list(folder.iterdir()))}"
    path.write_text(
        f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
    )
    return path


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch, tmp_path):
    """Only the file that a test names may let it in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


@pytest.fixture
def new_store(s3_server, s3_bucket, tmp_path):
    """Make stores of the bucket, each with what the test sets differently."""
    stores = []

    def make(**overrides):
        given = {
            "s3_endpoint_url": s3_server.endpoint_url,
            "s3_bucket": s3_bucket,
            "s3_addressing_style": "path",
            "s3_prefix": "renders",
            "s3_credentials_file": credentials_file(
                tmp_path, s3_server.access_key, s3_server.secret_key
            ),
        }
        stores.append(ObjectStore(Settings(**(given | overrides))))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store):
    return new_store()


@pytest.fixture(scope="module")
def s3(s3_server):
    with s3_server.client() as client:
        yield client


def file_of(folder, content, name="spooled"):
    path = folder / name
    path.write_bytes(content)
    return path


def put(store, path, *, key="renders/a.png", sha256=None, media_type="image/png", metadata=None):
    store.put_file(
        path,
        key=key,
        sha256=sha256 or hashlib.sha256(path.read_bytes()).hexdigest(),
        media_type=media_type,
        metadata=metadata or {},
        download_name="a.png",
    )


def content(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def open_uploads(s3, bucket):
    return s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


# --- the bucket: what is wrong, where, and what to try


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
    assert "secret" not in str(raised.value)


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


def test_an_endpoint_that_is_no_url_is_a_wrong_setting(new_store):
    with pytest.raises(InvalidSettings, match="COMFYFLEET_S3_ENDPOINT_URL"):
        new_store(s3_endpoint_url="localhost").probe()


def test_a_bucket_is_created_once(new_store, s3):
    store = new_store(s3_bucket="created-here")
    store.create_bucket_if_missing()
    store.create_bucket_if_missing()
    store.probe()
    store.close()
    s3.delete_bucket(Bucket="created-here")


def test_this_store_honours_conditions_and_keeps_nothing_of_the_question(store):
    assert store.honours_conditions()
    assert list(store.list_keys("")) == []


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


def test_trouble_in_the_store_is_a_storage_error_with_its_status(new_store, s3_server):
    tries = []

    def fail(request):
        tries.append(request.path)
        return 503

    with faulty_store(s3_server.endpoint_url, before=fail) as faulty:
        with pytest.raises(StorageError, match="answered 503"):
            new_store(s3_endpoint_url=faulty.url).put_json("a.json", {})
        assert len(tries) == 3


# --- artifacts


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


def test_an_object_without_our_hash_is_a_conflict(store, s3, s3_bucket, tmp_path):
    s3.put_object(Bucket=s3_bucket, Key="renders/a.png", Body=PNG)
    with pytest.raises(ObjectConflict):
        put(store, file_of(tmp_path, PNG))


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
        assert store.abort_uploads("", older_than=timedelta(hours=-1)) == 0
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


def test_parts_of_a_killed_process_are_swept_when_old(store, s3, s3_bucket):
    s3.create_multipart_upload(Bucket=s3_bucket, Key="renders/jobs/1/1/9-0.mp4")
    assert store.abort_uploads("renders/", older_than=timedelta(hours=1)) == 0
    assert store.abort_uploads("others/", older_than=timedelta(hours=-1)) == 0
    assert store.abort_uploads("renders/", older_than=timedelta(hours=-1)) == 1
    assert open_uploads(s3, s3_bucket) == []


MEASURE = """
import hashlib, sys
from pathlib import Path
from producer.contract.settings import Settings
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


# --- inputs


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


def test_keys_are_listed_by_prefix(store):
    for key in ("renders/jobs/1/1/a", "renders/jobs/1/2/a", "renders/jobs/10/1/a"):
        store.put_json(key, None)
    assert list(store.list_keys("renders/jobs/1/")) == ["renders/jobs/1/1/a", "renders/jobs/1/2/a"]


# --- presigned URLs


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read(), answer.headers


def status_of(url):
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(url)
    with raised.value as error:
        return error.code


def test_a_presigned_url_serves_the_object_as_it_was_put(store, tmp_path):
    put(store, file_of(tmp_path, PNG))
    url = store.presigned_url("renders/a.png", expires=timedelta(minutes=5))
    body, headers = get(url)
    assert body == PNG
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"].startswith('inline; filename="a.png"')


def test_a_download_name_is_what_a_browser_saves(store, tmp_path):
    put(store, file_of(tmp_path, PNG))
    url = store.presigned_url("renders/a.png", expires=timedelta(minutes=5), download_name="京.png")
    assert get(url)[1]["Content-Disposition"] == (
        "attachment; filename=\"_.png\"; filename*=UTF-8''%E4%BA%AC.png"
    )


def test_a_page_that_a_browser_would_run_is_only_saved(store, tmp_path):
    put(store, file_of(tmp_path, b"<script>"), media_type="text/html")
    url = store.presigned_url("renders/a.png", expires=timedelta(minutes=5))
    assert get(url)[1]["Content-Disposition"].startswith("attachment;")


def test_a_tampered_or_expired_url_is_refused(store, tmp_path):
    put(store, file_of(tmp_path, PNG))
    put(store, file_of(tmp_path, PNG), key="renders/b.png")
    url = store.presigned_url("renders/a.png", expires=timedelta(seconds=1))
    assert status_of(url.replace("a.png", "b.png")) == 403
    assert status_of(re.sub("X-Amz-Expires=1&", "X-Amz-Expires=600&", url)) == 403
    wait_until(lambda: expired(url), description="the URL has expired")


def expired(url):
    try:
        get(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 403
    return False


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(days=7, seconds=1)])
def test_a_url_that_s3_would_not_sign_is_refused(store, expires):
    with pytest.raises(ValueError, match="7 days"):
        store.presigned_url("a", expires=expires)


# --- start-up


def test_boto3_is_loaded_at_first_use_only():
    code = (
        "import sys; from producer.storage.object_store import ObjectStore;"
        "from producer.contract.settings import Settings; ObjectStore(Settings());"
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


# --- what makes the faults


def on(store, event, handler):
    store._bucket.s3.meta.events.register(event, handler)


class FaultyStore(ThreadingHTTPServer):
    """Passes requests on to the real store, with a fault.

    Args:
        lose: of the requests whose first line matches, the first answer is lost after it was given.
        before: called with each request; may return a status to answer with in the store's place.
    """

    daemon_threads = True

    def __init__(self, upstream, *, lose=None, before=None):
        super().__init__(("127.0.0.1", 0), Relay)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.upstream = urlsplit(upstream).netloc
        self.before = before
        self.lost = []
        self._lose = lose

    def loses(self, line):
        return self._lose and not self.lost and re.search(self._lose, line)


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.before and (status := self.server.before(self)):
            self.answer(status, [], b"")
            return
        with closing(http.client.HTTPConnection(self.server.upstream, timeout=10)) as upstream:
            passed_on = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            upstream.request(self.command, self.path, body, passed_on)
            given = upstream.getresponse()
            content = given.read()
        if self.server.loses(f"{self.command} {self.path}"):
            self.server.lost.append(given.status)
            self.close_connection = True
            return
        self.answer(given.status, given.getheaders(), content)

    def answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "transfer-encoding":
                self.send_header(name, value)
        if self.command != "HEAD" and "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815 - the library's names

    def log_message(self, *_):
        pass


@contextmanager
def faulty_store(upstream, **fault):
    with FaultyStore(upstream, **fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
