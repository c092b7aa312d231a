"""The Celery app, and every transport setting with its reason.

Imports nothing of ours, so that producers and workers may both import it. The broker's URL
is put in by those that listen: worker.tasks and producer.webhooks.tasks.

Measured on celery 5.7.0, kombu 5.7.0 and redis-py 8.1.0; the versions are pinned in
requirements/, and an upgrade has to pass tests/integration/test_celery_traps.py first.
"""

from __future__ import annotations

from celery import Celery

# A backend that imports us may have a Celery app of its own, and variables for it.
app = Celery(
    "comfyfleet",
    # Else its `shared_task`s, which belong to the current app, would come to our broker.
    set_as_current=False,
    loader="celery.loaders.app:AppLoader",  # and not what CELERY_LOADER names
    fixups=[],  # no Django: DJANGO_SETTINGS_MODULE is the backend's
)
# The record in Redis is the one truth about a job; Celery results would be a second one, and cost a
# subscription a publish. So said, it goes before CELERY_RESULT_BACKEND.
app.backend_cls = "disabled"
# What the app reads before its settings; else it would be the module CELERY_CONFIG_MODULE.
# CELERY_BROKER_URL goes before all: those who listen drop the variable, and producer.dispatch asks no app.
app.config_from_object({"enable_utc": True, "timezone": "UTC"})

app.conf.update(
    task_ignore_result=True,
    # One for all threads, which worker.tasks makes at its start: to find it Celery reads files.
    result_backend_thread_safe=True,
    task_track_started=False,
    # Acknowledge at receipt. A late ack ends the worker when Redis restarts, runs tasks twice
    # after any reconnect, and buys nothing: a lost message is sent again by upkeep.
    task_acks_late=False,
    # Take only what a free slot runs at once: a job behind another one is a job hidden.
    worker_disable_prefetch=True,
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,
    # Threads share the node's state and its lease thread. worker.scheduling.gate alone limits
    # renders and what looks ahead; eight slots leave room for jobs that fetch and store.
    worker_pool="threads",
    worker_concurrency=8,
    # Not implemented for threads; said, so that Celery does not warn.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=0,
    # Events and their gossip grow with the square of the fleet; the loop is woken by our waker.
    worker_send_task_events=False,
    # Remote control obeys whoever reaches Redis: `shutdown`, `add_consumer`, `revoke`, `pool_shrink`.
    # What a person wants of a worker goes through the fleet's own records.
    worker_enable_remote_control=False,
    task_send_sent_event=False,
    # No pickle: whoever may write to a queue may run what it says.
    task_serializer="json",
    accept_content=["json"],
    event_serializer="json",
    result_serializer="json",
    # For `apply_async`; `send_task` does not read it, and a message without a priority is the
    # most urgent one, so producer.dispatch always gives one.
    task_default_priority=3,
    task_default_queue="comfyfleet.pool.default.any",
    task_create_missing_queues=True,
    # Redis may come up after us, go away and return: never give up, keep what runs.
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_pool_limit=10,
    # A publish is bounded; one that raised may have been delivered, which a claim sorts out.
    task_publish_retry=True,
    task_publish_retry_policy={
        "max_retries": 2,
        "interval_start": 0.1,
        "interval_step": 0.4,
        "interval_max": 1,
    },
    broker_transport_options={
        # The same on every process, or lists become invisible. Tiers: rush, default, batch, idle.
        "priority_steps": [0, 3, 6, 9],
        # With early acks only a message that was never accepted waits for it (s).
        "visibility_timeout": 300,
        # How often they are looked for (s). Upkeep has sent the job's message again long before.
        "unacked_restore_interval": 100,
        "unacked_restore_throttle": 10,
        # Without them a hung Redis blocks a publisher for ever (s).
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        # A half-open blocking pop is noticed after about twice this and the length of a pop (s).
        "health_check_interval": 10,
    },
    # Our own logging; Celery leaves the root logger alone.
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)
