"""Loader processes that end: in the middle of a training, for example for lack of memory, or with it.

torch tells the loss of a loader process by a signal handler that raises RuntimeError, wherever the program is.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from torch.utils.data import DataLoader


def is_loss_of_a_worker(error: BaseException) -> bool:
    """Whether a loader process has died, so that the program must end: torch raises a plain RuntimeError.

    If the error comes while another loader starts its processes, torch cannot delete that loader. So from now on Python
    prints nothing about objects that cannot be deleted, which would be a traceback beside the one line of the error.
    """
    if is_loss := _is_loss(error):
        sys.unraisablehook = lambda about: None
    return is_loss


def _is_loss(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


@contextlib.contextmanager
def unraisable_losses_hidden() -> Iterator[None]:
    """Print nothing if torch tells the loss of a process where Python cannot raise it, such as while a process is
    forked. torch tells it again at the next batch."""
    before = sys.unraisablehook

    def print_others(about: sys.UnraisableHookArgs) -> None:
        if about.exc_value is None or not _is_loss(about.exc_value):
            before(about)

    sys.unraisablehook = print_others
    try:
        yield
    finally:
        sys.unraisablehook = before


def end_workers(*loaders: DataLoader) -> None:
    """End the processes of loaders that are no longer needed. One that dies now is no loss."""
    for loader in loaders:
        if (running := getattr(loader, "_iterator", None)) is not None:
            while True:  # the error can come from another process than the one that is waited for
                with contextlib.suppress(RuntimeError):
                    running._shutdown_workers()
                    break
