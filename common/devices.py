"""Random seeds, devices and precision, the same for training, evaluation and prediction."""

import difflib
import os
import platform
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

USUAL = ("auto", "cpu", "cuda", "cuda:1", "mps")  # devices


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries draw from the global state
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """States of torch's random generators: CPU, every CUDA device, Apple's MPS."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Restore what `rng_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    if state["mps"] is not None:
        torch.mps.set_rng_state(state["mps"])


def choose_device(wanted: str, shown: str = "--device {}") -> torch.device:
    """The device of a name. auto is CUDA, else Apple's MPS, else the CPU; each process of torchrun has its own GPU.

    ValueError names the usual devices. shown: how its message writes a device, as a flag or as an argument.
    """
    if wanted in ("auto", "cuda") and torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    if wanted == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        near = ["cuda"] if wanted.lower().startswith("gpu") else difflib.get_close_matches(wanted.lower(), USUAL, 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{shown.format(wanted)}: {guess}choose from {', '.join(USUAL)}") from error
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason, cpu = str(error).splitlines()[0], shown.format("cpu")
        raise ValueError(f"{shown.format(wanted)}: {reason}; use the CPU instead: {cpu}") from error
    return device


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """auto is bfloat16 where the hardware has units for it, else float16 on CUDA, else float32.

    On a CPU with bfloat16 units ResNet-50 encodes 44 pictures/s in bfloat16 and 7 in float32. Without them bfloat16 is
    emulated and slower than float32.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
    return torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Used by training, evaluation and prediction alike, so that their scores agree."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


def hardware(device: torch.device) -> str:
    """The name of the device, for logs and tables of results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores" + (", MPS" if device.type == "mps" else "")
