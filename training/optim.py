"""Optimizer, learning rates, the moving average of the weights, and a NaN guard."""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from Config import OptimConfig


def make_optimizer(model: nn.Module, settings: OptimConfig, backbone_trained: bool) -> torch.optim.AdamW:
    """AdamW in four groups: branches and backbone, each with and without weight decay.

    Norms, biases, embeddings and single numbers have no weight decay: values near 0 would not make a simpler function.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        in_backbone = name.startswith("backbone.")
        decays = weight.ndim >= 2 and id(weight) not in embeddings
        if backbone_trained or not in_backbone:
            groups.setdefault((in_backbone, decays), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "lr": settings.backbone_lr if in_backbone else settings.lr,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "backbone": in_backbone,
            }
            for (in_backbone, decays), weights in groups.items()
        ],
        betas=(0.9, 0.98),  # the default 0.999 averages 1,000 steps, half of a run of `scenes`
        fused=True,  # one pass over all weights instead of a dozen
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: OptimConfig, steps_per_epoch: int, unfreeze_epoch: int | None
) -> LambdaLR:
    """Warm-up and cosine decay for each group. The backbone's schedule begins in the epoch that unfreezes it."""
    total = settings.epochs * steps_per_epoch

    def schedule(first: int) -> Callable[[int], float]:
        warm = max(1, round(settings.warmup * (total - first)))

        def factor(step: int) -> float:
            if step < first:
                return 0.0
            done = step - first
            if done < warm:
                return (done + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / max(1, total - first - warm))))

        return factor

    first_of = {False: 0, True: (unfreeze_epoch or 0) * steps_per_epoch}
    return LambdaLR(optimizer, [schedule(first_of[group["backbone"]]) for group in optimizer.param_groups])


class WeightAverage:
    """Exponential moving average (EMA) of the weights. Validation uses it, and `best.safetensors` stores it.

    In the first steps the decay is smaller than `decay` (Tarvainen & Valpola 2017), so that the average does not
    contain much of the random initial weights. With decay 0 there is no average. Batch norm statistics are not
    averaged.
    """

    def __init__(self, weights: Sequence[nn.Parameter], decay: float):
        self.weights: list[Tensor] = list(weights)
        self.decay, self.steps = decay, 0
        self.mean = [weight.detach().clone() for weight in self.weights] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Call after each step of the optimizer."""
        self.steps += 1
        if self.decay:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.mean, self.weights, 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, mean in zip(self.weights, self.mean):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def state_dict(self) -> dict[str, object]:
        return {"steps": self.steps, "mean": self.mean}

    def load_state_dict(self, state: dict) -> None:
        self.steps = state["steps"]
        for mean, stored in zip(self.mean, state["mean"], strict=True):
            mean.copy_(stored)


class NaNGuard:
    """Stops all updates from the first NaN or infinite loss or gradient on, without waiting for the device.

    To read a loss, the host must wait for a GPU. So the result of the check stays on the device as a flag: a fused
    optimizer reads it and then changes nothing, and the host reads it once in `every` steps. With float16 torch's
    GradScaler uses the same flag, and skips a bad step but not the good steps after it: there `every` must be 1.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device, every: int):
        self.optimizer, self.every = optimizer, every
        self.first = torch.full((), -1, dtype=torch.long, device=device)  # the first bad step
        self.recent: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=every)

    def watch(self, step: int, rows: tuple[int, ...], *numbers: Tensor) -> None:
        """Call before the optimizer's step. rows: of the batch; numbers: what must be finite."""
        self.recent.append((step, rows))
        finite = torch.stack([number.detach().isfinite().all() for number in numbers]).all()
        self.first = torch.where((self.first < 0) & ~finite, step, self.first)
        # torch's GradScaler sets this attribute too: a fused optimizer then changes nothing.
        self.optimizer.found_inf = (self.first >= 0).float()  # type: ignore[attr-defined]

    def bad_step(self) -> tuple[int, tuple[int, ...]] | None:
        """The first step with a NaN or infinite number, and the rows of its batch. Waits for the device."""
        first = int(self.first)
        if first < 0:
            return None
        # The latest step with this number, since every epoch counts its steps from 0.
        return next(((step, rows) for step, rows in reversed(self.recent) if step == first), (first, ()))
