"""A picture that takes as long to encode as a rendered one, and a saver that reads what it saved."""

from __future__ import annotations

import functools
import pathlib

import folder_paths
import nodes
import torch

_SIDE = ("INT", {"default": 1024, "min": 16, "max": 8192})


@functools.lru_cache(maxsize=4)
def _noisy(width, height):
    across = torch.linspace(0, 1, width).expand(height, width)
    down = torch.linspace(0, 1, height).unsqueeze(1).expand(height, width)
    smooth = torch.stack([(across * 6 + down * 3).sin(), (across * down * 5).cos(), down], dim=-1)
    chance = torch.Generator().manual_seed(1)
    return (smooth * 0.4 + 0.5 + torch.randn(smooth.shape, generator=chance) * 0.01).clamp(0, 1)


@functools.lru_cache(maxsize=4)  # what it takes is no part of what is measured with it
def _batch(width, height, batch_size, number):
    base = _noisy(width, height)
    shifts = [(number * 7 + place * 13) % height for place in range(batch_size)]
    return torch.stack([torch.roll(base, shift, 0) for shift in shifts])


class ComfyFleetNoise:
    """Smooth colours with a little noise, one of four by the nonce."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "width": _SIDE,
                "height": _SIDE,
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 64}),
                "nonce": ("INT", {"default": 0, "min": 0, "max": 2**31 - 1}),
            }
        }

    def run(self, width, height, batch_size, nonce):
        return (_batch(width, height, batch_size, nonce % 4),)


class ComfyFleetPlanes:
    """Lays a picture out colour by colour, as a VAE's decoder does."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "comfyfleet"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        return (image.movedim(-1, 1).contiguous().movedim(1, -1),)


class ComfyFleetBlacken(ComfyFleetPlanes):
    """Changes the very picture that others were given, too."""

    def run(self, image):
        return (image.zero_(),)


class ComfyFleetReadBack(nodes.SaveImage):
    """Saves by SaveImage's own method, and goes on to read the file, as uploaders do."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "comfyfleet"
    OUTPUT_NODE = True

    def run(self, images, filename_prefix="ComfyUI", prompt=None, extra_pnginfo=None):
        shown = self.save_images(images, filename_prefix, prompt, extra_pnginfo)["ui"]
        for file in shown["images"]:
            folder = pathlib.Path(folder_paths.get_output_directory(), file["subfolder"])
            if not (folder / file["filename"]).read_bytes().endswith(b"IEND\xaeB`\x82"):
                raise RuntimeError(f"{file['filename']} is not whole")
        return {"ui": shown}
