"""Lends ComfyUI's own saving methods pictures that are encoded in the pool (0.3.64 and 0.33.0).

The methods run as they are, with all that they decide: names, metadata, what Pillow is told. Only
the `save` of the picture that they make does not encode at once, and where they make it as ComfyUI
does, that takes less (`conversion.py`). A method that makes its pictures in another way saves as it
always did.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conversion import image_of, lent_steps
from .encoding_pool import EncodingPool

#: Of the kinds of Pillow images that take less than four (its storage.c).
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}


def lend_pictures(
    method: Callable[..., Any],
    *,
    maker: tuple[str, str],
    pool: EncodingPool,
    prompt: Callable[[], Any],
) -> Callable[..., Any]:
    """Return *method*, which saves through *pool* where ComfyUI's own code calls it.

    A custom node that calls it may go on to read the file.

    Args:
        maker: name in the method's module, and name in that, of what returns a Pillow image.
        prompt: returns what tells the prompt that runs from another.
    """
    module, name = maker
    if not isinstance(method, types.FunctionType):
        return method
    steps = lent_steps(method)

    @functools.wraps(method)
    def saving(*args: Any, **kwargs: Any) -> Any:
        if not _is_called_by_comfyui(sys._getframe(1)):  # noqa: SLF001 - who calls
            return method(*args, **kwargs)
        makes = method.__globals__.get(module)
        made = functools.partial(_Picture, pool=pool, prompt=prompt())
        lent = {**method.__globals__, **steps, module: _Lent(makes, name, made)}
        twin = types.FunctionType(
            method.__code__, lent, method.__name__, method.__defaults__, method.__closure__
        )
        twin.__kwdefaults__ = method.__kwdefaults__
        return twin(*args, **kwargs)

    return saving


def _is_called_by_comfyui(frame: Any) -> bool:
    """Tell whether the caller is the executor, or a class that comes with ComfyUI."""
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("comfy_api."):
        frame = frame.f_back
    if frame is None:
        return False
    is_executor = bool(frame.f_globals.get("__name__") == "execution")
    return is_executor or Path(frame.f_code.co_filename).parent.name == "comfy_extras"


class _Lent:
    """A module or class of which one function, which makes images, returns something else."""

    def __init__(self, lent: Any, name: str, made: Callable[[Any], Any]) -> None:
        self.__lent, self.__made = lent, made
        setattr(self, name, self.__make)
        self.__name = name

    def __make(self, *args: Any, **kwargs: Any) -> Any:
        return self.__made(image_of(getattr(self.__lent, self.__name), *args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__lent, name)


class _Picture:
    """A Pillow image that is saved later; nobody else has its pixels.

    Whoever goes on to use it waits until it is: it may be changed, or closed.
    """

    def __init__(self, image: Any, *, pool: EncodingPool, prompt: Any) -> None:
        self.__image, self.__pool, self.__prompt = image, pool, prompt
        self.__path: str | None = None

    def __getattr__(self, name: str) -> Any:
        self.__wait()
        return getattr(self.__image, name)

    def __wait(self) -> None:
        if self.__path is not None:
            self.__pool.wait(self.__path)

    def save(self, fp: Any, *args: Any, **kwargs: Any) -> None:
        self.__wait()
        image, pool = self.__image, self.__pool
        if not isinstance(fp, str):
            image.save(fp, *args, **kwargs)
            return
        try:
            pool.put(
                fp,
                lambda part: pool.save(image, part, *args, **kwargs),
                prompt=self.__prompt,
                size=held_bytes(image),
            )
            self.__path = fp
        except RuntimeError:  # its threads have ended, as ComfyUI does
            image.save(fp, *args, **kwargs)


def held_bytes(image: Any) -> int:
    """Return the memory that a Pillow image takes: of most kinds four bytes a pixel, also of RGB."""
    size: int = image.width * image.height * _PIXEL_BYTES.get(image.mode, 4)
    return size


def count_names(get_save_image_path: Callable[..., Any], pool: EncodingPool) -> Callable[..., Any]:
    """Return ComfyUI's `get_save_image_path`, which counts names whose files are still to come.

    It returns `(folder, filename, counter, subfolder, prefix)`, the counter being one more than the
    highest of the files `{filename}_{counter}…` in *folder*.
    """

    @functools.wraps(get_save_image_path)
    def counting(*args: Any, **kwargs: Any) -> Any:
        # Before the folder is read: what is written in between is in both.
        given = pool.names()
        found = get_save_image_path(*args, **kwargs)
        folder, filename, counter, *rest = found
        parent = Path(folder).resolve()
        numbers = (_number(path.name, filename) for path in given if path.parent == parent)
        return (folder, filename, max(counter, max(numbers, default=0) + 1), *rest)

    return counting


def _number(name: str, filename: str) -> int:
    stem, given = os.path.normcase(filename), os.path.normcase(name)
    found = re.match(r"_(\d+)", given[len(stem) :]) if given.startswith(stem) else None
    return int(found[1]) if found else 0
