"""In whose words a lack of memory, a full disk and a broken device are told."""

from __future__ import annotations

import time

import pytest

from worker.attempt.error_signs import cause_of_text

SAID = {
    "out_of_memory": (
        ("torch.OutOfMemoryError", "Allocation on device"),
        ("torch.OutOfMemoryError", "HIP out of memory. Tried to allocate 2.11 GiB."),
        ("torch.AcceleratorError", "CUDA error: out of memory\nCUDA kernel errors might be late"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 15.72 GiB)"),
        (
            "RuntimeError",
            "[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: not enough memory",
        ),
        (
            "RuntimeError",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        ),
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        (
            "RuntimeError",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ),
        ("RuntimeError", "UR error: out of device memory (XPU)"),
        (
            "RuntimeError",
            "Could not allocate tensor: there is not enough GPU video memory available!",
        ),
        ("OSError", "The paging file is too small for this operation to complete. (os error 1455)"),
        ("OSError", "[Errno 12] Cannot allocate memory"),
        ("MemoryError", ""),
        ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 3.00 GiB for an array"),
    ),
    "disk_full": (
        ("OSError", "[Errno 28] No space left on device"),
        ("OSError", "[WinError 112] There is not enough space on the disk"),
        ("OSError", "[Errno 122] Disk quota exceeded"),
        ("RuntimeError", "PytorchStreamWriter failed writing file data/1: file write failed"),
    ),
    "device_fault": (
        ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered"),
        ("RuntimeError", "CUDA error: device-side assert triggered"),
        ("RuntimeError", "CUDA error: unspecified launch failure"),
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ("RuntimeError", "HIP error: the operation cannot be performed in the present state"),
        ("RuntimeError", "No CUDA GPUs are available; Found no NVIDIA driver on your system."),
        ("RuntimeError", "The GPU device instance has been suspended. Use GetDeviceRemovedReason"),
        ("RuntimeError", "DXGI_ERROR_DEVICE_REMOVED"),
        ("RuntimeError", "MPS: command buffer exited with error status"),
        ("RuntimeError", "Native API failed. Native API returns: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
    ),
    "model_damaged": (
        ("safetensors_rust.SafetensorError", "Error while deserializing header: HeaderTooLarge"),
        (
            "RuntimeError",
            "PytorchStreamReader failed reading zip archive: failed finding central directory",
        ),
        ("_pickle.UnpicklingError", "invalid load key, '<'."),
        ("RuntimeError", "unexpected EOF, expected 4096 more bytes. The file might be corrupted."),
    ),
    "io_fault": (
        ("OSError", "[Errno 5] Input/output error: 'models/x.safetensors'"),
        ("OSError", "[Errno 30] Read-only file system: 'output/a.png'"),
        ("OSError", "[Errno 24] Too many open files"),
    ),
    "needs_login": (("Exception", "Unauthorized: Please login first to use this node."),),
    "execution_error": (
        (
            "ValueError",
            "Sizes of tensors must match except in dimension 1. Expected size 64 but got size 32",
        ),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)"),
        ("AttributeError", "'NoneType' object has no attribute 'shape'"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'x.png'"),
        (
            "RuntimeError",
            "Expected all tensors to be on the same device, but found at least two devices",
        ),
        ("Exception", "the memory of the character is empty"),
    ),
}


@pytest.mark.parametrize(
    ("cause", "kind", "text"),
    [(cause, kind, text) for cause, said in SAID.items() for kind, text in said],
)
def test_a_text_says_whose_fault_it_is(cause, kind, text):
    assert cause_of_text(kind, text) == cause


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("X", "MPS kernel " * 1_000),
        ("MPS kernel " * 100_000, "no more"),
        ("Metal " * 100_000, "unable to allocate " * 100_000),
    ],
)
def test_whatever_a_node_writes_is_judged_at_once(kind, text):
    began = time.process_time()
    assert cause_of_text(kind, text) == "execution_error"
    assert time.process_time() - began < 0.5
