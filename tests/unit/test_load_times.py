"""How long models take to load, what others are told of it, and what the ranking of queues makes of it."""

from __future__ import annotations

import pytest

from producer.contract.classes.models import loaders
from producer.contract.queues import Tier
from producer.store.outlook import Line, Outlook, ReadyNode
from tests.graphs import rendering
from worker.scheduling.load_times import LoadTimes
from worker.scheduling.node_times import kinds_of
from worker.scheduling.queue_ranking import LoadCost, QueueRanking
from worker.scheduling.samples import Samples

USUAL = {"4": 0.25, "3": 3.0}


def rendered(times: LoadTimes, model: str, **seconds: float) -> None:
    graph = rendering(model, seed=1)
    took = {name.removeprefix("n"): value for name, value in seconds.items()}
    times.on_rendered(loaders(graph), kinds_of(graph), took, USUAL)


def test_a_load_is_what_the_loader_took_and_what_the_sampler_took_longer():
    times = LoadTimes()
    rendered(times, "a.safetensors", n4=9.0, n3=5.0)
    assert times.loads.known() == {"CheckpointLoaderSimple a.safetensors": 11.0}
    assert times.usual_s(["a.safetensors", "b.safetensors"], else_s=5) == 16


def test_a_loader_that_runs_again_for_the_same_model_or_is_cached_is_no_load():
    times = LoadTimes()
    rendered(times, "a.safetensors", n4=9.0, n3=3.0)
    rendered(times, "a.safetensors", n4=0.1, n3=3.0)
    rendered(times, "b.safetensors", n3=3.0)  # it was cached
    assert times.loads.known() == {"CheckpointLoaderSimple a.safetensors": 9.0}


def test_of_few_samples_the_lower_middle_one_counts_and_what_was_told_until_there_is_one():
    samples = Samples(9)
    samples.tell({"a": 7.0, "b": 8.0})
    assert samples.usual_s("a") == 7
    for seconds in (9.0, 1.0):
        samples.add("a", seconds)
    assert samples.usual_s("a") == 1
    assert samples.known() == {"a": 1, "b": 8}
    assert samples.usual_s("c") is None


def test_others_are_told_what_has_changed_and_only_once():
    samples = Samples(9)
    samples.tell({"same": 4.0, "slower": 4.0})
    for key, seconds in (("same", 4.5), ("slower", 6.0), ("new", 2.0), ("trifle", 0.001)):
        samples.add(key, seconds)
    assert samples.take_news() == {"slower": 6, "new": 2}
    assert samples.take_news() == {}


def test_as_many_keys_are_kept_as_are_allowed():
    samples = Samples(3)
    for number in range(9):
        samples.add(str(number), 1)
        samples.tell({f"told {number}": 1})
    assert len(samples.known()) == 6


@pytest.mark.parametrize(
    ("load_s", "comes"), [(2.0, True), (30.0, False)], ids=["quick to load", "slow to load"]
)
def test_a_node_turns_to_others_models_by_how_long_they_take_to_load(load_s, comes):
    """Of six jobs of a second each two nodes are worth it where a load takes two, one where thirty."""
    red, blue = frozenset({"red"}), frozenset({"blue"})
    nodes = (
        ReadyNode("a", "default", "1", red, is_idle=True),
        ReadyNode("b", "default", "1", blue, is_idle=False),
    )
    ranking = QueueRanking(
        name="a",
        models={"red": red, "blue": blue},
        warm=red,
        cost=LoadCost(bound_s=600, load_s=5, of_models=lambda models: load_s * len(models)),
        render_s=1.0,
        is_new=False,
        outlook=Outlook(lines=(Line("blue", Tier.DEFAULT.priority, 6, 1),), nodes=nodes, holds_s=3),
    )
    assert ("blue" in ranking.order(["red", "blue"])) is comes


def test_a_load_that_takes_no_time_at_all_is_still_a_load():
    cost = LoadCost(of_models=lambda _: 0.0)
    assert cost.seconds(["a"]) > 0
    assert LoadCost(load_s=5).seconds(["a", "b"]) == 5
