from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.ids import new_job_id
from producer.storage import object_keys

JOB = new_job_id()


def artifact_key(graph_node="9", *, prefix="renders", attempt=1, index=0, extension=".png"):
    return object_keys.artifact_key(
        prefix,
        job_id=JOB,
        attempt=attempt,
        graph_node=graph_node,
        index=index,
        extension=extension,
    )


def test_an_artifact_lies_under_its_job_and_attempt():
    assert artifact_key("57:8", attempt=2, index=3) == f"renders/jobs/{JOB}/2/57~3A8-3.png"


def test_without_a_prefix_keys_begin_with_jobs():
    assert artifact_key(prefix="").startswith(f"jobs/{JOB}/1/")


@pytest.mark.parametrize(
    ("graph_node", "escaped"),
    [("2.0.0.3", "2.0.0.3"), ("a/b", "a~2Fb"), ("a~2Fb", "a~7E2Fb"), ("é", "~C3~A9"), ("", "")],
)
def test_graph_node_ids_of_any_text_become_safe_parts(graph_node, escaped):
    assert artifact_key(graph_node).endswith(f"/{escaped}-0.png")


@pytest.mark.parametrize("extension", ["", ".PNG", "png", ".p/g", ".tar.gz", ".elevenchars"])
def test_an_odd_extension_is_left_out(extension):
    assert artifact_key(extension=extension).endswith("/9-0")


def test_the_extension_of_a_name_is_taken_in_lower_case():
    assert object_keys.extension_of("sub/Ünicode (2).WEBP") == ".webp"


@pytest.mark.parametrize("name", ["", "noending", "a.", ".hidden", "a.b c", "a.[output]"])
def test_a_name_without_a_plain_ending_has_no_extension(name):
    assert object_keys.extension_of(name) == ""


ids = st.text(st.characters() | st.sampled_from("~-./%"), max_size=400)
places = st.tuples(ids, st.integers(0, 12), st.sampled_from(["", ".png", ".1"]))


@given(places, places)
def test_two_artifacts_never_share_a_key(one, other):
    keys = {artifact_key(node, index=index, extension=ext) for node, index, ext in (one, other)}
    assert len(keys) == len({one, other})


@given(ids)
def test_every_artifact_key_is_one_that_all_stores_take(graph_node):
    key = artifact_key(graph_node)
    assert re.fullmatch(r"[A-Za-z0-9._~/-]+", key)
    assert not {"", ".", ".."} & set(key.split("/"))
    assert max(map(len, key.split("/"))) <= 255


@pytest.mark.parametrize("prefix", ["/", "a/", "a//b", "a/./b", "../a"])
def test_a_prefix_with_an_empty_or_dotted_part_is_refused(prefix):
    with pytest.raises(ValueError, match="prefix"):
        artifact_key(prefix=prefix)


@pytest.mark.parametrize("numbers", [{"attempt": 0}, {"index": -1}])
def test_numbers_that_count_from_elsewhere_are_refused(numbers):
    with pytest.raises(ValueError, match="count from"):
        artifact_key(**numbers)


def test_the_manifest_lies_beside_the_artifacts():
    key = object_keys.manifest_key("renders", job_id=JOB, attempt=1)
    assert key == artifact_key().rpartition("/")[0] + "/manifest.json"


def test_an_input_key_promises_its_content():
    key = object_keys.input_key("renders", sha256="0a" * 32)
    assert key == f"renders/inputs/{'0a' * 32}"
    assert object_keys.promised_sha256(key) == "0a" * 32


def test_other_keys_promise_nothing():
    assert object_keys.promised_sha256(artifact_key()) is None
    assert object_keys.promised_sha256("0a" * 32) is None


@pytest.mark.parametrize("digest", ["", "0A" * 32, "0a" * 31, "../" + "0a" * 32])
def test_only_a_hash_names_an_input(digest):
    with pytest.raises(ValueError, match="SHA-256"):
        object_keys.input_key("", sha256=digest)


def test_an_s3_url_is_split_at_its_first_slash():
    assert object_keys.split_s3_url("s3://bucket/a/b #1?.png") == ("bucket", "a/b #1?.png")


@pytest.mark.parametrize("url", ["http://bucket/key", "s3://", "s3://bucket", "s3:///key", "key"])
def test_what_is_no_s3_url_is_refused(url):
    with pytest.raises(ValueError, match="s3://BUCKET/KEY"):
        object_keys.split_s3_url(url)
