"""Sites follow from what was recorded; rules strike the one request that was meant."""

from __future__ import annotations

from tests.chaos.enumeration.cases import EXACT, Case, spread
from tests.chaos.enumeration.lives import LIVES
from tests.chaos.enumeration.sites import Site, calls_of, sites_of, sites_of_web
from tests.chaos.proxy.rules import Fault, Rule

JOB = "01a202fc-72b0-7acb-9f17-73fc8595814e"


def entry(edge, request, *, at=0.0, about=False):
    return {"edge": edge, "request": request, "at": at, "ids": [JOB] if about else []}


def sites(*log, chatter=()):
    return sites_of(log, worker="n1", producer="p1", ids=[JOB], chatter=chatter)


def test_each_repetition_is_a_site():
    found = sites(entry("n1.s3", "PUT artifact"), entry("n1.s3", "PUT artifact", at=1))
    assert [site.nth for site in found] == [1, 2]


def test_what_a_producer_reads_more_than_twice_is_alike_and_what_it_changes_is_not():
    log = [entry("p1.redis", "HGETALL batch", at=at) for at in range(5)]
    log += [entry("p1.redis", "EVALSHA batch_hold", at=at) for at in range(5, 8)]
    assert [site.nth for site in sites(*log)] == [1, 2, 1, 2, 3]


def test_a_pipeline_of_equal_commands_is_one_site():
    found = sites(entry("n1.redis", "EXISTS queued"), entry("n1.redis", "EXISTS queued", at=0.001))
    assert [site.nth for site in found] == [1]


def test_chatter_is_one_site_however_often_it_comes():
    log = [entry("n1.redis", "EVALSHA renew", at=at, about=True) for at in range(5)]
    assert sites(*log, chatter={"EVALSHA renew"}) == [
        Site("worker.redis", "EVALSHA renew", 1, about=False)
    ]


def test_what_another_worker_does_for_the_job_counts_too():
    found = sites(entry("n2.redis", "EVALSHA requeue", about=True), entry("n2.redis", "TIME"))
    assert found == [Site("worker.redis", "EVALSHA requeue", 1, about=True)]
    rule = found[0].rule(worker="n1", producer="p1", ids=[JOB], after=True, fault=Fault.CUT)
    assert (rule.edge, rule.about) == ("n*.redis", [JOB])


def test_a_rule_strikes_the_nth_request_that_fits_and_no_other():
    rule = Rule(edge="n1.*", request="EVALSHA *", fault=Fault.CUT, about=[JOB], nth=2)
    raw = f"... {JOB}.1 ...".encode()
    struck = [
        rule.strikes("n1.redis", "EVALSHA claim", raw),
        rule.strikes("n2.redis", "EVALSHA claim", raw),
        rule.strikes("n1.redis", "PING", raw),
        rule.strikes("n1.redis", "EVALSHA claim", b"another"),
        rule.strikes("n1.redis", "EVALSHA note", raw),
        rule.strikes("n1.redis", "EVALSHA note", raw),
    ]
    assert struck == [False, False, False, False, True, False]
    assert (rule.seen, rule.struck) == (3, 1)


def test_a_rule_without_end_strikes_until_it_is_lifted():
    rule = Rule(edge="*", request="WS *", fault=Fault.DROP, times=0)
    assert all(rule.strikes("n1.node", "WS status", b"") for _ in range(9))


def test_a_rule_travels_as_json():
    rule = Rule(edge="*", request="*", fault=Fault.LIMIT, size=40, after=True)
    assert Rule.of(rule.as_message()) == rule


def test_whatever_anybody_called_is_known():
    log = [
        entry("n2.redis", "PING"),
        entry("p1.s3", "HEAD bucket"),
        entry("producer.redis", "TIME"),
    ]
    assert calls_of(log, workers={"n1", "n2"}, producers={"p1"}) == {
        ("worker.redis", "PING"),
        ("producer.s3", "HEAD bucket"),
    }


def a_case(*, waits):
    site = Site("worker.redis", "PING", 1, about=False)
    return Case(site, after=True, lives=LIVES[:1], waits=waits)


def test_a_call_that_comes_by_itself_is_waited_for_and_in_the_end_on_any_lane():
    turns = list(a_case(waits=True).turns())
    assert all(turn.waits_s > 20 for turn in turns)
    assert not any(turn.by_anyone for turn in turns[:EXACT])
    assert turns[-1].by_anyone


def test_a_case_that_failed_to_strike_is_tried_in_a_process_that_starts_anew():
    assert "returning" in {turn.life.name for turn in a_case(waits=False).turns()}


def test_cases_that_wait_are_spread_among_those_that_work():
    order = [case.waits for case in spread([a_case(waits=n < 2) for n in range(6)])]
    assert order == [False, True, False, False, True, False]


def test_what_serves_all_lanes_has_one_site_for_all_of_a_name():
    log = [entry("api1.redis", "EVALSHA submit", at=at) for at in range(6)]
    log += [entry("hooks2.redis", "EVALSHA delivery_take", about=True)] * 3
    log += [entry("receiver.http", "POST /shop/hook-1")] * 2  # not by each lane: it came by chance
    log += [entry("n1.redis", "EVALSHA claim")] * 3
    log += [entry("api1.redis", "AUTH"), entry("api1.redis", "PING")] * 3
    found = sites_of_web(log, lanes=3)
    assert [str(site) for site in found] == [
        "api.redis EVALSHA submit #1",
        "hooks.redis EVALSHA delivery_take #1",
    ]
    rule = found[0].rule(worker="n1", producer="p1", ids=[JOB], after=True, fault=Fault.CUT)
    assert (rule.edge, rule.about) == ("api*.redis", [])


def test_no_worker_is_asked_for_what_senders_do_about_a_job():
    assert sites(entry("hooks1.redis", "EVALSHA delivery_add", about=True)) == []


def test_each_look_that_may_take_the_end_of_a_job_is_a_site():
    found = sites_of_web([entry("hooks1.redis", "EVALSHA outbox_take")], lanes=1)
    assert [site.nth for site in found] == [1, 2, 3, 4]
