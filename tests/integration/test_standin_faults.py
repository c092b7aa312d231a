"""What a stand-in does wrong when told to, as a client on the wire meets it."""

from __future__ import annotations

import io
import time

import pytest
import requests
import websocket
from PIL import Image

from infra.standin.faults import FaultRule, InvalidRule
from infra.standin.options import StandinOptions
from infra.standin.painter import read_facts
from infra.standin.process import StandinProcess, standin_thread
from tests.contract.comfy import Comfy, new_id, wait_until
from tests.contract.graphs import picture, sleeping
from tests.graphs import sound

#: Longer than any answer of a node on this machine takes that is not held back.
_LATE_S = 0.3


@pytest.fixture
def standin(tmp_path):
    with standin_thread(StandinOptions(directory=tmp_path)) as node:
        yield node


@pytest.fixture
def comfy(standin):
    with Comfy(standin.url) as known:
        yield known


@pytest.fixture
def fault(comfy):
    """Set one rule, as a test in another process would."""

    def set_(on, do, **how):
        answer = comfy.post("/standin/faults", json=[{"on": on, "do": do, **how}])
        assert answer.status_code == 200, answer.text
        return answer.json()[0]

    return set_


@pytest.fixture
def saved(comfy):
    """What history says of a saved picture, and its bytes."""
    [file] = comfy.run(picture())["outputs"]["2"]["images"]
    return file, comfy.view(file).content


def fired(comfy):
    return [rule["fired"] for rule in comfy.get("/standin/faults").json()]


def test_a_rule_strikes_those_it_fits_after_some_and_so_often(comfy, fault):
    fault("GET /history", "answer", status=500, after=1, count=2, about="prompt-7")

    statuses = [comfy.get(f"/history/prompt-{n}").status_code for n in (7, 8, 7, 7, 7)]

    assert statuses == [200, 200, 500, 500, 200]
    assert comfy.get("/api/queue").status_code == 200
    [rule] = comfy.get("/standin/faults").json()
    assert (rule["seen"], rule["fired"]) == (4, 2)


def test_a_cleared_rule_counts_in_the_journal_and_strikes_no_more(comfy, fault):
    number = fault("* /*", "answer", count=0)
    assert comfy.get("/api/queue").status_code == 503

    comfy.http.delete(f"{comfy.url}/standin/faults/{number}")

    assert comfy.get("/queue").status_code == 200
    assert comfy.get("/standin/journal").json()["counts"]["fault answer"] == 1
    fault("* /*", "answer", count=0)
    comfy.http.delete(f"{comfy.url}/standin/faults")
    assert comfy.get("/standin/faults").json() == []


def test_a_rule_is_in_force_from_a_time_for_a_time_and_again():
    rule = FaultRule(on="* /*", do="vanish", from_s=1, for_s=2, every_s=5)
    set_at = rule._set_at

    def at(seconds):
        rule._set_at = set_at - seconds
        return rule.is_in_force()

    assert [at(s) for s in (0, 1.5, 2.9, 3.5, 5.9, 6.5, 8.5)] == [0, 1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "GET /view", "do": "lose"},
        {"on": "nowhere", "do": "hang"},
        {"on": "run", "do": "explode"},
        {"on": "GET /view", "do": "truncate", "form": "torn"},
        {"on": "run", "do": "hang", "second": 1},
        {"do": "hang"},
        "hang",
    ],
)
def test_a_rule_that_cannot_be_is_refused(comfy, rule):
    answer = comfy.post("/standin/faults", json=[rule])

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert comfy.get("/standin/faults").json() == []
    with pytest.raises(InvalidRule):
        FaultRule.read(rule)


def test_an_answer_is_another_one(comfy, fault):
    fault("POST /prompt", "answer", status=503, body="busy")

    answer = comfy.submit(picture())

    assert (answer.status_code, answer.text) == (503, "busy")
    assert comfy.get("/standin/journal").json()["prompts"] == []


@pytest.mark.parametrize("do", ["close", "vanish"])
def test_an_answer_is_lost_though_the_prompt_runs(comfy, fault, do):
    fault("POST /prompt", do, handled=True)
    prompt_id = new_id()

    with pytest.raises(requests.ConnectionError):
        comfy.submit(picture(), prompt_id=prompt_id)

    assert comfy.ended(prompt_id)["status"]["completed"]


def test_a_connection_ends_before_the_prompt_is_taken(comfy, fault):
    fault("POST /prompt", "close")

    with pytest.raises(requests.ConnectionError):
        comfy.submit(picture())

    assert "posts" not in comfy.get("/standin/journal").json()["counts"]


def test_a_request_hangs_for_a_time_or_until_it_is_cleared(comfy, fault, standin):
    fault("GET /queue", "hang", seconds=_LATE_S)
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        comfy.get("/queue")
    assert time.monotonic() - began >= _LATE_S

    fault("GET /prompt", "hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{standin.url}/prompt", timeout=_LATE_S)
    assert comfy.get("/queue").status_code == 200


@pytest.mark.parametrize("handled", [False, True])
def test_a_request_is_late_on_the_way_there_or_back(comfy, fault, handled):
    fault("GET /queue", "delay", seconds=_LATE_S, handled=handled)
    began = time.monotonic()

    assert comfy.get("/queue").status_code == 200

    assert time.monotonic() - began >= _LATE_S


def test_a_body_comes_slowly(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "slow", bytes_per_s=int(len(content) / _LATE_S))
    began = time.monotonic()

    assert comfy.view(file).content == content

    assert time.monotonic() - began >= 0.8 * _LATE_S


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_short_body_is_seen_by_its_framing(comfy, fault, saved, form):
    fault("GET /view", "truncate", form=form)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        comfy.view(saved[0])


def test_a_short_body_that_ends_with_its_connection_looks_whole(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "truncate", form="close", keep=0.25)

    answer = comfy.view(file)

    assert "Content-Length" not in answer.headers
    assert answer.content == content[: len(content) // 4]


def test_a_content_length_says_less_or_more_than_comes(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "miscount", size=-3)
    assert comfy.view(file).content == content[:-3]

    fault("GET /view", "miscount", size=3, seconds=_LATE_S)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        comfy.view(file)


def test_a_body_is_not_what_it_should_be(comfy, fault, saved):
    file, content = saved

    def seen(do):
        fault("GET /view", do)
        answer = comfy.view(file)
        assert answer.status_code == 200
        return answer

    flipped = seen("flip").content
    assert sum(a != b for a, b in zip(content, flipped, strict=True)) == 1
    assert seen("empty").content == b""
    assert seen("html").headers["Content-Type"].startswith("text/html")
    other = seen("swap").content
    assert Image.open(io.BytesIO(other)).size == Image.open(io.BytesIO(content)).size
    assert read_facts(other)["job"] == "another"
    assert comfy.view(file).content == content


def test_what_is_no_picture_is_swapped_for_other_bytes(comfy, fault):
    [file] = comfy.run(sound(0.1))["outputs"]["2"]["audio"]
    content = comfy.view(file).content
    fault("GET /view", "swap")

    assert comfy.view(file).content not in (content, b"")


def test_a_websocket_never_opens(standin, fault):
    address = f"ws{standin.url.removeprefix('http')}/ws"
    fault("GET /ws", "hang")
    with pytest.raises((TimeoutError, websocket.WebSocketTimeoutException)):
        websocket.create_connection(address, timeout=_LATE_S)

    fault("GET /ws", "answer", status=502)
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(address, timeout=_LATE_S)


def test_a_websocket_drops_after_so_many_messages(comfy, fault):
    client_id = new_id()
    ears = comfy.listen(client_id)
    fault("ws", "drop", after=3)

    entry = comfy.run(picture(), client_id=client_id)

    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ears.until(lambda _: False)
    assert len(ears.heard) == 1 + 3
    assert entry["status"]["completed"]


def test_a_websocket_goes_deaf_but_stays_open(comfy, fault):
    ears = comfy.listen()
    fault("ws", "swallow", count=0, from_s=_LATE_S)
    comfy.run(picture(), client_id=ears.sid)
    assert len(ears.heard) == 1
    ears.until(lambda one: one["type"] == "execution_success")

    def is_deaf():
        comfy.run(picture(), client_id=ears.sid)
        return fired(comfy) > [0]

    wait_until(is_deaf, description="the end of its hearing")
    while not ears.hears_nothing():
        pass  # what was on its way

    comfy.run(picture(), client_id=ears.sid)
    assert ears.hears_nothing()


def test_a_graph_node_hangs_until_it_is_interrupted(comfy, fault):
    fault("step ComfyFleetSleep", "hang", after=1)
    prompt_id = comfy.queue_prompt(sleeping(0.01, steps=4))
    wait_until(lambda: fired(comfy) == [1], description="the step")

    comfy.post("/interrupt", json={"prompt_id": prompt_id})

    messages = comfy.ended(prompt_id)["status"]["messages"]
    assert messages[-1][0] == "execution_interrupted"


def test_a_deaf_graph_node_hangs_until_it_is_cleared(comfy, fault):
    fault("run SaveImage", "hang", deaf=True)
    ears = comfy.listen()
    prompt_id = comfy.queue_prompt(picture(), client_id=ears.sid)
    ears.until(lambda one: one["type"] == "executing" and one["data"]["node"] == "2")
    comfy.post("/interrupt", json={"prompt_id": prompt_id})
    assert ears.hears_nothing()
    assert comfy.running() == [prompt_id]

    comfy.http.delete(f"{comfy.url}/standin/faults")

    assert comfy.ended(prompt_id)["status"]["messages"][-1][0] == "execution_interrupted"


def test_a_zombie_accepts_prompts_and_runs_none(comfy, fault):
    client_id = new_id()
    fault("prompt", "hang", count=0)
    first, second = (comfy.queue_prompt(picture(), client_id=client_id) for _ in range(2))
    comfy.started(first)
    assert comfy.listen(client_id).hears_nothing()
    assert comfy.pending() == [second]

    comfy.http.delete(f"{comfy.url}/standin/faults")

    assert comfy.ended(second)["status"]["completed"]


@pytest.mark.parametrize(
    ("do", "exception"),
    [("raise", "RuntimeError"), ("oom", "torch.OutOfMemoryError"), ("disk_full", "OSError")],
)
def test_a_graph_node_raises_so_often_and_then_no_more(comfy, fault, do, exception):
    fault("run SaveImage", do, count=2)

    entries = [comfy.run(picture()) for _ in range(3)]

    assert [entry["status"]["completed"] for entry in entries] == [False, False, True]
    kind, told = entries[0]["status"]["messages"][-1]
    assert (kind, told["node_type"]) == ("execution_error", "SaveImage")
    assert told["exception_type"] == exception


def test_somebody_interrupts_a_prompt(comfy, fault):
    fault("run SaveImage", "interrupt")

    assert comfy.run(picture())["status"]["messages"][-1][0] == "execution_interrupted"


@pytest.mark.parametrize("place", ["accept", "prompt", "run SaveImage"])
def test_a_prompt_is_forgotten_and_the_next_one_runs(comfy, fault, place):
    fault(place, "forget")
    forgotten = comfy.queue_prompt(picture())

    assert comfy.run(picture())["status"]["completed"]

    assert comfy.entry(forgotten) is None
    assert comfy.remaining() == 0


def test_a_rule_may_be_about_one_job(comfy, fault):
    fault("run", "raise", about="job-2", count=0)

    entries = [comfy.run(picture(), extra_data={"job_id": f"job-{n}"}) for n in (1, 2, 3)]

    assert [entry["status"]["completed"] for entry in entries] == [True, False, True]


def test_history_is_lost_or_late_or_short(comfy, fault):
    fault("end", "lose")
    lost = comfy.queue_prompt(picture())
    fault("end", "late", seconds=_LATE_S)
    client_id = new_id()
    ears = comfy.listen(client_id)
    late = comfy.queue_prompt(picture(), client_id=client_id)

    ears.until(lambda one: one["type"] == "execution_success")
    assert comfy.entry(late) is None
    assert comfy.ended(late)["outputs"]
    assert comfy.entry(lost) is None
    fault("end", "short")
    entry = comfy.run(picture())
    assert entry["status"]["completed"]
    assert entry["outputs"] == {}


def test_somebody_elses_prompt_runs_first(comfy, fault):
    fault("accept", "foreign", seconds=_LATE_S)
    began = time.monotonic()
    ours = comfy.queue_prompt(picture())

    assert comfy.ended(ours)["status"]["completed"]

    assert time.monotonic() - began >= _LATE_S
    notes = comfy.get("/standin/journal").json()["prompts"]
    assert [note["prompt_id"] == ours for note in notes] == [False, True]
    assert comfy.entry(notes[0]["prompt_id"])["status"]["completed"]


def test_a_flapping_node_is_gone_and_back_with_its_sockets_cut(comfy, fault):
    ears = comfy.listen()
    fault("* /*", "vanish", count=0, for_s=_LATE_S, every_s=2 * _LATE_S)

    def answers():
        try:
            return comfy.get("/queue").status_code == 200
        except requests.ConnectionError:
            return False

    for _ in range(2):
        wait_until(lambda: not answers(), description="the node to go")
        wait_until(answers, description="the node to come back")
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ears.until(lambda _: False)


def test_the_process_ends_in_the_middle_of_a_prompt(tmp_path):
    with StandinProcess(tmp_path) as node, Comfy(node.url) as comfy:
        rule = {"on": "step", "do": "exit", "after": 2}
        comfy.post("/standin/faults", json=rule)
        comfy.queue_prompt(sleeping(0.1, steps=5))

        assert node.process.wait(10) == 1
