"""Seeded bugs of webhooks and of the HTTP API."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

OF_WEB: Final = (
    mutant(
        "note a message as taken before it is sent",
        "refused_at_first",
        "I27",
        (
            "producer/webhooks/sender.py",
            "        attempt, reply = self._tried(webhook.url, taken)\n",
            (
                "        early = DeliveryTry(at=datetime.now(UTC), status=204)\n"
                "        self._deliveries.settle(taken, DeliveryState.DELIVERED, early)\n"
                "        attempt, reply = self._tried(webhook.url, taken)\n"
            ),
        ),
    ),
    mutant(
        "give each try an id of its own",
        "refused_at_first",
        "I27",
        (
            "producer/webhooks/sender.py",
            "        headers = signed_headers(taken.id, taken.body, secrets, at=at)\n",
            (
                '        delivery_id = f"{taken.id}.{taken.tried}"\n'
                "        headers = signed_headers(delivery_id, taken.body, secrets, at=at)\n"
            ),
        ),
    ),
    mutant(
        "take an end out of the outbox before its delivery is recorded",
        "refused_at_first",
        "I27",
        (
            "producer/webhooks/ends.py",
            "        self._deliveries.add(\n",
            "        self._outbox.done(end)\n        self._deliveries.add(\n",
        ),
    ),
    mutant(
        "sign another text than is sent",
        "refused_at_first",
        "I27",
        (
            "producer/webhooks/sender.py",
            "                url, taken.body.encode(), headers=",
            '                url, (taken.body + " ").encode(), headers=',
        ),
    ),
    mutant(
        "answer a key with another owner's job",
        "asked_over_http",
        "I14",
        (
            "producer/store/keys.py",
            'return f"{IDEMPOTENCY}{len(owner)}:{owner}:{key}"',
            'return f"{IDEMPOTENCY}{key}"',
        ),
    ),
    mutant(
        "answer each request as if it were new",
        "asked_over_http",
        "I14",
        (
            "producer/http/views.py",
            "return answer(job_view(job), status=200 if is_replay else 201, headers=told)",
            "return answer(job_view(job), status=201, headers=told)",
        ),
    ),
)
