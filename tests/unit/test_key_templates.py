"""Templates of copies' keys: refused where two files could come to one key, or a key is none that S3 services take."""

from __future__ import annotations

import itertools

import pytest

from producer.contract.config.deliver_buckets import DeliverBuckets
from producer.contract.config.settings import Settings
from producer.contract.deliver_requests import read_deliver
from producer.contract.errors import InvalidJob
from producer.contract.ids import new_batch_id, new_job_id
from producer.contract.key_template_checks import read_template
from producer.contract.key_templates import (
    PLACEHOLDERS,
    THUMBNAIL_SUFFIX,
    key_values,
    parse_template,
)
from producer.intake.copy_policy import checked_deliver

BATCH = new_batch_id()


@pytest.mark.parametrize(
    "key",
    [
        "{owner}/{batch}/{row}-{n}.png",
        "{job}-{n}{ext}",
        "{job}/{n}",
        "{name}-{n}/{job}{ext}",
        "nights/{batch}/{name}_{row}_{n}{ext}",
        "{graph_node}/{job}.{n}.{name}{ext}",
        "żółw {job}-{n}{ext}",
    ],
)
def test_a_template_that_tells_files_apart_is_taken(key):
    assert read_template(f"s3://shop/{key}", owner="shop", has_batch=True).bucket == "shop"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("{job}{ext}", r"lacks \{n\}: two files of one job"),
        ("{n}{ext}", r"lacks \{batch\} and \{row\}: two rows"),
        ("{batch}-{n}", r"lacks \{row\}: two rows"),
        ("{row}-{n}", r"lacks \{batch\}: row 1 of two batches"),
        ("{batch}/{row}{n}", r"has \{n\} beside another placeholder"),
        ("{batch}/{n}{row}", r"has \{n\} beside another placeholder"),
        ("{job}/{name}{n}", r"has \{n\} beside another placeholder"),
        ("{job}/{name}1{n}", r"has \{n\} beside another placeholder"),
        ("{job}/{name}.{n}{ext}", r"has \{n\} beside another placeholder"),
        ("{job}/{name}x{n}{ext}", r"has \{n\} beside another placeholder"),
        ("{job}/{name}-{n}-{name}", r"has \{n\} beside another placeholder"),
        ("{batch}/{graph_node}{row}/{n}", r"has \{row\} beside another placeholder"),
        ("{job}/{n}{ext}/x", r"names \{ext\} elsewhere than at its end"),
        ("{job}-{n}/{ext}", r"has a part that is \{ext\}"),
        ("{job}-{n}/.{ext}", r"has a part that is \.\{ext\}"),
        ("../{job}-{n}", r"has a part that is \.\."),
        ("a/./{job}-{n}", r"has a part that is \."),
        ("/{job}-{n}", "has a part that is empty"),
        ("{job}-{n}/", "has a part that is empty"),
        ("", "has a part that is empty"),
        ("a\\..\\{job}-{n}", r"has the character '\\\\'"),
        ("a\n{job}-{n}", r"has the character '\\n'"),
        ("a\u202e{job}-{n}", r"has the character '\\u202e'"),
        ("a\0{job}-{n}", r"has the character '\\x00'"),
        ("{jub}-{n}", r"no placeholder \{jub\}; did you mean \{job\}"),
        ("{}-{job}-{n}", r"no placeholder \{\}"),
        ("{job!r}-{n}", r"no placeholder \{job!r\}"),
        ("{job}-{n", r"a brace without its pair"),
        ("{{job}}-{n}", r"a brace without its pair"),
        (f"{'x' * 220}{{job}}-{{n}}", "275 bytes between two slashes; the limit is 255"),
        (f"{'ä/' * 400}{{job}}-{{n}}", r"keys of 1,2\d\d bytes.*the limit is 1,024"),
    ],
)
def test_a_template_that_does_not_is_refused(key, problem):
    with pytest.raises(InvalidJob, match=problem) as caught:
        read_template(f"s3://shop/{key}", owner="shop", has_batch=True)
    assert caught.value.field == "deliver.to"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "owner", "has_batch", "problem"),
    [
        ("shop/{job}-{n}", "a", False, "not of the form s3://BUCKET/KEY"),
        ("s3://{owner}/{job}-{n}", "a", False, "not of the form s3://BUCKET/KEY"),
        ("s3:///{job}-{n}", "a", False, "not of the form s3://BUCKET/KEY"),
        ("s3://shop", "a", False, "not of the form s3://BUCKET/KEY"),
        ("s3://shop/{owner}/{job}-{n}", "", False, "the job has none"),
        ("s3://shop/{row}-{job}-{n}", "a", False, "a single job is of no batch"),
        ("s3://shop/x-{n}", "a", False, r"lacks \{job\}: two jobs"),
        ("s3://shop/\ud800{job}-{n}", "a", False, "half a character"),
        (7, "a", False, "must be text, not int"),
        ("s3://shop/" + "x/" * 2000, "a", False, "the limit is 2,000"),
    ],
)
def test_a_template_is_refused_for_whom_it_is(text, owner, has_batch, problem):
    with pytest.raises(InvalidJob, match=problem):
        read_template(text, owner=owner, has_batch=has_batch)


TOKENS = ["{row}", "{n}", "{name}", "{ext}", "-", ".", "a", "7"]
#: Of one batch, so that only row and n tell them apart; values that look like parts of each other.
FILES = [
    {"row": row, "n": n, "name": name, "ext": ext}
    for row, n in itertools.product([1, 7, 71], [0, 1, 7, 17])
    for name in ["a", "7", "7-1-a", "1a7.7"]
    for ext in ["", ".7", ".a7"]
]


def test_no_two_files_come_to_one_key():
    taken = 0
    for tokens in itertools.islice(itertools.product(TOKENS, repeat=5), 0, None, 3):
        if not {"{row}", "{n}"} <= set(tokens):
            continue
        text = f"s3://shop/{{batch}}/{''.join(tokens)}"
        try:
            template = read_template(text, owner="shop", has_batch=True)
        except InvalidJob:
            continue
        taken += 1
        whose: dict[str, tuple[int, int]] = {}
        for file in FILES:
            values = key_values(job="", owner="shop", batch=BATCH, graph_node="9", **file)
            key = template.key(values)
            assert whose.setdefault(key, (file["row"], file["n"])) == (file["row"], file["n"]), text
        assert not any(f"{key}{THUMBNAIL_SUFFIX}" in whose for key in whose)
    assert taken > 50


@pytest.mark.parametrize(
    "odd", ["..", ".", "", "../../etc", "a/b", "a\\b", "a\0b", "ü" * 90, "~2F", "\ud800", "." * 99]
)
def test_values_make_no_path(odd):
    template = parse_template("s3://shop/{owner}/{graph_node}/{name}{ext}")
    values = key_values(
        job=new_job_id(),
        owner=odd or "o",
        batch="",
        row=None,
        n=0,
        graph_node=odd,
        name=odd,
        ext="",
    )
    key = template.key(values)
    parts = key.split("/")
    assert len(parts) == 3
    assert all(part.strip(".") for part in parts)
    assert key.isascii()
    assert key.isprintable()
    assert all(len(values[name]) <= most for name, most in PLACEHOLDERS.items())


@pytest.mark.parametrize(
    ("listed", "owner", "to", "is_allowed"),
    [
        ("", "alice", "s3://shop/alice/{job}-{n}", False),
        ("shop", "alice", "s3://other/{owner}/{job}-{n}", False),
        ("shop", "alice", "s3://shop/{owner}/{job}-{n}", True),
        ("shop", "alice", "s3://shop/alice/{job}-{n}", True),
        ("shop", "alice", "s3://shop/alice-2/{job}-{n}", False),
        ("shop", "alice", "s3://shop/bob/{job}-{n}", False),
        ("shop", "alice", "s3://shop/{job}-{n}", False),
        ("shop", "alice", "s3://shop/{name}/{job}-{n}", False),
        ("shop", "", "s3://shop/{job}-{n}", True),
        ("other, shop/*", "alice", "s3://shop/bob/{job}-{n}", True),
        ("shop/out/{owner}", "alice", "s3://shop/out/{owner}/{job}-{n}", True),
        ("shop/out/{owner}", "alice", "s3://shop/out/bob/{job}-{n}", False),
        ("shop/out/{owner}", "alice", "s3://shop/{owner}/{job}-{n}", False),
        ("shop/all", "alice", "s3://shop/all/{job}-{n}", True),
        ("shop/all", "alice", "s3://shop/allx/{job}-{n}", False),
        ("shop", "a.b", "s3://shop/{owner}/{job}-{n}", True),
        ("shop", "żółw", "s3://shop/{owner}/{job}-{n}", True),
        ("shop", "żółw", "s3://shop/żółw/{job}-{n}", False),
    ],
)
def test_an_owner_puts_copies_only_where_the_operator_lets_it(listed, owner, to, is_allowed):
    settings = Settings(deliver_buckets=listed)
    given = {"to": to}
    if is_allowed:
        assert checked_deliver(given, owner=owner, has_batch=False, settings=settings)
        return
    with pytest.raises(InvalidJob) as caught:
        checked_deliver(given, owner=owner, has_batch=False, settings=settings)
    assert caught.value.field == "deliver.to"


@pytest.mark.parametrize(
    "key",
    [
        "renders/jobs/{job}-{n}",
        "renders/{name}/{job}-{n}",
        "{name}/{job}-{n}",
        "renders/inputs/{job}-{n}",
    ],
)
def test_in_its_own_bucket_the_fleet_keeps_its_folders(key):
    settings = Settings(deliver_buckets="comfyfleet/*", s3_prefix="renders")
    with pytest.raises(InvalidJob, match="keeps its artifacts there"):
        checked_deliver(
            {"to": f"s3://comfyfleet/{key}"}, owner="", has_batch=False, settings=settings
        )
    apart = {"to": "s3://comfyfleet/copies/{job}-{n}"}
    assert checked_deliver(apart, owner="", has_batch=False, settings=settings)


@pytest.mark.parametrize(
    "text", ["a", "../x", "shop/../x", "shop//x", "shop/{job}", "*", "sh*p", "shop/*/x", "{owner}"]
)
def test_a_list_of_buckets_that_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError, match=r"(is no BUCKET|bucket)"):
        DeliverBuckets.parse(text)


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        ([], "deliver", "must be a mapping, not list"),
        ("s3://shop/x", "deliver", "must be a mapping, not str"),
        ({}, "deliver.to", "lacks `to`"),
        ({"to": None}, "deliver.to", "must be text of the form s3://BUCKET/KEY, not null"),
        ({"to": "s", "format": "gif"}, "deliver.format", 'must be webp, jpeg or png, not "gif"'),
        ({"to": "s", "metadata": True}, "deliver.metadata", "must be keep or strip, not true"),
        ({"to": "s", "thumbnail": 8}, "deliver.thumbnail", "from 16 to 4,096, not 8"),
        ({"to": "s", "thumbnail": "64"}, "deliver.thumbnail", 'not "64"'),
        ({"to": "s", "thumbnail": float("nan")}, "deliver.thumbnail", "not float"),
        ({"to": "s", "format": "webp", "quality": 101}, "deliver.quality", "from 1 to 100"),
        ({"to": "s", "quality": 90}, "deliver.quality", "is for webp and jpeg, and no format"),
        ({"to": "s", "quality": 90, "format": "png"}, "deliver.quality", "format is png"),
        ({"to": "s", "formt": "png"}, "deliver.formt", "did you mean format"),
        ({"to": "s", 7: 7}, "deliver.7", "has no part 7"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(given, field, problem):
    with pytest.raises(InvalidJob, match=problem) as caught:
        read_deliver(given)
    assert caught.value.field == field
