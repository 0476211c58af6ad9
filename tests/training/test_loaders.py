"""The loss of a loader process where Python cannot raise it."""

import gc
import sys

from training.loaders import unraisable_losses_hidden


class Broken:
    """An object whose deletion raises an error, which Python can only print."""

    def __init__(self, message: str):
        self.message = message

    def __del__(self):
        raise RuntimeError(self.message)


def test_only_the_loss_of_a_loader_process_is_hidden(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: printed.append(str(about.exc_value)))
    before = sys.unraisablehook
    with unraisable_losses_hidden():
        for message in ("DataLoader worker (pid 7) is killed by signal: Killed.", "another error"):
            Broken(message)
            gc.collect()
    assert printed == ["another error"] and sys.unraisablehook is before
