"""Model FLOPs utilisation (MFU): how much of a GPU's computing power training uses."""

import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from Architectures import SiameseModel

# FLOP/s of dense tensor cores in half precision, from the makers' data sheets.
PEAK_FLOPS = {
    **{
        "H100 PCIe": 756e12,
        "H100": 989e12,
        "H200": 989e12,
        "A100": 312e12,
        "L40S": 362e12,
        "L4": 121e12,
        "A10": 125e12,
    },
    **{"V100": 125e12, "T4": 65e12, "RTX 4090": 165e12, "RTX 3090": 71e12},
}


def peak_flops(device: torch.device) -> float | None:
    """Highest FLOP/s of a GPU in half precision; None if it is not in PEAK_FLOPS."""
    if device.type != "cuda":
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ")
    return next((peak for name, peak in PEAK_FLOPS.items() if f" {name} " in f" {words} "), None)


@functools.cache
def forward_flops(model: SiameseModel, side: int) -> int:
    """FLOP of the backbone's forward pass for one picture; a multiplication with its addition counts as 2."""
    picture = torch.zeros(1, 3, side, side, device=model.mean.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.backbone(picture)
    return counter.get_total_flops()


def describe(model: SiameseModel, side: int, rate: float, *, frozen: bool, devices: int = 1) -> str:
    """Pictures a second and MFU; "" on a CPU and for a frozen backbone. See `utilisation`."""
    if frozen:
        return ""
    trained = next(model.backbone.parameters()).requires_grad
    mfu = utilisation(model, side, rate, trained=trained, devices=devices)
    return "" if mfu is None else f", {rate:.0f} pictures/s, MFU {mfu:.1%}"


def utilisation(model: SiameseModel, side: int, rate: float, *, trained: bool, devices: int = 1) -> float | None:
    """Fraction of the hardware's highest FLOP/s that the backbone uses (MFU). None if that is not known.

    rate: pictures a second, of all devices together; trained: the backbone has a backward pass, which counts as two
    forward passes. The second encoding of `accumulation`, the text branch and the scores are not counted.
    Source: Chowdhery et al. 2022.
    """
    peak = peak_flops(model.device)
    if peak is None:
        return None
    return rate * (3 if trained else 1) * forward_flops(model, side) / (peak * devices)
