"""The share of a render's time that has passed, on recorded sequences of events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.graphs import rendering
from worker.comfyui.progress import ProgressTally
from worker.comfyui.time_share import TimeShare
from worker.scheduling.node_times import NodeTimes, kinds_of

#: What a real ComfyUI sent, and when: `{"comfyui", "graph", "events": [[s, message, data], ...]}`.
RECORDED = Path(__file__).parent / "recorded"

GRAPH = rendering("sd15.safetensors", seed=1, steps=20)

#: `[(seconds, message, data), ...]`.
Events = list[tuple[float, str, dict[str, Any]]]


def run(*, load_s: float, cached: list[str], step_s: float = 0.25, steps: int = 20) -> Events:
    """Return what ComfyUI 0.33.0 sends of such a graph, in its order and without `progress_state`."""
    events: Events = [(0, "execution_start", {}), (0, "execution_cached", {"nodes": cached})]
    now = 0.0

    def node(name: str, seconds: float, *, bar: int = 0) -> None:
        nonlocal now
        if name in cached:
            return
        events.append((now, "executing", {"node": name, "display_node": name}))
        for step in range(1, bar + 1):
            step_data = {"node": name, "value": step, "max": bar}
            events.append((now + seconds * step / bar, "progress", step_data))
        now += seconds

    node("4", load_s)
    node("5", 0.01)
    node("6", 0.2)
    node("3", step_s * steps + 0.3, bar=steps)
    node("8", 1.2)
    node("9", 0.4)
    events += [(now, "execution_success", {}), (now, "executing", {"node": None})]
    return events


FIRST = run(load_s=9.0, cached=[])
SECOND = run(load_s=0, cached=["4", "5"])
#: A few steps only, as a turbo model takes.
TURBO = run(load_s=0, cached=["4", "5"], step_s=0.5, steps=4)


class Watched:
    """Plays events by a clock of its own, and looks at the share every twentieth of the time."""

    def __init__(self, graph: dict, times: NodeTimes) -> None:
        self.now = 0.0
        self.times, self.kinds = times, kinds_of(graph)
        self.tally = ProgressTally(graph)
        self.share = TimeShare(graph, clock=lambda: self.now)

    def play(self, events: Events) -> list[tuple[float, float]]:
        """Return `[(passed, shown), ...]`, parts of one; learn from the events at their end."""
        self.share.weigh(self.times.weights("shape", self.kinds))
        left, end = list(events), events[-1][0]
        seen = []
        for look in range(21):
            until = end * look / 20 + 1e-9
            while left and left[0][0] <= until:
                self.now, kind, data = left.pop(0)
                self.tally.add(kind, data)
                self.share.on_message(kind, self.tally)
            self.now = until
            seen.append((look / 20, self.share.share or 0.0))
        self.times.on_measured("shape", self.kinds, self.share.seconds)
        return seen


def played(*runs: Events, graph: dict = GRAPH) -> list[list[tuple[float, float]]]:
    times = NodeTimes()
    return [Watched(graph, times).play(events) for events in runs]


@pytest.mark.parametrize("later", [SECOND, TURBO], ids=["20 steps", "4 steps"])
def test_from_the_second_run_on_it_is_within_ten_points_of_the_time_that_has_passed(later):
    graph = rendering("sd15.safetensors", seed=1, steps=20 if later is SECOND else 4)
    first = FIRST if later is SECOND else run(load_s=9.0, cached=[], step_s=0.5, steps=4)
    _, *others = played(first, later, later, graph=graph)
    for seen in others:
        assert max(abs(passed - shown) for passed, shown in seen) < 0.1, seen
        assert seen[-1][1] == 1


@pytest.mark.parametrize(
    ("later", "points"),
    [
        (run(load_s=2.0, cached=[]), 0.1),  # it took 9 s before, from a cold disk
        (run(load_s=0, cached=["4", "5"], step_s=0.5), 0.15),  # the machine is half as fast today
        (run(load_s=0, cached=["4", "5"], step_s=0.1), 0.15),
        (run(load_s=20.0, cached=[]), 0.25),  # nobody can know of it until it is late
    ],
    ids=["quick load", "slow steps", "quick steps", "slow load"],
)
def test_what_was_expected_wrongly_is_put_right_once_that_is_seen(later, points):
    _, seen = played(FIRST, later)
    assert max(abs(passed - shown) for passed, shown in seen) < points, seen
    second_half = [abs(passed - shown) for passed, shown in seen if passed > 0.55]
    assert max(second_half) < 0.1, seen


@pytest.mark.parametrize("file", sorted(RECORDED.iterdir()), ids=lambda file: file.stem)
def test_what_a_real_server_sent_is_followed_as_closely(file):
    recorded = json.loads(file.read_text())
    events = [(at, kind, data) for at, kind, data in recorded["events"]]
    first, second = played(events, events, graph=recorded["graph"])
    assert [share for _, share in first] == sorted(share for _, share in first)
    assert max(abs(passed - shown) for passed, shown in second) < 0.1, second
    assert second[-1][1] == 1


def test_before_anything_is_known_the_sampler_counts_for_nearly_all():
    watched = Watched(GRAPH, NodeTimes())
    weights = watched.times.weights("shape", watched.kinds)
    assert weights["3"] / sum(weights.values()) > 0.8


def test_it_never_goes_back_whatever_comes():
    rewinding = sorted(
        [*SECOND, (2.0, "progress", {"node": "3", "value": 1, "max": 20})],
        key=lambda event: event[0],
    )
    for seen in played(FIRST, rewinding, FIRST, SECOND):
        shown = [share for _, share in seen]
        assert shown == sorted(shown)


def test_the_parts_of_a_film_go_on_from_what_was_shown():
    share = TimeShare(["1"])
    share.weigh({"1": 5.0}, at_least=0.6)
    assert share.share == 0.6


def test_a_prompt_of_which_nothing_is_heard_goes_on_by_the_clock_from_what_was_shown():
    ticks = iter((100.0, 100.0, 103.0, 107.0, 130.0))
    share = TimeShare(["1", "2"], clock=lambda: next(ticks))
    share.weigh({"1": 4.0, "2": 6.0}, at_least=0.25, ran_s=2.0)
    assert [round(share.share or 0, 2) for _ in range(4)] == [0.25, 0.5, 0.9, 0.98]


def test_only_what_was_heard_to_its_end_is_learned_from():
    watched = Watched(GRAPH, NodeTimes())
    watched.share.on_message("execution_start", watched.tally)
    assert watched.share.seconds is None


def test_what_was_cached_is_not_learned_from_and_what_was_passed_over_takes_no_time():
    watched = Watched(GRAPH, NodeTimes())
    watched.play([event for event in SECOND if event[2].get("node") != "6"])
    assert watched.share.seconds.keys() == {"3", "6", "8", "9"}
    assert watched.share.seconds["6"] == 0
    assert watched.share.seconds["8"] == pytest.approx(1.2)


def test_a_graph_without_anything_to_do_is_done_once_it_is():
    share, tally = TimeShare(["1"]), ProgressTally(["1"])
    assert share.share == 0
    tally.add("execution_cached", {"nodes": ["1"]})
    share.on_message("execution_cached", tally)
    assert share.share == 1
    assert TimeShare([]).share is None
