"""Names of requests, so that a site reads like `EVALSHA claim`, `POST /prompt` or `PUT manifest`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from redis import Redis

from producer.store.scripts import Scripts
from tests.chaos.proxy.http1 import http_speech
from tests.chaos.proxy.pieces import Speech
from tests.chaos.proxy.resp import redis_speech

_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_TEXT: Final = re.compile(_UUID.pattern.decode())
#: Where to look for ids in a request: a message's headers come after its body.
_LOOKED_AT: Final = 8192

_OF_SCRIPT: Final = ("EVALSHA", "EVAL")
_WITHOUT_KEY: Final = frozenset(
    {
        *("AUTH", "CLIENT", "EXEC", "HELLO", "INFO", "MULTI", "PING", "SELECT", "TIME", "SCRIPT"),
        *("SUBSCRIBE", "UNSUBSCRIBE", "XREAD"),
    }
)

#: The speech of each kind of server, made anew for each connection.
SpeechMaker = Callable[[], Speech]


def speech_maker(kind: str) -> SpeechMaker:
    """Return what makes the rules for connections to a `redis`, a `node` or an `s3` store."""
    if kind == "redis":
        return partial(redis_speech, partial(redis_name, scripts=script_names()))
    return partial(http_speech, node_name if kind == "node" else s3_name)


def ids_in(raw: bytes) -> list[str]:
    """Return the UUIDs that a request speaks of: jobs, prompts, messages."""
    return [found.decode() for found in _UUID.findall(raw[:_LOOKED_AT])]


def script_names() -> dict[bytes, str]:
    """Return the product's Lua scripts by their SHA-1, as EVALSHA calls them."""
    scripts = Scripts(Redis())
    return {scripts._load(name).sha.encode(): name for name in _script_files()}


def load_scripts(client: Redis) -> None:
    """Have Redis know every script, as it does on a fleet that has run for a while."""
    scripts = Scripts(client)
    for name in _script_files():
        client.script_load(scripts._load(name).script)


def redis_name(words: list[bytes], *, scripts: Mapping[bytes, str]) -> str:
    """Name a command by its word and the kind of its key, a script by its own name."""
    command = words[0].decode("latin-1").upper()
    if command in _OF_SCRIPT and len(words) > 1:
        return f"{command} {scripts.get(words[1], 'script')}"
    if command in _WITHOUT_KEY or len(words) < 2:
        return command
    return f"{command} {_noun(words[1].decode('utf-8', 'replace'))}"


def node_name(method: str, target: str) -> str:
    """Name a request to a ComfyUI by its route."""
    return f"{method} {_UUID_TEXT.sub('{id}', urlsplit(target).path)}"


def s3_name(method: str, target: str) -> str:
    """Name a request to the store by what its key means."""
    parts = urlsplit(target)
    _, _, key = parts.path.lstrip("/").partition("/")
    return " ".join(filter(None, (method, _meaning(key), _query_verb(parts.query))))


def _script_files() -> list[str]:
    folder = resources.files("producer.store").joinpath("lua")
    names = (PurePosixPath(entry.name).stem for entry in folder.iterdir())
    return [name for name in names if not name.startswith("_")]


def _noun(key: str) -> str:
    """Return `job`, `leases`, `lock:upkeep`, `unacked`, or `queue` for a broker's list."""
    if key.startswith(("comfyfleet.pool.", "comfyfleet.node.")):
        return "queue"
    if "pidbox" in key:
        return "pidbox"  # where Celery's remote control listens, by host name
    if not key.startswith("comfyfleet:"):
        return key.partition(".")[0]
    noun, _, rest = key.removeprefix("comfyfleet:").partition(":")
    return f"{noun}:{rest}" if noun == "lock" else noun


def _meaning(key: str) -> str:
    if not key:
        return "bucket"
    if key.endswith("/manifest.json"):
        return "manifest"
    known = (
        *(("inputs/", "input"), ("probes/", "probe"), ("jobs/", "artifact")),
        *(("templates/", "template"), ("extra_data/", "extra data"), ("batches/", "results")),
    )
    return next((noun for part, noun in known if part in f"/{key}"), "object")


def _query_verb(query: str) -> str:
    verbs = (("uploads", "begin"), ("partNumber", "part"), ("uploadId", "complete"))
    found = (verb for word, verb in verbs if word in query)
    return next(found, "list" if "list-type" in query else "")
