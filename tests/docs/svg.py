"""Drawings of the documentation: boxes, lines and text in the colours of either theme."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_STYLE: Final = """\
  <style>
    svg { --ground: #fff; --ink: #1b2733; --soft: #5b7083; --line: #8698a7; --fill: #f1f4f8; --warm: #fff1d6; --edge: #b8791f }
    @media (prefers-color-scheme: dark) {
      svg { --ground: #1e2129; --ink: #e6e9ee; --soft: #a3b1bf; --line: #7d8b99; --fill: #2a2f3a; --warm: #3d3320; --edge: #d9a44a }
    }
    text { fill: var(--ink); text-anchor: middle }
    .said { font-size: 12px; fill: var(--soft); paint-order: stroke }
    .over { stroke: var(--ground); stroke-width: 5px }
    .left { text-anchor: start }
    .ground { fill: var(--ground) }
    .box { fill: var(--fill); stroke: var(--line) }
    .warm { fill: var(--warm); stroke: var(--edge) }
    .group { fill: none; stroke: var(--line); stroke-dasharray: 4 4 }
    .way { stroke: var(--soft); stroke-width: 1.6; fill: none; marker-end: url(#tip) }
    .life { stroke: var(--line); stroke-dasharray: 2 4 }
    .tip { fill: var(--soft) }
  </style>
  <defs>
    <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
      <path class="tip" d="M0 0 8 4 0 8z"/>
    </marker>
  </defs>"""


def drawing(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Return a whole picture; what stands first lies lowest."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        '  font-family="system-ui, sans-serif" font-size="14">',
        f"  <title>{escape(title)}</title>",
        _STYLE,
        f'  <rect class="ground" width="{width}" height="{height}" rx="8"/>',
        *(f"  {part}" for part in parts),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def box(x: float, y: float, width: float, height: float, *, kind: str = "box") -> str:
    """Return a rectangle with its upper left corner at *x*, *y*."""
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    )


def text(x: float, y: float, content: str, *, kind: str = "") -> str:
    """Return a line of text around *x*, or from there on with the kind `left`."""
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x:g}" y="{y:g}">{escape(content)}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float, *, both: bool = False) -> str:
    """Return a line with a tip at its end, or at both."""
    start = ' marker-start="url(#tip)"' if both else ""
    return f'<path class="way" d="M{x1:g} {y1:g}L{x2:g} {y2:g}"{start}/>'


def lifeline(x: float, y1: float, y2: float) -> str:
    """Return a dotted line downwards."""
    return f'<path class="life" d="M{x:g} {y1:g}V{y2:g}"/>'
