"""The filter language: what is written is what is asked, and what makes no sense is told with its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.causes import Cause
from producer.contract.errors import InvalidQuery
from producer.contract.filters.fields import FIELDS, filter_help
from producer.contract.filters.parser import parse_filter
from producer.contract.filters.query import Filter, Term, TimeTerm, said
from producer.contract.filters.times import TimeSpan
from producer.contract.jobs import JobStatus
from producer.contract.queues import Tier

OWNERS = st.text(
    st.characters(blacklist_categories=("Z", "C"), blacklist_characters=":"), max_size=9
)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True)
VALUES = {
    "status": st.sampled_from(JobStatus).map(str),
    "cause": st.sampled_from(Cause).map(str),
    "tier": st.sampled_from(Tier).map(str),
    "node": NAMES,
    "pool": NAMES,
    "batch": st.text(min_size=1, max_size=12),
    "owner": OWNERS,
}
TERMS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda field: st.builds(
        Term,
        st.just(field),
        st.lists(VALUES[field], min_size=1, max_size=3, unique=True).map(tuple),
        st.booleans(),
    )
)


def refused(text):
    try:
        parse_filter(text)
    except InvalidQuery as exc:
        return exc
    return None


@given(st.lists(TERMS, max_size=4, unique_by=lambda term: term.field))
def test_a_filter_that_is_written_is_read_as_the_same(terms):
    written = Filter(tuple(terms)).text
    if refusal := refused(written):
        # Status and cause may exclude each other.
        assert "no job can be meant" in refusal.message
        return
    found = parse_filter(written)
    assert found.text == written
    assert {term.field: (set(term.values), term.is_not) for term in found.terms} == {
        term.field: (set(term.values), term.is_not) for term in terms
    }


@given(st.text(max_size=40) | st.text('status:faildown,-"\\ <>2026-1T', max_size=40))
def test_any_text_is_read_or_refused_in_one_short_sentence_with_its_place(text):
    if refusal := refused(text):
        assert refusal.field == "filter"
        assert 1 <= refusal.position <= len(text) + 1
        assert f"character {refusal.position}:" in refusal.message
        assert refusal.message.isprintable()
        assert len(refusal.message) < 600


FACTS = st.fixed_dictionaries(
    {
        **{field: values | st.none() for field, values in VALUES.items()},
        "created": st.datetimes(timezones=st.just(UTC)),
        "ended": st.datetimes(timezones=st.just(UTC)) | st.none(),
    }
)


@given(TERMS, FACTS)
def test_a_term_and_its_opposite_part_all_jobs_between_them(term, facts):
    other = Term(term.field, term.values, not term.is_not)
    assert Filter((term,)).holds(facts) != Filter((other,)).holds(facts)


@given(st.lists(TERMS, max_size=4), FACTS)
def test_what_a_job_must_have_is_never_missing_from_what_is_wanted(terms, facts):
    found = Filter(tuple(terms))
    if found.holds(facts):
        for field in VALUES:
            wanted = found.wanted(field)
            assert wanted is None or (facts[field] or "") in wanted


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  \t ", []),
        ("status:failed", [Term("status", ("failed",))]),
        ("-status:succeeded,failed", [Term("status", ("succeeded", "failed"), is_not=True)]),
        ('batch:"night 0412",x', [Term("batch", ("night 0412", "x"))]),
        (r'batch:"say \"hi\" \\"', [Term("batch", ('say "hi" \\',))]),
        ('owner:""', [Term("owner", ("",))]),
        ("node:gpu-03  tier:rush", [Term("node", ("gpu-03",)), Term("tier", ("rush",))]),
    ],
)
def test_terms_are_read(text, terms):
    assert list(parse_filter(text).terms) == terms


def day(number, hour=0, minute=0, second=0):
    return datetime(2026, 11, number, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-11-27", day(27), day(28)),
        (">2026-11-27", day(28), None),
        (">=2026-11-27", day(27), None),
        ("<2026-11-27", None, day(27)),
        ("<=2026-11-27", None, day(28)),
        (">2026-11-27T18:30", day(27, 18, 31), None),
        (">=2026-11-27T18:30+01:00", day(27, 17, 30), None),
        ("<2026-11-27T18:30:05Z", None, day(27, 18, 30, 5)),
        ('"<2026-11-27 18:30"', None, day(27, 18, 30)),
    ],
)
def test_times_are_read(text, since, until):
    [term] = parse_filter(f"created:{text}").terms
    assert term == TimeTerm("created", TimeSpan(since, until))


def test_two_times_bound_a_span():
    found = parse_filter("created:>=2026-11-27 created:<2026-11-29")
    assert found.span("created") == TimeSpan(day(27), day(29))
    assert found.holds({"created": day(28)})
    assert not found.holds({"created": day(29)})


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("failed", 1, "'failed' names no field; expected status:failed"),
        ("tier:rush failed", 11, "expected status:failed"),
        ("stats:failed", 1, "there is no field 'stats'; did you mean 'status'?"),
        ("-stats:failed", 2, "did you mean 'status'?"),
        ("zzzz:failed", 1, "expected one of status, cause, node"),
        ("status:faild", 8, "there is no status 'faild'; did you mean 'failed'?"),
        ("status:FAILED", 8, "did you mean 'failed'?"),
        ("status:failed,qeued", 15, "did you mean 'queued'?"),
        ("cause:oom", 7, "there is no cause 'oom'; expected one of invalid_graph"),
        ("tier:urgent", 6, "expected one of rush, default, batch, idle"),
        ("status:", 8, "found the end; expected a value, as in status:failed"),
        ("status:,failed", 8, "found ','; expected a value"),
        ("status:failed,", 15, "found the end; expected a value"),
        ("status: failed", 8, "expected a value"),
        (":failed", 1, "found ':'; expected a field"),
        ("-", 2, "found the end; expected a field"),
        ("--status:failed", 1, "there is no field '-status'; did you mean 'status'?"),
        ('batch:"night', 7, "a quote is not closed"),
        ('batch:"night"x', 14, "found 'x'; expected a comma, a space, or the end"),
        ("node:GPU", 6, "node 'GPU' is no name"),
        ("owner:a:b", 7, "owner 'a:b' has a colon"),
        ("created:yesterday", 9, "'yesterday' is no time; expected a time as 2026-11-27"),
        ("created:2026-02-30", 9, "'2026-02-30' is no time that there is"),
        ("created:>9999-12-31", 9, "lies beyond the last day"),
        ("created:2026-11-27,2026-11-28", 20, "created takes one time"),
        ("status:>failed", 8, "there is no status '>failed'"),
        ("status:failed status:queued", 15, "status stands here twice"),
        ("status:failed -status:failed", 15, "with this term no job can be meant"),
        ("cause:poison status:succeeded", 14, "with this term no job can be meant"),
        ("created:>2026-11-27 created:<2026-11-20", 21, "with this term no job can be meant"),
        ("status:running ended:2026-11-20", 16, "with this term no job can be meant"),
        ("status:failed all", 15, "'all' means all jobs, and stands alone"),
        ("all status:failed", 1, "'all' means all jobs, and stands alone"),
        ("-node:a " * 101, 801, "more than 100 terms; expected values of one field by comma"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(text, position, message):
    with pytest.raises(InvalidQuery) as caught:
        parse_filter(text)
    assert message in caught.value.message
    if not text.startswith("--"):
        assert caught.value.position == position


def test_what_changes_jobs_must_say_which():
    assert said(parse_filter(" all ")).terms == ()
    assert said(parse_filter("status:failed")).terms
    for empty in (parse_filter(" "), Filter(), parse_filter("")):
        with pytest.raises(InvalidQuery, match="is empty, and would mean all jobs; expected terms"):
            said(empty)


@pytest.mark.parametrize("text", [None, 5, b"status:failed", "x" * 5_000])
def test_what_is_no_filter_at_all_is_refused(text):
    with pytest.raises(InvalidQuery, match=r"^filter (must be text|has 5,000 characters)"):
        parse_filter(text)


def test_the_help_names_every_field_by_an_example_that_can_be_read():
    told = filter_help()
    for field in FIELDS.values():
        assert field.example in told
        assert [term.field for term in parse_filter(field.example).terms] == [field.name]
