"""Bytes of pictures, as ComfyUI's savers make them of a tensor (0.3.64 and 0.33.0), in a third of the time.

A saver makes three arrays, one after the other, and an image: 32 MB for 1024 x 1024. Here it is one
array of bytes, made by strips that the processor's cache holds; the image is made in the pool. The
array is not: a later graph node may change the tensor in place, and to copy that first would take
as long, and four times the memory while it waits.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: What SaveImage does with pictures; the names that it gives them; and that of the newer kind.
_SAVER = """
for (batch_number, image) in enumerate(images):
    i = 255. * image.cpu().numpy()
    img = Image.fromarray(np.clip(i, 0, 255).astype(np.uint8))
"""
_MAKER = """
return PILImage.fromarray(np.clip(255.0 * image_tensor.cpu().numpy(), 0, 255).astype(np.uint8))
"""
_LENT = {"enumerate", "np"}
#: Names by which a function could get at what the steps make.
_PIXELS = {"image", "i", "image_tensor", *_LENT}
#: By the number of channels: Pillow makes images of these, and may refuse to of others.
_MODES = {3: "RGB", 4: "RGBA"}
_STRIP_BYTES = 1 << 19


def lent_steps(method: types.FunctionType) -> dict[str, Any]:
    """Return the globals by which *method* hands `image_of` what is not converted yet.

    None, if it is no known saver.
    """
    return {"enumerate": _enumerate, "np": _Numpy} if _does(method, _SAVER) else {}


def image_of(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the Pillow image that *make* returns, or one that is made when it is asked for."""
    given = args[0] if len(args) == 1 and not kwargs else None
    if isinstance(given, _Unconverted):
        fromarray, tensor = make, given.tensor
    elif isinstance(make, types.FunctionType) and _is_known_maker(make) and given is not None:
        fromarray, tensor = make.__globals__["PILImage"].fromarray, given
    else:
        return make(*args, **kwargs)
    pixels = pixel_bytes(tensor.cpu().numpy())
    is_sure = pixels.ndim == 3 and pixels.shape[2] in _MODES and pixels.size  # noqa: PLR2004
    return _LaterImage(fromarray, pixels) if is_sure else fromarray(pixels)


def pixel_bytes(values: Any) -> Any:
    """Return `np.clip(255. * values, 0, 255).astype(np.uint8)`, likewise laid out in memory."""
    np = sys.modules["numpy"]
    if not values.ndim or not values.size or values.dtype.kind != "f":
        return np.clip(255.0 * values, 0, 255).astype(np.uint8)
    made = np.empty_like(values, dtype=np.uint8)
    rows = max(1, _STRIP_BYTES * len(values) // values.nbytes)
    strip = np.empty_like(values[:rows])
    for first in range(0, len(values), rows):
        part = values[first : first + rows]
        scaled = np.multiply(255.0, part, out=strip[: len(part)])
        np.clip(scaled, 0, 255, out=scaled)
        np.copyto(made[first : first + rows], scaled, casting="unsafe")
    return made


class _LaterImage:
    """A Pillow image of an array, made when something is asked of it that the array cannot tell."""

    def __init__(self, fromarray: Callable[[Any], Any], pixels: Any) -> None:
        self.height, self.width, channels = pixels.shape
        self.mode = _MODES[channels]
        self._fromarray, self._pixels, self._image = fromarray, pixels, None

    def __getattr__(self, name: str) -> Any:
        pixels = self._pixels
        if pixels is not None:
            # The array goes, as the image has pixels of its own.
            self._image, self._pixels = self._fromarray(pixels), None
        return getattr(self._image, name)


class _Unconverted:
    """A picture's tensor in a known saver's hands; its steps do nothing."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def cpu(self) -> _Unconverted:
        return self

    numpy = cpu

    def __rmul__(self, _factor: float) -> _Unconverted:
        return self

    def astype(self, _kind: Any) -> _Unconverted:
        return self


class _Numpy:
    """What a known saver takes of numpy."""

    uint8 = None

    @staticmethod
    def clip(pixels: _Unconverted, _least: float, _most: float) -> _Unconverted:
        return pixels


def _enumerate(images: Iterable[Any]) -> Iterator[tuple[int, _Unconverted]]:
    return ((number, _Unconverted(image)) for number, image in builtins.enumerate(images))


@functools.lru_cache(maxsize=8)
def _is_known_maker(function: types.FunctionType) -> bool:
    return _does(function, _MAKER)


def _does(function: types.FunctionType, steps: str) -> bool:
    """Tell whether *function* takes these steps, and does nothing else with what they are about."""
    code = function.__code__  # a function that wraps another has the source of that
    try:
        found = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError, ValueError):  # there is none
        return False
    if not _LENT.isdisjoint(code.co_varnames + code.co_cellvars):
        return False
    wanted = ast.parse(steps)
    return not _statements(wanted) - _statements(found) and _uses(wanted) == _uses(found)


def _statements(tree: ast.AST) -> Counter[str]:
    return Counter(filter(None, map(_statement, ast.walk(tree))))


def _statement(node: ast.AST) -> str:
    if isinstance(node, ast.For):
        return f"{ast.dump(node.target)} in {ast.dump(node.iter)}"
    return ast.dump(node) if isinstance(node, (ast.Assign, ast.Return)) else ""


def _uses(tree: ast.AST) -> Counter[str]:
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Counter(name for name in names if name in _PIXELS)
