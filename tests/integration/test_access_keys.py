"""Access keys: kept as a hash, told once, and checked by one call whoever asks."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.contract.access import Scope
from producer.contract.errors import AccessKeyNotValid, InvalidJob, ScopeMissing, TooManyRequests
from producer.contract.queues import Tier
from producer.store import keys
from tests.polling import wait_until


def test_only_the_hash_of_a_key_is_kept(led):
    made = led.fleet.keys.create("shop-1", owner="shop", scopes=["submit", "read"])
    kept = json.dumps(led.redis.hgetall(keys.ACCESS_KEYS))
    assert made.secret.startswith("cfk_")
    assert made.secret not in kept
    assert made.secret[4:] not in kept
    assert made.secret not in repr(made)
    assert len(made.secret) >= 47, "256 bits"
    assert led.fleet.keys.list() == [made.key]
    assert led.fleet.keys.admit(made.secret, Scope.READ) == made.key


def test_a_key_opens_what_its_scopes_say_and_admin_opens_all(led):
    reader = led.fleet.keys.create("reader", owner="shop", scopes=["read"])
    admin = led.fleet.keys.create("admin", owner="ops", scopes=["admin"])
    with pytest.raises(ScopeMissing, match="needs submit"):
        led.fleet.keys.admit(reader.secret, Scope.SUBMIT)
    for scope in Scope:
        assert led.fleet.keys.admit(admin.secret, scope) == admin.key
    assert admin.key.sees("shop")
    assert not reader.key.sees("ops")


@pytest.mark.parametrize(
    "secret", ["", "cfk_", "cfk_nobody", "Bearer", "cfk_" + "x" * 10_000, "\ud800"]
)
def test_what_is_no_key_opens_nothing(led, secret):
    with pytest.raises(AccessKeyNotValid):
        led.fleet.keys.admit(secret, Scope.READ)


def test_a_revoked_key_opens_nothing_at_once(led):
    made = led.fleet.keys.create("gone", owner="shop", scopes=["read"])
    assert led.fleet.keys.revoke("gone")
    assert not led.fleet.keys.revoke("gone")
    with pytest.raises(AccessKeyNotValid, match="revoked"):
        led.fleet.keys.admit(made.secret, Scope.READ)


def test_a_key_expires_and_its_name_is_free_again(led):
    made = led.fleet.keys.create(
        "brief", owner="shop", scopes=["read"], expires_in=timedelta(seconds=0.05)
    )

    def is_expired():
        try:
            led.fleet.keys.admit(made.secret, Scope.READ)
        except AccessKeyNotValid as exc:
            return "expired" in str(exc)
        return False

    wait_until(is_expired, description="the key has expired")
    again = led.fleet.keys.create("brief", owner="shop", scopes=["read"])
    assert led.fleet.keys.list() == [again.key]


def test_two_keys_of_one_name_are_refused(led):
    led.fleet.keys.create("shop", owner="shop", scopes=["read"])
    with pytest.raises(InvalidJob, match="another key is called shop"):
        led.fleet.keys.create("shop", owner="shop", scopes=["read"])


def test_a_rate_is_kept_and_says_when_to_come_again(led):
    made = led.fleet.keys.create("slow", owner="shop", scopes=["read"], rate=3)
    for _ in range(3):
        led.fleet.keys.admit(made.secret, Scope.READ)
    with pytest.raises(TooManyRequests) as caught:
        led.fleet.keys.admit(made.secret, Scope.READ)
    assert timedelta(0) < caught.value.after <= timedelta(seconds=0.34)
    assert all(0 < led.redis.pttl(key) < 5000 for key in led.redis.scan_iter("*requests*"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A B"),
        ("name", ""),
        ("owner", ""),
        ("owner", "a:b"),
        ("scopes", []),
        ("scopes", ["root"]),
        ("rate", 0),
        ("rate", float("nan")),
        ("max_waiting", 0),
        ("top_tier", "now"),
        ("expires_in", timedelta(0)),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_its_field(led, field, value):
    wanted = {"name": "shop", "owner": "shop", "scopes": ["read"], field: value}
    with pytest.raises(InvalidJob) as caught:
        led.fleet.keys.create(wanted.pop("name"), **wanted)
    assert caught.value.field == field.replace("top_tier", "tier")
    assert led.fleet.keys.list() == []


def test_a_key_has_a_most_urgent_tier(led):
    made = led.fleet.keys.create("shop", owner="shop", scopes=["read"], top_tier="default")
    assert made.key.tiers == [Tier.DEFAULT, Tier.BATCH, Tier.IDLE]


@pytest.mark.writes_keys
def test_a_torn_record_opens_nothing_and_hides_no_other(led):
    good = led.fleet.keys.create("good", owner="shop", scopes=["read"])
    torn = led.fleet.keys.create("torn", owner="shop", scopes=["read"])
    for record in ("{", "[]", '"x"', '{"name": "torn"}', '{"name": "torn", "created_ms": "?"}'):
        [sha256] = [h for h in led.redis.hkeys(keys.ACCESS_KEYS) if h.startswith(torn.key.id)]
        led.redis.hset(keys.ACCESS_KEYS, sha256, record)
        with pytest.raises(AccessKeyNotValid):
            led.fleet.keys.admit(torn.secret, Scope.READ)
        assert led.fleet.keys.list() == [good.key]
