"""Devices by name, cpu, cuda, cuda:1 and so on, or auto; and how they compute."""

from typing import Any


def known(device: str) -> str:
    """The name, whether or not there is such a device here. Raises ValueError for one that names none."""
    if device != "auto" and device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device: {device!r} is not one of auto, cpu, cuda")
    return device


def resolve(device: str) -> str:
    """The device that a name stands for: "auto" is a GPU where there is one. Raises ValueError for one that is not."""
    import torch  # takes seconds, which naming a device does not

    if known(device) == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        _, _, number = device.partition(":")
        there = torch.cuda.is_available() and (not number or number in map(str, range(torch.cuda.device_count())))
        if not there:
            raise ValueError(f"device: {device!r} is not there; use cpu")
    return device


def float32() -> None:
    """Let what is float32 be computed as float32, on a CPU by the library that is fastest at it.

    MKL multiplies with AVX-512 on its maker's processors alone, oneDNN on all that have it. PyTorch hands products to
    oneDNN once it may round them to bfloat16; oneDNN does so on AMX units only, so where there are any, MKL stays.
    """
    import torch

    mkldnn: Any = torch.backends.mkldnn  # which makes its attributes when it is imported
    torch.backends.cudnn.allow_tf32 = False  # of convolutions; of products it is PyTorch's own default
    able = torch.cpu.get_capabilities()
    if able.get("avx512_f") and not able.get("amx_tile"):
        mkldnn.matmul.fp32_precision = "bf16"
