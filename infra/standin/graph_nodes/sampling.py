"""Sampling graph nodes, which need a GPU in ComfyUI: encoders, the sampler, the decoder.

Nothing is computed: values name their origin, which the painted picture shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    Declared,
    GraphNodeClass,
    Input,
    Pictures,
    Result,
    choice,
    decimal,
    integer,
    words,
)
from infra.standin.painter import paint

_SAMPLERS = choice(
    *("euler", "euler_ancestral", "heun", "dpm_2", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
    *("dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddim", "lcm", "uni_pc"),
)
_SCHEDULERS = choice("simple", "normal", "karras", "exponential", "sgm_uniform", "ddim_uniform")
_SEED = integer(0, 0, 0xFFFFFFFFFFFFFFFF)
_SIDE = integer(512, 16, 16384)
_PREVIEW_SIDE = 512
_PREVIEW_METHODS = ("none", "auto", "latent2rgb", "taesd")


@dataclass(frozen=True, kw_only=True)
class Latent:
    """A LATENT: a size in pixels, and the facts that the decoded picture will show."""

    width: int
    height: int
    batch_size: int = 1
    facts: dict[str, Any] = field(default_factory=dict)


def _encode_text(_bench: Bench, *, text: str, clip: str) -> Result:
    del clip
    return Result(values=(text,))


def _pass_conditioning(_bench: Bench, *, conditioning: str, **_: Any) -> Result:
    return Result(values=(conditioning,))


def _encode_picture(_bench: Bench, *, image: Pictures, **_: Any) -> Result:
    return Result(values=(image[0].size,))


def _empty_latent(_bench: Bench, *, width: int, height: int, batch_size: int) -> Result:
    return Result(values=(Latent(width=width, height=height, batch_size=batch_size),))


def _latent_of(_bench: Bench, *, pixels: Pictures, vae: str) -> Result:
    del vae
    width, height = pixels[0].size
    return Result(values=(Latent(width=width, height=height, batch_size=len(pixels)),))


def _scale_latent(
    _bench: Bench, *, samples: Latent, width: int, height: int, upscale_method: str, crop: str
) -> Result:
    del upscale_method, crop
    scaled = replace(samples, width=width or samples.width, height=height or samples.height)
    return Result(values=(scaled,))


def _sample(
    bench: Bench,
    *,
    model: str,
    seed: int,
    steps: int,
    positive: str,
    latent_image: Latent,
    **_: Any,
) -> Result:
    bench.load_model(model)
    facts = {**bench.facts, "seed": seed, "text": positive, "steps": steps, "model": model}
    for step in range(1, steps + 1):
        bench.work(bench.options.step_seconds)
        bench.progress(step, steps, _preview(bench, latent_image, {**facts, "step": step}))
    bench.count_render()
    return Result(values=(replace(latent_image, facts=facts),))


def _preview(bench: Bench, latent: Latent, facts: dict[str, Any]) -> Image.Image | None:
    if not _shows_previews(bench):
        return None
    picture = paint(latent.width, latent.height, facts)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    return picture


def _shows_previews(bench: Bench) -> bool:
    """Tell whether the sampler shows what it does: by the node's option, which 0.33 lets a prompt override."""
    wanted = bench.extra_data.get("preview_method") if bench.options.is_current else None
    return wanted != "none" if wanted in _PREVIEW_METHODS else bench.options.previews


def _decode(_bench: Bench, *, samples: Latent, vae: str) -> Result:
    del vae
    pictures = [
        paint(samples.width, samples.height, {**samples.facts, "batch_index": index})
        if samples.facts
        else Image.new("RGB", (samples.width, samples.height), "grey")
        for index in range(samples.batch_size)
    ]
    return Result(values=(pictures,))


_KSAMPLER_INPUTS: dict[str, Declared] = {
    "model": Input("MODEL"),
    "seed": _SEED,
    "steps": integer(20, 1, 10000),
    "cfg": decimal(8.0, 0.0, 100.0),
    "sampler_name": _SAMPLERS,
    "scheduler": _SCHEDULERS,
    "positive": Input("CONDITIONING"),
    "negative": Input("CONDITIONING"),
    "latent_image": Input("LATENT"),
    "denoise": decimal(1.0, 0.0, 1.0),
}

CONDITIONING = (
    GraphNodeClass(
        name="CLIPTextEncode",
        run=_encode_text,
        required={"text": words(), "clip": Input("CLIP")},
        outputs=("CONDITIONING",),
    ),
    GraphNodeClass(
        name="ConditioningZeroOut",
        run=_pass_conditioning,
        required={"conditioning": Input("CONDITIONING")},
        outputs=("CONDITIONING",),
    ),
    GraphNodeClass(
        name="CLIPVisionEncode",
        run=_encode_picture,
        required={"clip_vision": Input("CLIP_VISION"), "image": Input("IMAGE")},
        # Required since 2024. The sample graph is older and lacks it; it must stay valid.
        optional={"crop": choice("center", "none")},
        outputs=("CLIP_VISION_OUTPUT",),
    ),
    GraphNodeClass(
        name="unCLIPConditioning",
        run=_pass_conditioning,
        required={
            "conditioning": Input("CONDITIONING"),
            "clip_vision_output": Input("CLIP_VISION_OUTPUT"),
            "strength": decimal(1.0, -10.0, 10.0),
            "noise_augmentation": decimal(0.0, 0.0, 1.0),
        },
        outputs=("CONDITIONING",),
    ),
    GraphNodeClass(
        name="ControlNetApply",
        run=_pass_conditioning,
        required={
            "conditioning": Input("CONDITIONING"),
            "control_net": Input("CONTROL_NET"),
            "image": Input("IMAGE"),
            "strength": decimal(1.0, 0.0, 10.0),
        },
        outputs=("CONDITIONING",),
    ),
)

SAMPLING = (
    GraphNodeClass(name="KSampler", run=_sample, required=_KSAMPLER_INPUTS, outputs=("LATENT",)),
    GraphNodeClass(
        name="EmptyLatentImage",
        run=_empty_latent,
        required={"width": _SIDE, "height": _SIDE, "batch_size": integer(1, 1, 4096)},
        outputs=("LATENT",),
    ),
    GraphNodeClass(
        name="LatentUpscale",
        run=_scale_latent,
        required={
            "samples": Input("LATENT"),
            "upscale_method": choice("nearest-exact", "bilinear", "area", "bicubic", "bislerp"),
            "width": integer(512, 0, 16384),
            "height": integer(512, 0, 16384),
            "crop": choice("disabled", "center"),
        },
        outputs=("LATENT",),
    ),
    GraphNodeClass(
        name="VAEDecode",
        run=_decode,
        required={"samples": Input("LATENT"), "vae": Input("VAE")},
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="VAEEncode",
        run=_latent_of,
        required={"pixels": Input("IMAGE"), "vae": Input("VAE")},
        outputs=("LATENT",),
    ),
)
