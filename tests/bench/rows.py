"""A graph of 20 KB and rows to fill it with, for the benchmarks of bulk submission."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.contract.config.settings import Settings
from tests import servers
from tests.polling import wait_until

_WORDS = [
    "amber",
    "ancient",
    "autumn",
    "bright",
    "calm",
    "city",
    "cloud",
    "copper",
    "coral",
    "crisp",
    "crystal",
    "dawn",
    "deep",
    "distant",
    "dusk",
    "empty",
    "evening",
    "fern",
    "field",
    "fire",
    "fog",
    "forest",
    "fox",
    "frost",
    "garden",
    "glass",
    "gold",
    "harbour",
    "heavy",
    "hill",
    "hollow",
    "ice",
    "iron",
    "island",
    "ivory",
    "lake",
    "lamp",
    "lantern",
    "late",
    "leaf",
    "light",
    "lonely",
    "long",
    "marble",
    "meadow",
    "mirror",
    "mist",
    "moon",
    "morning",
    "moss",
    "mountain",
    "narrow",
    "night",
    "north",
    "oak",
    "ocean",
    "old",
    "open",
    "paper",
    "pale",
    "path",
    "pine",
    "quiet",
    "rain",
    "red",
    "river",
    "road",
    "rose",
    "ruin",
    "sail",
    "salt",
    "sand",
    "shadow",
    "silent",
    "silver",
    "slow",
    "smoke",
    "snow",
    "soft",
    "south",
    "spring",
    "star",
    "steel",
    "stone",
    "storm",
    "summer",
    "sun",
    "tall",
    "thin",
    "tower",
    "valley",
    "velvet",
    "village",
    "wall",
    "warm",
    "water",
    "west",
    "white",
    "wide",
    "wild",
    "wind",
    "winter",
    "wood",
]


def graph_of_20_kb() -> dict:
    """Return a graph of which rows set two texts' worth: a prompt, a seed, a strength."""
    graph = {
        "3": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 7.5, "positive": ["6", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "out"}},
    }
    chance = random.Random(1)
    number = 100
    while len(json.dumps(graph)) < 20_000:
        note = " ".join(chance.choices(_WORDS, k=30))
        graph[str(number)] = {"class_type": "CLIPTextEncode", "inputs": {"text": note}}
        number += 1
    return graph


def rows(count: int, *, first: int = 0) -> Iterator[dict]:
    """Yield rows as people have them: no two prompts, no two seeds alike."""
    for number in range(first, first + count):
        chance = random.Random(number)
        yield {
            "6.text": "a photo of " + " ".join(chance.choices(_WORDS, k=10)),
            "3.seed": chance.getrandbits(48),
            "3.cfg": round(chance.uniform(4, 9), 1),
        }


@contextmanager
def empty_redis() -> Iterator[tuple[Settings, Path]]:
    """Yield settings of a Redis that holds nothing, and a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as name,
        BackgroundSupervisor(Supervisor(Path(name) / "logs")) as services,
    ):
        folder = Path(name)
        server = servers.start_redis(services, folder / "redis")
        yield Settings(redis_url=server.url), folder


def used_memory(redis: Redis) -> int:
    """Return the bytes that Redis uses, once it has freed what was deleted: it does so beside its work."""
    wait_until(
        lambda: not redis.info("memory")["lazyfree_pending_objects"],
        description="deleted keys are freed",
    )
    used: int = redis.info("memory")["used_memory"]
    return used
