"""Odd answers by the thousand, at every endpoint and event, through a whole fleet.

A round makes what one node says odd, hands in a job or a few that meet it, and judges: every job
ends, on a node in order; few attempts are lost; the odd node is set aside, and back once it speaks
as it should; nothing that anybody reads has a traceback in it.
"""

from __future__ import annotations

import threading
from collections import Counter

from producer.client import Producer
from tests.fuzz.answer_fleet import OddNode
from tests.fuzz.answer_proxy import by_endpoint
from tests.fuzz.answer_report import AnswerReport
from tests.fuzz.answer_round import Round


class AnswerFuzz:
    """Makes odd what some nodes of a pool say, and judges what comes of it."""

    def __init__(self, fleet: Producer, nodes: list[OddNode]) -> None:
        self._fleet = fleet
        self._nodes = nodes
        self._lock = threading.Lock()

    def run(self, *, cases: int, seed: int, first: int = 0) -> AnswerReport:
        """Go on until so many answers were odd.

        Args:
            first: the number of the first round, to have one round again.
        """
        report = AnswerReport(seed)
        threads = [
            threading.Thread(target=self._rounds, args=(node, report, cases, first))
            for node in self._nodes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._sum_up(report)
        return report

    def _rounds(self, node: OddNode, report: AnswerReport, cases: int, first: int) -> None:
        number = first
        while self._sent() < cases and node.worker.poll() is None:
            Round(self._fleet, node, report, self._lock, number).run()
            number += 1

    def _sent(self) -> int:
        return sum(node.proxy.sent.total() for node in self._nodes)

    def _sum_up(self, report: AnswerReport) -> None:
        sent = sum((node.proxy.sent for node in self._nodes), Counter())
        report.cases = sent.total()
        report.endpoints = by_endpoint(sent)
        report.kinds = dict(Counter(kind for _, kind in sent.elements()).most_common())
        for node in self._nodes:
            report.times_set_aside += node.times_set_aside()
            for place in node.tracebacks():
                report.tracebacks += 1
                report.broken.append(f"{node.name}: its worker was surprised: {place}")
            if node.worker.poll() is not None:
                report.workers_dead += 1
                report.broken.append(f"{node.name}: its worker ended with {node.worker.poll()}")
