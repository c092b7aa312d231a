"""Loading graph nodes: a loaded model is represented by its file name; only base models take time."""

from __future__ import annotations

from typing import Any

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    GraphNodeClass,
    Input,
    ModelFile,
    Result,
    choice,
    decimal,
)


def _load_checkpoint(bench: Bench, *, ckpt_name: str) -> Result:
    bench.load_model(ckpt_name)
    return Result(values=(ckpt_name, ckpt_name, ckpt_name))


def _load_diffusion_model(bench: Bench, *, unet_name: str, weight_dtype: str) -> Result:
    del weight_dtype
    bench.load_model(unet_name)
    return Result(values=(unet_name,))


def _load_small_model(_bench: Bench, **names: Any) -> Result:
    return Result(values=(next(iter(names.values())),))


def _apply_lora(_bench: Bench, *, model: str, clip: str, **_: Any) -> Result:
    return Result(values=(model, clip))


LOADERS = (
    GraphNodeClass(
        name="CheckpointLoaderSimple",
        run=_load_checkpoint,
        required={"ckpt_name": ModelFile("checkpoints")},
        outputs=("MODEL", "CLIP", "VAE"),
    ),
    GraphNodeClass(
        name="UNETLoader",
        run=_load_diffusion_model,
        required={
            "unet_name": ModelFile("diffusion_models"),
            "weight_dtype": choice("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
        },
        outputs=("MODEL",),
    ),
    GraphNodeClass(
        name="LoraLoader",
        run=_apply_lora,
        required={
            "model": Input("MODEL"),
            "clip": Input("CLIP"),
            "lora_name": ModelFile("loras"),
            "strength_model": decimal(1.0, -100.0, 100.0),
            "strength_clip": decimal(1.0, -100.0, 100.0),
        },
        outputs=("MODEL", "CLIP"),
    ),
    GraphNodeClass(
        name="CLIPLoader",
        run=_load_small_model,
        required={
            "clip_name": ModelFile("text_encoders"),
            "type": choice("stable_diffusion", "sd3", "flux2", "wan", "qwen_image"),
        },
        outputs=("CLIP",),
    ),
    *(
        GraphNodeClass(
            name=name,
            run=_load_small_model,
            required={input_name: ModelFile(kind)},
            outputs=(output,),
        )
        for name, input_name, kind, output in (
            ("VAELoader", "vae_name", "vae", "VAE"),
            ("CLIPVisionLoader", "clip_name", "clip_vision", "CLIP_VISION"),
            ("ControlNetLoader", "control_net_name", "controlnet", "CONTROL_NET"),
        )
    ),
)
