"""Stores as providers run them: what they lack is done without, what is missing is named."""

from __future__ import annotations

import os
import urllib.request
from contextlib import contextmanager
from datetime import timedelta

import pytest

from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    CredentialsRefused,
    ObjectConflict,
    ObjectMissing,
    StorageFault,
    UnclearRefusal,
)
from tests.integration.object_store import providers
from tests.integration.object_store.faulty_store import faulty_store
from tests.integration.object_store.stored_objects import (
    LARGE,
    PNG,
    content,
    credentials_file,
    file_of,
    on,
    open_uploads,
    put,
)


@pytest.fixture
def store_with(new_store, s3_server):
    """Make stores behind a provider's rule."""

    @contextmanager
    def make(rule=None, *, keeps_metadata=True, **settings):
        with faulty_store(
            s3_server.endpoint_url, before=rule, keeps_metadata=keeps_metadata
        ) as faulty:
            yield new_store(s3_endpoint_url=faulty.url, **settings)

    return make


def counted(rule, seen):
    def counting(request):
        refusal = rule(request)
        if refusal:
            seen.append(f"{request.command} {request.path}")
        return refusal

    return counting


@pytest.mark.parametrize(
    "answer",
    [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "InvalidArgument")],
)
def test_whoever_writes_finds_out_that_a_store_knows_no_conditions(
    store_with, s3, s3_bucket, tmp_path, answer
):
    refused = []
    with store_with(counted(providers.no_conditions(*answer), refused)) as store:
        key = store.put_input(b"an input")
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, PNG))
        with pytest.raises(ObjectConflict):
            put(store, file_of(tmp_path, b"other"))
    assert len(refused) == 1
    assert content(s3, s3_bucket, key) == b"an input"
    assert content(s3, s3_bucket, "renders/a.png") == PNG


def test_a_bad_request_without_a_word_of_s3s_says_nothing_of_the_request_or_of_conditions(
    store_with, s3, s3_bucket, tmp_path, caplog
):
    garbled = [providers.Refusal(400, "")] * 2

    def once_cut(request):
        return garbled.pop() if request.command == "PUT" and garbled else None

    with store_with(once_cut) as store:
        with pytest.raises(UnclearRefusal):
            put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, PNG))
    assert not garbled
    assert content(s3, s3_bucket, "renders/a.png") == PNG
    assert "knows no conditional writes" not in caplog.text


def test_an_upload_in_parts_does_without_the_condition_where_only_that_is_refused(
    store_with, s3, s3_bucket, tmp_path
):
    large = os.urandom(LARGE)
    with store_with(providers.no_conditions_for_parts) as store:
        put(store, file_of(tmp_path, large))
    assert content(s3, s3_bucket, "renders/a.png") == large
    assert open_uploads(s3, s3_bucket) == []


def test_a_store_that_refuses_newer_checksums_is_written_to_without_them(
    store_with, tmp_path, caplog
):
    rules = providers.all_of(providers.no_checksums, providers.object_lock)
    with store_with(rules) as store:
        store.probe()
        assert "COMFYFLEET_S3_CHECKSUMS=when_required" in caplog.text
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, os.urandom(LARGE)), key="renders/large.png")
        store.put_json("renders/a.json", {})


def test_a_wrong_secret_is_not_taken_for_a_matter_of_checksums(store_with, s3_server, tmp_path):
    wrong = credentials_file(tmp_path, s3_server.access_key, "wrong")
    with (
        store_with(s3_credentials_file=wrong) as store,
        pytest.raises(CredentialsRefused, match="AWS_SECRET_ACCESS_KEY"),
    ):
        store.probe()


@pytest.mark.parametrize(
    ("refusal", "mend"),
    [
        (providers.Refusal(403, "RequestTimeTooSkewed"), "the clock of this machine is wrong"),
        (providers.Refusal(400, "ExpiredToken"), "renew the credentials"),
        (
            providers.Refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>"),
            "COMFYFLEET_S3_REGION=eu-west-9",
        ),
        (
            providers.Refusal(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-9"}),
            "COMFYFLEET_S3_REGION=eu-9",
        ),
        (providers.DENIED, "allow s3:PutObject; see docs/operate/storage.md"),
    ],
)
def test_a_probe_says_what_is_wrong_although_head_has_no_body(store_with, refusal, mend):
    with store_with(lambda _: refusal) as store, pytest.raises(BucketForbidden) as raised:
        store.probe()
    assert mend in str(raised.value)


def test_credentials_that_were_renewed_in_their_file_are_read_again(
    store_with, s3_server, tmp_path
):
    file = credentials_file(tmp_path, "OLD", s3_server.secret_key)
    rule = providers.known_as(s3_server.access_key, "ExpiredToken")
    with store_with(rule, s3_credentials_file=file) as store:
        with pytest.raises(CredentialsRefused, match="renew the credentials"):
            store.probe()
        credentials_file(tmp_path, s3_server.access_key, s3_server.secret_key).replace(file)
        store.probe()
        put(store, file_of(tmp_path, PNG))
        credentials_file(tmp_path, "OLDER", s3_server.secret_key).replace(file)
        with pytest.raises(CredentialsRefused):
            store.put_json("renders/a.json", {})


def test_without_the_rights_to_delete_list_and_look_all_is_stored(
    store_with, s3, s3_bucket, tmp_path
):
    def keys():
        return {found["Key"] for found in s3.list_objects_v2(Bucket=s3_bucket).get("Contents", ())}

    rules = providers.all_of(providers.no_deleting, providers.no_listing(s3_bucket, keys))
    with store_with(rules) as store:
        store.probe()
        assert store.honours_conditions()
        assert store.put_input(b"an input") == store.put_input(b"an input")
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, os.urandom(LARGE)), key="renders/large.png")
        with pytest.raises(BucketForbidden, match=r"ListObjectsV2 .*allow s3:ListBucket"):
            list(store.list_keys(""))


@pytest.mark.parametrize("status", [403, 405, 501])
def test_where_head_is_refused_an_object_is_looked_at_by_get(store_with, tmp_path, status):
    with store_with(providers.no_head(status)) as store:
        store.probe()
        put(store, file_of(tmp_path, PNG))
        assert store.stat("renders/a.png").bytes == len(PNG)
        with pytest.raises(ObjectMissing):
            store.stat("renders/none.png")


def test_what_is_no_answer_of_s3_is_told_as_that(store, s3_bucket, tmp_path):
    on(store, "after-call.s3.CreateMultipartUpload", lambda parsed, **_: parsed.pop("UploadId"))
    with pytest.raises(StorageFault, match=f"{s3_bucket} at .* answered not as S3 does .*UploadId"):
        put(store, file_of(tmp_path, os.urandom(LARGE)))


def test_a_head_without_a_length_is_made_up_for_by_get(store, tmp_path):
    put(store, file_of(tmp_path, PNG))
    on(store, "after-call.s3.HeadObject", lambda parsed, **_: parsed.pop("ContentLength"))
    assert store.stat("renders/a.png").bytes == len(PNG)


def test_an_endpoint_that_may_end_in_a_bucket_is_told(new_store, s3_server):
    store = new_store(s3_endpoint_url=f"{s3_server.endpoint_url}/pictures", s3_bucket="renders")
    with pytest.raises(BucketMissing, match="ends in /pictures: if that is the bucket"):
        store.probe()


def test_where_metadata_is_dropped_the_same_bytes_are_no_conflict(store_with, tmp_path):
    with store_with(keeps_metadata=False) as store:
        put(store, file_of(tmp_path, PNG))
        put(store, file_of(tmp_path, PNG))
        with pytest.raises(ObjectConflict):
            put(store, file_of(tmp_path, PNG.swapcase()))


def test_a_name_that_virtual_style_makes_and_nobody_has_names_the_setting(new_store):
    store = new_store(
        s3_endpoint_url="http://nowhere.invalid:9",
        s3_bucket="renders",
        s3_addressing_style="virtual",
    )
    with pytest.raises(Exception, match="COMFYFLEET_S3_ADDRESSING_STYLE=path"):
        store.probe()


def test_links_name_the_public_endpoint_and_are_signed_for_it(new_store, s3_server, tmp_path):
    with faulty_store(s3_server.endpoint_url) as outside:
        store = new_store(s3_public_endpoint_url=outside.url)
        put(store, file_of(tmp_path, PNG))
        url = store.presigned_url("renders/a.png", expires=timedelta(minutes=5))
        assert url.startswith(f"{outside.url}/")
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == PNG
