"""Blocking pops: long while nothing happens, ended when the worker would ask other queues, short where that cannot be."""

from __future__ import annotations

import time
from contextlib import contextmanager
from urllib.parse import urlsplit

from kombu import Connection, Consumer, Queue
from kombu.asynchronous import Hub

from celery_config import app
from producer.broker_transport import Transport
from producer.dispatch import broker_url
from tests.polling import wait_until
from worker.scheduling.gate import GATE

QUEUE, OTHER = Queue("comfyfleet.pool.default.pops"), Queue("comfyfleet.pool.default.more")


class Popping:
    """A consumer on an event loop, which runs while a test waits for something."""

    def __init__(self, url):
        self.hub = Hub()
        options = {
            **app.conf.broker_transport_options,
            "queue_order_strategy": "worker.scheduling.queue_order:QueueOrder",
        }
        self._connection = Connection(
            url, transport=f"{Transport.__module__}:Transport", transport_options=options
        )
        self.consumer = Consumer(self._connection, [QUEUE], no_ack=True)
        self.taken = []
        self.consumer.register_callback(lambda body, _: self.taken.append(body))
        self._connection.register_with_event_loop(self.hub)
        self.consumer.consume()

    def until(self, condition, *, description, within_s=20.0):
        loop = self.hub.create_loop()

        def holds():
            next(loop)
            return condition()

        wait_until(holds, description=description, within_s=within_s)

    @property
    def is_popping(self):
        return any(channel._in_poll for channel in self._connection.transport.channels)

    def close(self):
        self._connection.close()
        self.hub.close()


@contextmanager
def popping(url):
    GATE.set_ready(ready=True)
    pops = Popping(url)
    try:
        yield pops
    finally:
        GATE.set_ready(ready=False)
        began = time.monotonic()
        pops.close()
        assert time.monotonic() - began < 3, "it waited for the end of its pop"


def waiting_pops(client):
    return [one for one in client.client_list() if one["cmd"] == "brpop" and "b" in one["flags"]]


def pops_so_far(client):  # that have ended
    return client.info("commandstats").get("cmdstat_brpop", {"calls": 0})["calls"]


def test_an_idle_workers_pop_lasts_until_the_gate_closes(redis_server, redis_client):
    before = pops_so_far(redis_client)
    with popping(broker_url(redis_server.url)) as pops:
        pops.until(lambda: waiting_pops(redis_client), description="it pops")
        began = time.monotonic()
        pops.until(lambda: time.monotonic() - began > 1.5, description="one of kombu's own pops")
        assert pops_so_far(redis_client) == before, "Redis counts a pop when it has ended"
        GATE.set_ready(ready=False)
        pops.until(lambda: not waiting_pops(redis_client), description="it pops no more")


def test_a_new_queue_is_asked_soon(redis_server, redis_client):
    with popping(broker_url(redis_server.url)) as pops:
        pops.until(lambda: waiting_pops(redis_client), description="it pops")
        pops.consumer.add_queue(OTHER)
        pops.consumer.consume()
        redis_client.lpush(OTHER.name, "no message")
        pops.until(lambda: not redis_client.llen(OTHER.name), description="the new queue was asked")
    GATE.on_message_skipped()


def test_pops_are_short_where_redis_does_not_let_us_end_them(redis_server, redis_client):
    redis_client.acl_setuser(
        "popper", enabled=True, passwords=["+pops"], keys="*", channels="*", commands=["+@all"]
    )
    redis_client.execute_command("ACL", "SETUSER", "popper", "-client|id")
    address = urlsplit(broker_url(redis_server.url))
    url = address._replace(netloc=f"popper:pops@{address.hostname}:{address.port}").geturl()
    try:
        with popping(url) as pops:
            pops.until(lambda: pops.is_popping, description="it pops")
            GATE.set_ready(ready=False)  # so that it learns its rights
            pops.until(lambda: not pops.is_popping, description="the pop is over", within_s=15)
            GATE.set_ready(ready=True)
            before = pops_so_far(redis_client)
            pops.until(
                lambda: pops_so_far(redis_client) >= before + 2,
                description="two pops",
                within_s=15,
            )
    finally:
        redis_client.acl_deluser("popper")
