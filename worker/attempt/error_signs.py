"""Classifies an execution error by its type and text: out of memory, device fault and others. Pure.

ComfyUI 0.3.64 and 0.33.0 hand on what a graph node raised: Python's type and message. The words are
those of PyTorch (c10/cuda, ATen, MPS, XPU back ends), the drivers of NVIDIA and AMD, safetensors,
Linux' errno and Windows' system errors.
"""

from __future__ import annotations

import re
from typing import Final

from producer.contract.causes import Cause

#: Characters of a type and a text that are looked at: both are a node's word.
_LONGEST_TYPE: Final = 200
_LONGEST_MESSAGE: Final = 4_000


def _signs(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


#: The first that fits counts: a card without memory says so in the words of a broken one, too.
_SIGNS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    (
        Cause.OUT_OF_MEMORY,
        _signs(
            r"OutOfMemoryError",  # torch, and torch.cuda before 2.5
            r"\bout of memory\b",  # CUDA, HIP, MPS, DirectML, JAX
            r"\bran out of memory\b",
            r"not enough (\w+ ){0,2}memory",  # ATen's CPU allocator on Windows
            r"can't allocate memory",  # the same on Linux: [enforce fail at alloc_cpu.cpp]
            r"cannot allocate memory",  # ENOMEM
            r"unable to allocate .{0,200}(bytes|[kmgt]i?b)\b",  # numpy
            r"\bMemoryError\b",
            r"(CUBLAS|CUDNN|CUSOLVER|CUSPARSE|HIPBLAS|ROCBLAS|MIOPEN)_STATUS_(ALLOC_FAILED|MEMORY_ERROR)",
            r"out of (device|host|resource|video|gpu) memory",  # Vulkan, level zero (XPU)
            r"OUT_OF_(DEVICE|HOST)_MEMORY",
            r"E_OUTOFMEMORY|0x8007000E",  # DirectML
            r"paging file is too small|os error 1455|WinError (1455|8)\b",
            r"insufficient (video |gpu |device )?memory",
        ),
    ),
    (
        Cause.DISK_FULL,
        _signs(
            r"No space left on device|Errno 28\b",
            r"Disk quota exceeded|Errno 122\b",
            r"not enough space on the disk|WinError (112|39)\b|os error 112\b",
            r"disk is full|file write failed",  # torch.save: PytorchStreamWriter
        ),
    ),
    (
        Cause.DEVICE_FAULT,
        _signs(
            r"CUDA error:|CUDA driver error:|CUDA_ERROR_",
            r"HIP error:|hipError|HSA_STATUS_ERROR|Memory access fault by GPU",
            r"device-side assert",
            r"CUDA driver (version|initialization)|NVML|nvidia-smi has failed",
            r"no (CUDA|HIP|NVIDIA|ROCm)[- ](capable )?(device|GPU|driver)s?",
            r"(cuDNN|cuBLAS|cuSOLVER|cuFFT|MIOpen|rocBLAS|hipBLAS(LT)?) error",
            r"(CUDNN|CUBLAS|CUSOLVER|CUFFT|MIOPEN|ROCBLAS|HIPBLAS)_STATUS_\w+",
            r"unable to find an engine to execute this computation",
            r"uncorrectable (double bit )?ECC|\bXid\b",
            r"(GPU|device) (has fallen off the bus|is lost|was lost|hung|has been removed|reset)",
            r"DXGI_ERROR_DEVICE_(REMOVED|HUNG|RESET)|0x887A00(05|06|07)",
            r"GPU device instance has been suspended",  # DirectML
            r"(MPS|Metal).{0,200}(command buffer|kernel).{0,200}(fail|error|abort|exited)",
            r"command buffer exited with error|IOGPU|kIOGPUCommandBufferCallbackError",
            r"UR_RESULT_ERROR_|PI_ERROR_|ZE_RESULT_ERROR_|Native API failed",  # XPU
            r"vk::?Device.{0,200}lost|VK_ERROR_DEVICE_LOST",
        ),
    ),
    (
        Cause.MODEL_DAMAGED,
        _signs(
            r"SafetensorError|safetensors_rust",
            r"HeaderTooLarge|HeaderTooSmall|InvalidHeader|MetadataIncompleteBuffer",
            r"incomplete metadata, file not fully covered",
            r"PytorchStreamReader failed|failed finding central directory",
            r"invalid load key|pickle data was truncated|UnpicklingError",
            r"unexpected EOF.{0,200}(corrupt|expected)",
            r"not a gguf file|GGUF magic invalid|tensor data is not within the file bounds",
        ),
    ),
    (
        Cause.IO_FAULT,
        _signs(
            r"Input/output error|Errno 5\b",
            r"Read-only file system|Errno 30\b",
            r"Too many open files|Errno (23|24)\b",
            r"Stale file handle|Errno 116\b",
            r"Transport endpoint is not connected|Errno 107\b",
            r"WinError (21|23|53|59|64|1117|1167)\b",  # not ready, CRC, network names, I/O device
            r"cannot open shared object file|DLL load failed",
        ),
    ),
    (
        Cause.NEEDS_LOGIN,
        _signs(r"Unauthorized: Please login first", r"Please login first to use this node"),
    ),
)


def cause_of_text(exception_type: str, message: str) -> str:
    """Return the cause of an execution error: `execution_error` where no sign says more."""
    text = f"{exception_type[:_LONGEST_TYPE]} {message[:_LONGEST_MESSAGE]}"
    return next((cause for cause, sign in _SIGNS if sign.search(text)), Cause.EXECUTION_ERROR)
