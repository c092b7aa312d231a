"""Sites follow from what was recorded; rules strike the one request that was meant."""

from __future__ import annotations

from tests.chaos.rules import Fault, Rule
from tests.chaos.sites import Site, sites_of

JOB = "01a202fc-72b0-7acb-9f17-73fc8595814e"


def entry(edge, request, *, at=0.0, about=False):
    return {"edge": edge, "request": request, "at": at, "ids": [JOB] if about else []}


def sites(*log, chatter=()):
    return sites_of(log, worker="n1", producer="p1", ids=[JOB], chatter=chatter)


def test_each_repetition_is_a_site():
    found = sites(entry("n1.s3", "PUT artifact"), entry("n1.s3", "PUT artifact", at=1))
    assert [site.nth for site in found] == [1, 2]


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
