"""Several processes that train one model together: torchrun --nproc-per-node N Main_train.py ...

Each process encodes its share of a batch. The vectors are gathered, so that a process compares its own pictures and
captions with those of all processes; gradients are summed. For a single process all of this does nothing.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")
# How long processes wait for another one: rank 0 can be computing a feature cache or writing a checkpoint.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Group:
    """The processes of a run: their number, and the rank of this process."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Group":
        """The group that torchrun has started, or a group of one process."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
        # torchrun keeps its store when it starts the processes again. Without a name of this start they would find the
        # addresses of those before, and wait for ever (https://github.com/pytorch/pytorch/issues/135712).
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE, store=store, rank=rank, world_size=size)
        return cls(rank, size)

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def writes(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        return self.rank, self.size

    def gather(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """The tensors of all processes, concatenated by rank: (sizes[rank], ...) -> (sum(sizes), ...).

        Differentiable: the gradient of `own` is the sum of its gradients in all processes, as for the sum of their
        losses.
        """
        return own if self.size == 1 else _Gather.apply(own, tuple(sizes), self.rank)

    @torch.no_grad()
    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Add up the gradients of all processes, in one all-reduce.

        DistributedDataParallel would all-reduce once per chunk, since each chunk has its own backward pass. It also
        averages gradients, but here they must be summed, as the losses of the processes are.
        """
        if self.size == 1:
            return
        _all_reduce([weight.grad for weight in weights if weight.grad is not None])

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one all-reduce."""
        if self.size > 1:
            _all_reduce(list(tensors), self.size)

    def merge(self, value: Value) -> list[Value]:
        """The values of all processes, by rank. They must be picklable."""
        if self.size == 1:
            return [value]
        everything: list[Any] = [None] * self.size
        dist.all_gather_object(everything, value)
        return everything


def _all_reduce(tensors: Sequence[Tensor], divisor: int = 1) -> None:
    """Replace each tensor by its sum over the processes, divided by `divisor`, in one all-reduce."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    if divisor > 1:
        flat.div_(divisor)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view_as(tensor))


ALONE = Group()


def is_loss_of_a_peer(error: RuntimeError) -> bool:
    """Whether communication failed because another process has ended; gloo raises plain RuntimeErrors."""
    message = str(error)
    return isinstance(error, dist.DistError) or "gloo" in message.lower() or "Connection closed by peer" in message


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: tuple[int, ...], rank: int) -> Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        padded = own.new_zeros(max(sizes), *own.shape[1:])  # all_gather needs equal shapes
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.split(ctx.sizes)[ctx.rank], None, None
