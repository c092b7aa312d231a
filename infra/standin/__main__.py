"""``python -m infra.standin --port P --dir D``: one stand-in node until SIGTERM or Ctrl-C.

Prints ``standin ready on http://HOST:PORT`` once it listens. ``--port 0`` binds a free port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

from infra.standin.options import DEFAULT_MODELS, StandinOptions
from infra.standin.server import Standin


def main() -> None:
    """Run one stand-in node as the arguments say."""
    asyncio.run(_serve(_options()))


async def _serve(options: StandinOptions) -> None:
    async with Standin(options) as node:
        print(f"standin ready on {node.url}", flush=True)  # noqa: T201 - starters wait for this line
        serving = asyncio.ensure_future(node.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _options() -> StandinOptions:
    parser = argparse.ArgumentParser(prog="python -m infra.standin", description=main.__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="holds input, output and temp")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 = a free one")
    parser.add_argument("--version", choices=("0.3.64", "0.33.0"), default="0.33.0")
    parser.add_argument("--step-seconds", type=float, default=0.05, help="of one sampler step")
    parser.add_argument("--load-seconds", type=float, default=0.5, help="of loading a cold model")
    parser.add_argument("--cold-seconds", type=float, default=0.0, help="of reading one anew")
    parser.add_argument(
        "--models", type=_models, default=DEFAULT_MODELS, help="JSON file, or checkpoints a,b"
    )
    parser.add_argument(
        "--classes", type=_json_file, default={}, help="JSON file in the form of /object_info"
    )
    parser.add_argument("--previews", action="store_true", help="the sampler sends previews")
    parser.add_argument("--companion", action="store_true", help="with the companion's routes")
    parser.add_argument("--encoding-threads", type=int, default=2, help="of it; 0 = none")
    parser.add_argument("--encode-seconds", type=float, default=0.0, help="of a picture")
    given = parser.parse_args()
    return StandinOptions(
        directory=given.dir,
        host=given.host,
        port=given.port,
        version=given.version,
        step_seconds=given.step_seconds,
        load_seconds=given.load_seconds,
        cold_seconds=given.cold_seconds,
        models=given.models,
        classes=given.classes,
        previews=given.previews,
        companion=given.companion,
        encoding_threads=given.encoding_threads,
        encode_seconds=given.encode_seconds,
    )


def _models(text: str) -> Mapping[str, tuple[str, ...]]:
    if text.endswith(".json"):
        return {kind: tuple(names) for kind, names in _json_file(text).items()}
    return {**DEFAULT_MODELS, "checkpoints": tuple(filter(None, text.split(",")))}


def _json_file(path: str) -> dict[str, dict[str, object]]:
    read: dict[str, dict[str, object]] = json.loads(Path(path).read_text("utf-8"))
    return read


if __name__ == "__main__":
    main()
