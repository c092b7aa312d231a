from __future__ import annotations

import pytest

from producer.contract.config.api_keys import check_key, read_key
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidJob, InvalidSettings
from producer.contract.graph.extra_data import API_KEY, split_extra_data

LIMIT = 1 << 20
WORKFLOW = {"extra_pnginfo": {"workflow": {"nodes": [{"widgets_values": ["token"]}]}}}


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ({}, []),
        (WORKFLOW, []),
        ({"preview_method": "taesd", "max_tokens": 5, "author": "me", "keys": [1]}, []),
        ({API_KEY: "k", "auth_token_comfy_org": "t"}, [API_KEY, "auth_token_comfy_org"]),
        ({"hfToken": "k", "OPENAI_API_KEY": "k", "x-secret": 1, "Authorization": "B"}, None),
        ({"my_extension": {"deep": [{"api-key": "k"}]}}, None),
    ],
)
def test_keys_and_tokens_are_told_from_the_rest(given, secret):
    extra = split_extra_data(given, max_bytes=LIMIT)
    assert sorted(extra.secrets) == sorted(given if secret is None else secret)
    assert {**extra.shared, **extra.secrets} == given


def test_what_comfyui_sets_itself_is_left_to_it():
    given = {"client_id": "a", "create_time": 1, "a": 2}
    assert split_extra_data(given, max_bytes=LIMIT) == ({"a": 2}, {}, ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "extra_data must be an object, not list"),
        ({"job_id": "x"}, "has a key 'job_id', which the fleet sets"),
        ({"job_attempt": 1}, "has a key 'job_attempt', which the fleet sets"),
        ({"extra_pnginfo": [1]}, "has an extra_pnginfo that is no object"),
        ({"extra_pnginfo": {"apiKey": "s3cret"}}, "would write apiKey into every picture"),
        ({"a": float("nan")}, "cannot be kept: NaN is no JSON number"),
        ({"a": "\ud800"}, "cannot be kept: it holds half a character"),
        ({5: 1}, "cannot be kept: it has a key that is not text"),
        ({"a": "é" * LIMIT}, r"has 2,\d+,\d+ bytes; .*\(COMFYFLEET_MAX_EXTRA_DATA_BYTES\)"),
        ({"token": "t" * 40_000}, r"has 40,012 bytes; the limit is 32,768 bytes \(for keys"),
    ],
)
def test_what_cannot_go_to_a_node_is_refused_and_no_secret_shown(given, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        split_extra_data(given, max_bytes=LIMIT)
    assert caught.value.field == "extra_data"
    assert "s3cret" not in str(caught.value)


def test_a_key_is_added_only_where_there_is_none():
    def keys(given, key):
        return split_extra_data(given, max_bytes=LIMIT).with_key(key).secrets

    assert keys({}, "k") == {API_KEY: "k"}
    assert keys({}, None) == {}
    assert keys({API_KEY: "own"}, "k") == {API_KEY: "own"}
    assert keys({"auth_token_comfy_org": "own"}, "k") == {"auth_token_comfy_org": "own"}


def test_a_key_is_read_from_its_file_and_from_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("comfyui-s3cret\n")
    settings = Settings(node_comfy_org_api_key_file=file, comfy_org_api_key="comfyui-other")
    assert (settings.nodes_api_key, settings.producers_api_key) == (
        "comfyui-s3cret",
        "comfyui-other",
    )
    assert "comfyui-other" not in repr(settings)
    monkeypatch.setenv("COMFYFLEET_NODE_COMFY_ORG_API_KEY", "comfyui-third")
    assert Settings().nodes_api_key == "comfyui-third"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"s3cret \xff", "it is no plain text"),
        (b"two s3cret words", "it has blanks"),
        (b"s3cret" * 1_000, "it has more than"),
    ],
)
def test_a_file_that_holds_no_key_is_refused_and_not_shown(tmp_path, content, why):
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=why) as caught:
        read_key(file)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidSettings, match=f"NODE_COMFY_ORG_API_KEY.*{why}"):
        _ = Settings(node_comfy_org_api_key_file=file).nodes_api_key


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere cannot be read: No such file"):
        read_key(tmp_path / "nowhere")
    assert check_key(" k \n") == "k"
