"""Inputs whose value decides how long a graph renders, told by their name and the value's type. Pure.

Names are what classes share: a width is called `width` in core and extensions alike, and /object_info
tells nothing of cost. A value that decides and is left out makes two renders of different length count
as alike; one that does not decide, is taken in and changes with each job, makes no two jobs alike.
The second is worse, so numbers count by their name only, and text hardly ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from producer.contract.classes.model_names import plain_name

#: Parts of the names of numbers that say how much is computed.
_SIZES: Final = (
    # Pixels of a picture, of its latent, or of a tile of it.
    *("width", "height", "size", "resolution", "pixel", "aspect", "side", "edge", "scale", "tile"),
    # Calls of the model: `steps`, and `start_at_step` and `end_at_step` of KSamplerAdvanced.
    *("step", "iteration", "passes", "loops", "repeat"),
    # Pictures of a job, frames of a video, seconds of a sound.
    *("batch", "frame", "length", "duration", "second", "count", "nth"),
    "multiplier",  # frames made of each frame
)
#: The same as whole words; within others they say nothing, as in `random_number` and `blur_amount`.
_SIZE_WORDS: Final = frozenset({"num", "nums"})
_SIZE_NAMES: Final = frozenset({"amount"})  # of RepeatLatentBatch
#: What an outpainting adds to a picture on each side (ImagePadForOutpaint).
_MARGINS: Final = frozenset({"left", "top", "right", "bottom"})
#: Words of names that say that a number is none of these: `batch_index`, `frame_rate`, `lora_scale`.
_NO_SIZE: Final = frozenset(
    {
        *("seed", "index", "idx", "id", "rate", "fps", "guidance", "cfg", "strength", "weight"),
        *("lora", "conditioning", "color", "noise", "opacity"),
    }
)
#: Last words that say the same: `frame_number`, while `number_of_frames` counts.
_NO_SIZE_AT_THE_END: Final = frozenset({"number", "no", "nr"})
#: ComfyUI takes a number written as text where a class wants a number (0.33.0, validate_inputs).
_NUMBER: Final = re.compile(r"\d{1,15}(\.\d{1,15})?")
#: Text that stands for a number: `1280x720`, `16:9`, `720p`.
_SIZES_IN_TEXT: Final = (
    "width",
    "height",
    "size",
    "resolution",
    "aspect",
    "ratio",
    "duration",
    "length",
)
#: Text that chooses how it is computed: some samplers call the model twice a step.
_METHODS: Final = ("sampler", "dtype", "precision", "quant", "attention")
_MODELS: Final = ("ckpt", "checkpoint", "unet", "model", "lora", "vae", "clip_name", "control_net")
_MODEL_FILE: Final = re.compile(
    r".+\.(safetensors|sft|ckpt|pth?|pt2|bin|pkl|gguf|onnx)", re.IGNORECASE
)
#: Words of names of what a person writes, or of files that come with a job.
_WRITTEN: Final = frozenset({"text", "prompt", "prefix", "suffix", "title", "description"})
_OF_A_JOB: Final = frozenset({"id", "file", "filename", "image", "video", "audio"})
#: Characters of a choice or a path; what is longer was written by a person.
_LONGEST: Final = 255
#: Numbers from here on are seldom set by a person.
_LARGE: Final = 100_000


@dataclass(frozen=True)
class _Name:
    """What the name of an input says of its value."""

    is_seed: bool
    is_size: bool
    is_cfg: bool
    is_choice: bool
    names_model: bool
    is_written: bool
    is_of_a_job: bool


def cost_of(name: str, value: Any, *, is_number_wanted: bool = False) -> Any:
    """Return what of an input's value decides cost, as JSON; None if nothing does.

    Args:
        name: of the input.
        value: no link, and without `__value__`.
        is_number_wanted: whether its graph node hands a number to an input that decides cost, as
            a PrimitiveInt does, whose own input is called `value`.
    """
    if isinstance(value, bool):
        return value  # switches turn parts of the work on and off
    if isinstance(value, int | float):
        return _of_number(_read(name), value, is_number_wanted=is_number_wanted)
    if isinstance(value, str):
        return _of_text(_read(name), value)
    return value if isinstance(value, list) and _read(name).is_size else None


def is_of_one_job(name: str, value: Any) -> bool:
    """Tell whether a value is probably another one in each job: a seed, what somebody wrote, a file.

    Args:
        name: of the input.
        value: no link, and without `__value__`.
    """
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return abs(value) >= _LARGE or _read(name).is_seed
    if not isinstance(value, str) or not value:
        return False
    found = _read(name)
    if len(value) > _LONGEST or found.is_written or found.is_of_a_job:
        return True
    return " " in value.strip() and not found.names_model and not _MODEL_FILE.fullmatch(value)


def is_size(name: str) -> bool:
    """Tell whether a number in an input of this name decides cost."""
    return _read(name).is_size


def _of_number(name: _Name, value: float, *, is_number_wanted: bool) -> Any:
    if name.is_cfg:
        # At 1.0 ComfyUI leaves the negative prompt out (0.33.0, comfy.samplers.sampling_function),
        # which halves the work; no other value makes a difference.
        return "1" if value == 1 else None
    if name.is_size or (is_number_wanted and not name.is_seed):
        return int(value) if value == int(value) else value  # 20 and 20.0 are one number
    return None


def _of_text(name: _Name, value: str) -> Any:
    if name.is_written or len(value) > _LONGEST:
        return None
    if name.is_size and _NUMBER.fullmatch(value):
        return _of_number(name, float(value), is_number_wanted=False)
    if name.names_model or _MODEL_FILE.fullmatch(value):
        return plain_name(value)
    return value if name.is_choice else None


@lru_cache(maxsize=4096)
def _read(name: str) -> _Name:
    found = name[:_LONGEST].lower()
    in_order = re.findall(r"[a-z]+", found)
    words = frozenset(in_order)
    is_of_a_job = bool(words & _OF_A_JOB)
    return _Name(
        is_seed="seed" in found,
        is_size=_is_size(found, in_order),
        is_cfg="cfg" in words,
        is_choice=not is_of_a_job and any(part in found for part in (*_METHODS, *_SIZES_IN_TEXT)),
        names_model=not is_of_a_job and any(part in found for part in _MODELS),
        is_written=bool(words & _WRITTEN),
        is_of_a_job=is_of_a_job,
    )


def _is_size(name: str, words: list[str]) -> bool:
    if name in _MARGINS or name in _SIZE_NAMES:
        return True
    if (
        "seed" in name
        or not _NO_SIZE.isdisjoint(words)
        or not _NO_SIZE_AT_THE_END.isdisjoint(words[-1:])
    ):
        return False
    return not _SIZE_WORDS.isdisjoint(words) or any(part in name for part in _SIZES)
