"""Which queues a node asks, in which order, given what is loaded where."""

from __future__ import annotations

import pytest

from producer.contract.queues import Needs, Tier
from producer.store.keys import message_list
from producer.store.outlook import Line, Outlook, ReadyNode
from worker.scheduling.load_plan import Demand, planned_loads
from worker.scheduling.loaded_models import LoadedModels
from worker.scheduling.queue_order import TierTurns
from worker.scheduling.queue_ranking import LoadCost, QueueRanking

MINE = "comfyfleet.node.a"
ANY = Needs.of("default").queue
RED, BLUE, GREEN = (Needs.of("default", models=[name]) for name in ("red", "blue", "green"))
QUEUES = [RED.queue, BLUE.queue, GREEN.queue, ANY, MINE]


class Fleet:
    """The warmth of node `a`, and the rest of the fleet as it is told."""

    def __init__(self, *, render_s: float | None = 1.0) -> None:
        self.now = 100.0
        self.announced: list[frozenset[str]] = []
        self.loaded_models = LoadedModels(render_s=lambda: render_s, clock=lambda: self.now)
        cost = LoadCost(bound_s=60, load_s=5)
        self.loaded_models.start("a", cost, on_load=self.announced.append)
        self.serve(RED, BLUE, GREEN, Needs.of("default"))

    def serve(self, *needs: Needs) -> None:
        self.loaded_models.set_queues({one.queue: one for one in needs})

    def hear(self, *lines: Line, idle: str = "", **warm: str) -> None:
        """Tell which node has which model; `""` is none."""
        nodes = [
            ReadyNode(name, "default", "default 1", frozenset({model} - {""}), is_idle=name in idle)
            for name, model in warm.items()
        ]
        self.loaded_models.on_outlook(Outlook(lines=lines, nodes=tuple(nodes), holds_s=3))

    def asked(self) -> list[str]:
        return self.loaded_models.order(QUEUES)


def waits(needs: Needs, jobs: int = 1, *, tier: Tier = Tier.DEFAULT, sent: int = 1) -> Line:
    return Line(needs.queue, tier.priority, jobs, sent)


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    fleet.loaded_models.on_taken(RED.queue)
    return fleet


def test_pinned_jobs_go_first_then_what_needs_no_load(fleet):
    fleet.hear(waits(RED, 9), waits(BLUE, 9), a="red")
    assert fleet.asked()[:4] == [MINE, RED.queue, ANY, BLUE.queue]


def test_a_queue_that_the_node_can_serve_no_longer_is_not_asked_until_it_can_again(fleet):
    fleet.hear(waits(RED, 9), waits(BLUE, 9), a="red")
    fleet.loaded_models.set_queues({}, excluded=[RED.queue])
    assert RED.queue not in fleet.asked()
    fleet.serve(RED)
    assert fleet.asked()[:2] == [MINE, RED.queue]


def test_a_job_without_models_does_not_disturb_what_is_loaded(fleet):
    fleet.hear(waits(RED, 9), a="red")
    fleet.loaded_models.on_taken(ANY)
    assert RED.queue in fleet.asked()[:3]
    assert fleet.announced == [{"red"}]


def test_a_worker_that_was_started_again_knows_from_its_record_what_is_loaded():
    fleet = Fleet()
    fleet.hear(waits(RED, 9), waits(BLUE, 9), a="blue")
    assert fleet.asked()[1] == BLUE.queue


def test_what_another_node_has_loaded_is_left_to_it_while_it_gets_on(fleet):
    fleet.hear(waits(BLUE, 5), a="red", b="blue", idle="a")
    assert BLUE.queue not in fleet.asked()
    fleet.hear(waits(BLUE, 50), a="red", b="blue", idle="a")
    assert BLUE.queue in fleet.asked(), "50 jobs take longer than a load"


def test_what_another_node_has_loaded_is_taken_when_it_does_not_get_on(fleet):
    for _ in range(7):
        fleet.hear(waits(BLUE), a="red", b="blue", idle="a")
        assert (BLUE.queue in fleet.asked()) == (fleet.now > 105)
        fleet.now += 1


def test_an_idle_node_that_does_not_take_what_is_left_to_it_is_not_waited_for(fleet):
    for warm in ("blue", "green"):
        fleet.hear(waits(BLUE, sent=len(warm)), waits(RED), a="red", b=warm, idle="ab")
        assert BLUE.queue not in fleet.asked() or warm == "green"
        fleet.now += 0.6
        assert BLUE.queue in fleet.asked()


def test_more_urgent_jobs_are_left_to_nobody(fleet):
    fleet.hear(waits(RED, 9), waits(BLUE, tier=Tier.RUSH), a="red", b="blue")
    assert BLUE.queue in fleet.asked()
    fleet.hear(waits(RED, 9, tier=Tier.BATCH), waits(BLUE), a="red", b="blue")
    assert BLUE.queue in fleet.asked()
    fleet.hear(waits(RED, 9), waits(BLUE, tier=Tier.BATCH), a="red", b="blue")
    assert BLUE.queue not in fleet.asked()


def test_a_queue_that_was_passed_over_for_the_bound_goes_first_until_it_moves(fleet):
    for second in range(61):
        fleet.now = 100.0 + second
        fleet.hear(waits(RED, 99, sent=second), waits(BLUE, 9), a="red", b="green")
        if second < 48:
            assert fleet.asked()[1] == RED.queue
    assert fleet.asked()[1] == BLUE.queue
    fleet.loaded_models.on_peer_loading("b", frozenset({"blue"}))
    assert fleet.asked()[1] == RED.queue, "another node has come to it"


def test_in_a_deep_backlog_all_is_old_and_the_node_goes_on_with_what_it_has(fleet):
    for second in range(200):
        fleet.now = 100.0 + second
        fleet.hear(waits(RED, 99, sent=second), waits(BLUE, 99, sent=second), a="red", b="blue")
        assert fleet.asked()[1] == RED.queue


def test_nodes_come_to_an_overdue_queue_one_after_the_other():
    nodes = tuple(
        ReadyNode(name, "default", "1", frozenset({"red"}), is_idle=False) for name in "abcdefgh"
    )
    lines = (waits(RED, 99), waits(BLUE, 9))

    def comes_after(name: str) -> int:
        """Return after how many half seconds *name* asks BLUE first."""
        return next(
            half
            for half in range(200)
            if QueueRanking(
                name=name,
                models={RED.queue: frozenset({"red"}), BLUE.queue: frozenset({"blue"})},
                warm=frozenset({"red"}),
                cost=LoadCost(bound_s=60, load_s=5),
                render_s=1.0,
                is_new=False,
                outlook=Outlook(lines=lines, nodes=nodes, holds_s=3),
                waited_s={(BLUE.queue, Tier.DEFAULT.priority): half / 2},
            ).order([RED.queue, BLUE.queue])[0]
            == BLUE.queue
        )

    moments = sorted(comes_after(name) / 2 for name in "abcdefgh")
    assert moments[0] >= 48
    assert moments[-1] <= 60
    assert len(set(moments)) == len(moments)


def test_without_an_outlook_a_new_worker_waits_a_moment_and_then_asks_all():
    fleet = Fleet()
    assert fleet.asked() == [MINE, ANY]
    fleet.now += 4
    assert set(fleet.asked()) == set(QUEUES)


def test_an_outlook_that_is_old_is_not_believed(fleet):
    fleet.hear(waits(BLUE), a="red", b="blue")
    assert BLUE.queue not in fleet.asked()
    fleet.now += 5
    assert set(fleet.asked()) == set(QUEUES)


def test_a_job_that_its_nodes_do_not_take_is_everybodys(fleet):
    for _ in range(7):
        fleet.hear(waits(BLUE), waits(RED, 9), a="red", b="green", c="green", idle="bc")
        fleet.now += 1
    assert fleet.asked()[-1] == BLUE.queue


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 8, 11])
def test_nodes_spread_evenly_over_models_that_nobody_has(nodes):
    names = [f"n{number:02}" for number in range(nodes)]
    demands = {queue: Demand(jobs=50, warm_nodes=0, wanted_nodes=99.0) for queue in "wxyz"}
    plans = {name: planned_loads(name, among=names, demands=demands) for name in names}
    firsts = [next(iter(plan)) for plan in plans.values()]
    assert max(map(firsts.count, "wxyz")) <= -(-nodes // 4)
    assert set("wxyz") == {queue for plan in plans.values() for queue in plan}


def test_nobody_loads_models_for_fewer_jobs_than_a_load_is_worth():
    demands = {
        "w": Demand(jobs=3, warm_nodes=0, wanted_nodes=0.5),
        "x": Demand(jobs=30, warm_nodes=1, wanted_nodes=2),
    }
    plans = [planned_loads(name, among="abcd", demands=demands) for name in "abcd"]
    assert plans == [{"w": 1}, {"x": 2}, {}, {}]


def test_every_queue_is_watched_by_one_node():
    demands = {queue: Demand(jobs=0, warm_nodes=0, wanted_nodes=0.0) for queue in "vwxyz"}
    assert [planned_loads(name, among="ab", demands=demands) for name in "ab"] == [
        {"v": 1, "x": 1, "z": 1},
        {"w": 1, "y": 1},
    ]


def test_what_another_node_has_just_turned_to_is_left_to_it(fleet):
    fleet.hear(waits(BLUE), a="red", b="", idle="a")
    assert BLUE.queue in fleet.asked()
    fleet.loaded_models.on_peer_loading("b", frozenset({"blue"}))
    assert BLUE.queue not in fleet.asked()


def test_what_a_node_of_another_pool_has_loaded_leaves_nothing_to_it(fleet):
    here = ReadyNode("a", "default", "default 1", frozenset({"red"}), is_idle=True)
    elsewhere = ReadyNode("b", "video", "video 1", frozenset({"blue"}), is_idle=True)
    fleet.loaded_models.on_outlook(Outlook(lines=(), nodes=(here, elsewhere), holds_s=3))
    fleet.loaded_models.on_peer_loading("b", frozenset({"green"}))
    assert {BLUE.queue, GREEN.queue} <= set(fleet.asked())


def test_lower_tiers_have_their_turn():
    turns, firsts = TierTurns(every=3), []
    for _ in range(12):
        firsts.append((turns.lists(lambda _: ["q"]) or ["q"])[0])
        turns.on_taken()
    assert firsts == [
        *("q", "q", message_list("q", 9)),
        *("q", "q", message_list("q", 6)),
        *("q", "q", message_list("q", 3)),
        *("q", "q", message_list("q", 9)),
    ]


def test_in_a_tiers_turn_what_was_passed_over_for_the_bound_goes_first_warm_or_not(fleet):
    def hear() -> None:
        rush = waits(RED, 50, tier=Tier.RUSH, sent=int(fleet.now))
        fleet.hear(rush, waits(RED, 50, sent=reds), waits(BLUE, 50, sent=blues), a="red")

    turns, reds, blues, taken = TierTurns(every=5), 1, 1, []
    for _ in range(200):  # renders of 2 s, so that every turn finds what has waited for long
        hear()
        lists = turns.lists(lambda tier: fleet.loaded_models.order(QUEUES, turn=tier))
        here = {message_list(queue.queue, Tier.DEFAULT.priority): queue for queue in (RED, BLUE)}
        if found := [here[name] for name in lists if name in here]:
            taken.append(found[0].queue)
            reds, blues = reds + (found[0] is RED), blues + (found[0] is BLUE)
            fleet.loaded_models.on_taken(found[0].queue)
        else:
            fleet.loaded_models.on_taken(RED.queue)
        turns.on_taken()
        fleet.now += 2
    assert taken.count(BLUE.queue) >= 200 * 2 / 60 - 2
    assert taken.count(RED.queue) > taken.count(BLUE.queue)
    assert len(fleet.announced) <= 2 * taken.count(BLUE.queue) + 1
