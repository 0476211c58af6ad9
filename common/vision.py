"""Importing torchvision beside any build of torch, and the functions of timm (optional) that the network uses.

A timm NAME is MODEL or MODEL.TAG: a model of timm's registry, and its weights. Examples: resnet50, resnet50.a1_in1k.
"""

import contextlib
import difflib
import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from torch import Tensor, library, nn


def import_torchvision() -> ModuleType:
    """torchvision, also beside a torch that was built for the CPU only.

    The torchvision of the package index is built for CUDA. Beside a CPU torch its compiled operators are not
    registered, and its import fails with "operator torchvision::nms does not exist". Declaring the two operators that
    it needs is enough for models and transforms. If the import works, nothing is declared.
    """
    with without_dynamo():
        return _import_torchvision()


def _import_torchvision() -> ModuleType:
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # the half-imported modules of the failed attempt
        for operator in ("nms", "qnms"):
            library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


@contextlib.contextmanager
def without_dynamo() -> Iterator[None]:
    """Within it, `import torch._dynamo` gives an empty module, unless it has been imported already.

    torchvision imports it for one operator, roi_align, that no network here has: 1.3 s of the 3.8 s of `Predict.py`.
    """
    package, utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    if package.__name__ in sys.modules:
        yield
        return
    vars(package).update(__path__=[], utils=utils)
    vars(utils).update(is_compile_supported=lambda _device: False)
    sys.modules.update({module.__name__: module for module in (package, utils)})
    try:
        yield
    finally:
        for module in (package, utils):
            del sys.modules[module.__name__]


def import_timm() -> ModuleType:
    """timm. ValueError says how to install it."""
    import_torchvision()  # timm imports it
    try:
        import timm
    except ModuleNotFoundError as error:
        install = "python -m pip install -r requirements-timm.txt"
        raise ValueError(f"--backbone.name timm:MODEL needs timm: {install}") from error
    return timm


def timm_settings(name: str) -> Any:
    """timm's PretrainedCfg: mean and std of pixels in 0 to 1, input_size, fixed_input_size, classifier.

    ValueError for an unknown name suggests others.
    """
    timm = import_timm()
    wrong = f"--backbone.name timm:{name}: timm {timm.__version__} has no such"
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3) or ("resnet50", "convnext_tiny")
        raise ValueError(f"{wrong} model; it has, for example, {', '.join(near)}")
    try:
        return timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(timm.models.get_arch_pretrained_cfgs(name)) or "none"
        raise ValueError(f"{wrong} weights; it has {tags}") from error


def timm_network(name: str, side: int, state: dict[str, Tensor] | None = None, pretrained: bool = False) -> nn.Module:
    """A model of timm without its classifier, for pictures of side x side pixels.

    Weights are random, timm's own (`pretrained`: downloaded once), or those of `state`, whose classifier is ignored.
    timm adapts them to `side`. Raises timm's errors, also if `state` lacks other weights than a classifier.
    """
    timm, settings = import_timm(), timm_settings(name)
    size = {"img_size": side} if settings.fixed_input_size and side != settings.input_size[-1] else {}
    options: dict[str, Any] = {}
    if state is not None:
        # timm checks names strictly only if there is a classifier: a random one replaces the classifier of `state`.
        names = settings.classifier or ()
        heads = tuple(f"{head}." for head in ((names,) if isinstance(names, str) else names))
        state = {key: value for key, value in state.items() if not key.startswith(heads)}
        random = timm.create_model(name, **size).state_dict()
        state |= {key: value for key, value in random.items() if key.startswith(heads)}
        options = {"pretrained_cfg_overlay": {"state_dict": state, "label_offset": None}}
    network = timm.create_model(name, pretrained=pretrained or state is not None, **size, **options)
    network.reset_classifier(0)
    return network


def timm_features(network: Any, pictures: Tensor) -> Tensor:
    """Normalised pictures (N, 3, H, W) -> features (N, C, h, w) of a model of timm.

    They come from its `forward_features`: the last block's output, after the last norm if there is one. Class and
    register tokens are left out. ValueError if the features are not on one square grid.
    """
    x = network.forward_features(pictures)
    if not isinstance(x, Tensor) or x.dim() not in (3, 4):
        raise ValueError("its features do not lie on one grid")
    if x.dim() == 4:
        channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return x.permute(0, 3, 1, 2) if channels_last else x
    x = x[:, getattr(network, "num_prefix_tokens", 0) :]  # (N, h * w, C)
    cells = math.isqrt(x.shape[1])
    if cells**2 != x.shape[1] or cells == 1:  # a single token is the class token
        raise ValueError(f"its {x.shape[1]} tokens do not lie on a square grid")
    return x.transpose(1, 2).unflatten(2, (cells, cells))


def one_line(error: Exception) -> str:
    """The first 200 characters of an error's message, without line breaks."""
    return " ".join((str(error) or type(error).__name__).split())[:200]
