"""Loader processes that end: in the middle of a training, for example for lack of memory, or with it.

torch tells the loss of a loader process by a signal handler that raises RuntimeError, wherever the program is.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from torch.utils.data import DataLoader, _utils

# Seconds. The pipe of a process that dies can break before the signal of its death arrives, on a busy machine so long
# before that the program would already report the broken pipe.
UNTIL_THE_SIGNAL = 0.5


class LostWorker(Exception):
    """A loader process has died; the message is torch's."""


@contextlib.contextmanager
def watch_workers(*loaders: DataLoader) -> Iterator[None]:
    """Raise LostWorker if a process of these loaders dies, whatever error the program notices that by.

    Where Python cannot raise the loss, for example while a process is forked, nothing is printed: torch tells it again
    at the next batch. After a loss, nothing is printed about objects that cannot be deleted: torch cannot delete a
    loader whose start was interrupted. At the end the processes are no longer watched.
    """
    before = sys.unraisablehook

    def print_others(about: sys.UnraisableHookArgs) -> None:
        if about.exc_value is None or not _is_loss(about.exc_value):
            before(about)

    sys.unraisablehook = print_others
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if loss := _loss_behind(error):
            sys.unraisablehook = lambda about: None
            raise LostWorker(loss) from error
        raise
    finally:
        _stop_watching(*loaders)
        if sys.unraisablehook is print_others:
            sys.unraisablehook = before


def end_workers(*loaders: DataLoader) -> None:
    """End the processes of loaders that are no longer needed. One that dies now is no loss."""
    for loader in loaders:
        if (running := getattr(loader, "_iterator", None)) is not None:
            while True:  # the error can come from another process than the one that is waited for
                with contextlib.suppress(RuntimeError):
                    running._shutdown_workers()
                    break


def _is_loss(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


def _loss_behind(error: Exception) -> str:
    """What torch says of the loss that is this error, or its cause; empty if no process is lost."""
    if _is_loss(error):
        return str(error)
    try:
        time.sleep(UNTIL_THE_SIGNAL)
        _utils.signal_handling._error_if_any_worker_fails()
    except RuntimeError as loss:
        return str(loss)
    return ""


def _stop_watching(*loaders: DataLoader) -> None:
    """A process that dies from now on raises nothing: the program ends, or the processes do."""
    for loader in loaders:
        running = getattr(loader, "_iterator", None)
        if running is not None and running._worker_pids_set:
            running._worker_pids_set = False
            with contextlib.suppress(ValueError):  # an error has interrupted torch after it removed them
                _utils.signal_handling._remove_worker_pids(id(running))
