"""What happens to the weights: optimizer, learning rates, their moving average, and a NaN guard."""

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

    Norms, biases, embeddings and single numbers do not decay: pulling those to 0 does not make a function simpler.
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
        betas=(0.9, 0.98),  # the default 0.999 remembers 1,000 steps, half of all that `scenes` makes
        fused=True,  # one pass over all weights instead of a dozen
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: OptimConfig, steps_per_epoch: int, unfreeze_epoch: int | None
) -> LambdaLR:
    """Warm-up and cosine decay for each group; the backbone's schedule begins with the epoch that unfreezes it."""
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
    """Exponential moving average (EMA) of the weights, which validation uses and `best.safetensors` holds.

    In the first steps the decay is smaller than `decay` (Tarvainen & Valpola 2017); else the average would contain much
    of the random initial weights. With decay 0 there is no average.
    """

    def __init__(self, weights: Sequence[nn.Parameter], decay: float):
        self.weights: list[Tensor] = list(weights)
        self.decay, self.steps = decay, 0
        self.mean = [weight.detach().clone() for weight in self.weights] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """After each step of the optimizer."""
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
    """Freezes the weights from the first NaN or infinite loss or gradient on, without waiting for the device.

    Reading a loss makes a GPU finish all work before it. So the result of the check stays on the device as a flag,
    which a fused optimizer reads itself and then changes nothing; the host reads it once in `every` steps. With float16
    torch's GradScaler uses the same flag, which skips a bad step but not the good ones after it: there `every` is 1.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device, every: int):
        self.optimizer, self.every = optimizer, every
        self.first = torch.full((), -1, dtype=torch.long, device=device)  # the first bad step
        self.recent: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=every)

    def watch(self, step: int, rows: tuple[int, ...], *numbers: Tensor) -> None:
        """Call before the optimizer's step, with all that must be finite."""
        self.recent.append((step, rows))
        finite = torch.stack([number.detach().isfinite().all() for number in numbers]).all()
        self.first = torch.where((self.first < 0) & ~finite, step, self.first)
        # The attribute by which torch's own GradScaler tells a fused optimizer to hold still.
        self.optimizer.found_inf = (self.first >= 0).float()  # type: ignore[attr-defined]

    def bad_step(self) -> tuple[int, tuple[int, ...]] | None:
        """The first step with a NaN or infinite number, and the rows of its batch. Waits for the device."""
        first = int(self.first)
        if first < 0:
            return None
        # The newest, since every epoch counts its steps from 0.
        return next(((step, rows) for step, rows in reversed(self.recent) if step == first), (first, ()))
