"""Small graphs without models, each new enough not to come from the cache."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from tests.contract.comfy import fresh

Graph = dict[str, Any]


def graph_node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return one graph node."""
    return {"class_type": class_type, "inputs": inputs}


def blank(**inputs: Any) -> dict[str, Any]:
    """Return an EmptyImage, 64 by 48 unless told otherwise."""
    return graph_node(
        "EmptyImage", **{"width": 64, "height": 48, "batch_size": 1, "color": fresh(), **inputs}
    )


def noise(side: int = 512, batch_size: int = 1) -> dict[str, Any]:
    """Return a ComfyFleetNoise: square pictures that take a while to encode."""
    sizes = {"width": side, "height": side, "batch_size": batch_size}
    return graph_node("ComfyFleetNoise", **sizes, nonce=fresh())


def save(source: str, prefix: str = "contract/img") -> dict[str, Any]:
    """Return a SaveImage of what *source* makes."""
    return graph_node("SaveImage", images=[source, 0], filename_prefix=prefix)


def picture(prefix: str = "contract/img", **inputs: Any) -> Graph:
    """Return EmptyImage → SaveImage, graph nodes 1 and 2."""
    return {"1": blank(**inputs), "2": save("1", prefix)}


def sleeping(seconds: float, steps: int = 1, *, preview: bool = False) -> Graph:
    """Return EmptyImage → sleep with progress → SaveImage, graph nodes 1, 2 and 3."""
    sleep = graph_node(
        "ComfyFleetSleep",
        image=["1", 0],
        seconds=seconds,
        steps=steps,
        preview=preview,
        nonce=fresh(),
    )
    return {"1": blank(), "2": sleep, "3": save("2")}


def raising(kind: str, text: str = "a contract failure é") -> Graph:
    """Return a graph whose node 3 raises; node 2 saves before, node 4 would after."""
    failing = graph_node("ComfyFleetRaise", image=["1", 0], kind=kind, text=text, nonce=fresh())
    return {"1": blank(), "2": save("1"), "3": failing, "4": save("3")}


def saying(text: str, kind: str) -> Graph:
    """Return a graph of one output node that shows text."""
    return {"1": graph_node("ComfyFleetText", text=text, kind=kind)}


def png(width: int = 32, height: int = 24) -> bytes:
    """Return a PNG of a colour that no other has."""
    body = io.BytesIO()
    colour = fresh()
    Image.new("RGB", (width, height), (colour >> 16 & 255, colour >> 8 & 255, colour & 255)).save(
        body, "PNG"
    )
    return body.getvalue()
