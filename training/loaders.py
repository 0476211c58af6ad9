"""Loader processes that end: in the middle of a training, for example for lack of memory, or with it.

torch tells the loss of a loader process by a signal handler that raises RuntimeError, wherever the program is.
"""

import contextlib
import sys

from torch.utils.data import DataLoader


def is_loss_of_a_worker(error: BaseException) -> bool:
    """Whether a loader process has died, so that the program must end: torch raises a plain RuntimeError.

    If the error comes while another loader starts its processes, torch cannot delete that loader. So from now on Python
    prints nothing about objects that cannot be deleted, which would be a traceback beside the one line of the error.
    """
    is_loss = isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")
    if is_loss:
        sys.unraisablehook = lambda about: None
    return is_loss


def end_workers(*loaders: DataLoader) -> None:
    """End the processes of loaders that are no longer needed. One that dies now is no loss."""
    for loader in loaders:
        if (running := getattr(loader, "_iterator", None)) is not None:
            while True:  # the error can come from another process than the one that is waited for
                with contextlib.suppress(RuntimeError):
                    running._shutdown_workers()
                    break
