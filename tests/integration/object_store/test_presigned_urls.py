"""What a presigned URL serves, under which name, and for how long."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from datetime import timedelta

import pytest

from tests.integration.object_store.stored_objects import PNG, file_of, put
from tests.polling import wait_until


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
