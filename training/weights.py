"""The weights of a model folder, checked: types, finite values, and whether a network of these settings has them."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from common.checked import FIX
from common.storage import BACKBONE, CONFIG, WEIGHTS, read_state_dict

OF_BACKBONE = "backbone.network."  # start of the names of a pretrained backbone's weights, in a whole model
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# A network may have this many times the numbers of its file, and this many more: buffers that are not stored, and
# layers that a backbone makes and drops (the classifier of ResNet-50 has 2 million weights).
FACTOR, MORE = 2, 10_000_000
# Functions that fill a tensor with random numbers; those of nn.init call the others.
DRAWING = {nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.trunc_normal_}
DRAWING |= {nn.init.uniform_, nn.init.normal_, Tensor.uniform_, Tensor.normal_}

Network = TypeVar("Network", bound=nn.Module)


class Weights(NamedTuple):
    """The weights of a model folder, and the facts beside them."""

    tensors: dict[str, Tensor]
    facts: Mapping[str, str]


def read_weights(folder: Path) -> Weights:
    """best.safetensors, with the backbone of backbone.safetensors if that has one of its own.

    ValueError names the file that is damaged or that holds NaN or infinite weights.
    """
    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, RuntimeError, TypeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(f"{path} does not hold weights of this version: {reason}; {FIX}") from error
    check_finite(tensors, path)
    if (folder / BACKBONE).is_file() and not any(name.startswith(OF_BACKBONE) for name in tensors):
        own = read_state_dict(folder / BACKBONE)
        check_finite(own, folder / BACKBONE)
        tensors |= {OF_BACKBONE + name: value for name, value in own.items()}
    return Weights(tensors, facts)


def check_finite(value: Any, path: Path, name: str = "") -> None:
    """ValueError names the file and the first tensor in it with a NaN or an infinite value. value: nested."""
    if isinstance(value, Tensor):
        if value.dtype in FLOATS and not bool(value.isfinite().all()):
            raise ValueError(f"{path} is damaged: {name} is not finite; {FIX}")
    elif isinstance(value, Mapping | list | tuple):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            check_finite(one, path, f"{name}.{key}" if name else str(key))


class Budget(TorchFunctionMode):
    """Within it, torch makes no more new numbers than `most`; else RuntimeError, before memory is filled.

    No random weights are drawn: those of a file replace them, and drawing a ResNet-50 takes 0.7 s of CPU time.

    torch.empty only reserves memory, so the layer that is too large costs nothing. The device "meta" would need no
    memory at all, but its first use imports sympy, which takes a second.
    """

    def __init__(self, most: int):
        super().__init__()
        self.left = most

    def __torch_function__(
        self, func: Callable[..., Any], kinds: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in DRAWING:
            return args[0] if args else (kwargs or {})["tensor"]
        made = func(*args, **(kwargs or {}))
        if func in (torch.empty, torch.zeros):
            self.left -= made.numel()
            if self.left < 0:
                raise RuntimeError("its settings make a larger network")
        return made


def build(make: Callable[[], Network], weights: Weights, folder: Path) -> Network:
    """The network that `make` builds, with these weights. ValueError if they are not those of such a network."""
    most = FACTOR * sum(value.numel() for value in weights.tensors.values()) + MORE
    try:
        with Budget(most):
            network = make()
        for name, own in network.state_dict().items():
            given = weights.tensors.get(name)
            if given is not None and given.dtype != own.dtype and not {given.dtype, own.dtype} <= set(FLOATS):
                raise RuntimeError(f"{name} is of {given.dtype}")
        network.load_state_dict(weights.tensors)
    except ValueError as error:  # settings that no network has, or a package that is not installed
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        reason = textwrap.shorten(str(error).partition("\n")[2] or str(error), 120)
        raise ValueError(
            f"the weights in {folder} do not fit its config.json, or are of another version; train the model again. "
            f"{reason}"
        ) from error
    return network
