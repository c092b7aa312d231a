"""What a request is called by: each name is text, also where nothing is said in another kind."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob
from producer.intake.request import Request, check_names, request_of


@pytest.mark.parametrize("value", [False, 0, b"", (), 7])
@pytest.mark.parametrize("name", ["pool", "pin", "owner", "hook", "idempotency_key"])
def test_a_name_that_is_no_text_is_refused_by_its_field(name, value):
    with pytest.raises(InvalidJob, match="must be text") as caught:
        check_names(Request(graph={}, **{name: value}))
    assert caught.value.field == name


def test_no_pin_and_no_key_are_nothing_to_refuse():
    check_names(Request(graph={}, pin=None, idempotency_key=None))


@pytest.mark.parametrize(
    ("owner", "found"),
    [
        ("acme:bob", "'acme:bob' has a colon"),
        ("acme bob", "'acme bob' has a space"),
        ("acme\nbob", r"'acme\\nbob' has a space"),
        ("acme\x1b[0m", r"'acme\\x1b\[0m' has a control character"),
        ("acme\n", r"'acme\\n' has a space"),
        ("\u2028", r"'\\u2028' has a space"),
        ("\u202eshop", r"'\\u202eshop' has a control character"),
        ("x" * 10_000, "has 10,000 characters"),
        ("a" * 65, "has 65 characters"),
        ("a" * 100_000, "has 100,000 characters"),
    ],
)
def test_an_owner_that_no_key_or_filter_could_hold_is_refused_in_one_sentence(owner, found):
    with pytest.raises(InvalidJob, match=f"^owner {found}; expected at most 64") as caught:
        check_names(Request(graph={}, owner=owner))
    assert caught.value.field == "owner"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "owner", ["", "shop", "Größe-7", "a" * 64, "me@example.org", "*", "[a-z]?", "漢字", "a\\\\b"]
)
def test_a_plain_owner_is_taken(owner):
    check_names(Request(graph={}, owner=owner))


@pytest.mark.parametrize("hook", ["shop", "wh_7", "0f.e-d", "a" * 63])
def test_a_webhook_is_named_as_nodes_are(hook):
    check_names(Request(graph={}, hook=hook))


@pytest.mark.parametrize("hook", ["https://shop.example/told", "a b", "é", "a\n", "_a", "a" * 64])
def test_what_can_name_no_webhook_is_refused_in_one_sentence(hook):
    with pytest.raises(InvalidJob, match=r"^hook .* is no name of a webhook; expected") as caught:
        check_names(Request(graph={}, hook=hook))
    assert caught.value.field == "hook"
    assert len(caught.value.message) < 250
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("option", ["template", "came_at", "colour"])
def test_an_option_that_there_is_not_is_no_request(option):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        request_of({}, {option: "portrait"})
