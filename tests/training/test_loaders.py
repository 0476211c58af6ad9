"""The loss of a loader process, by whatever error the program notices it."""

import gc
import os
import signal
import sys
import threading
import time

import pytest
from torch.utils.data import DataLoader

from training import loaders
from training.loaders import LostWorker, watch_workers

LOSS = "DataLoader worker (pid 7) is killed by signal: Killed."


class Broken:
    """An object whose deletion raises an error, which Python can only print."""

    def __init__(self, message: str):
        self.message = message

    def __del__(self):
        raise RuntimeError(self.message)


@pytest.fixture
def loader():
    loader = DataLoader(range(100), num_workers=1, persistent_workers=True)
    next(iter(loader))
    yield loader
    loader._iterator._shutdown_workers()


def kill(loader) -> None:
    os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)


def test_only_the_loss_of_a_loader_process_is_hidden(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: printed.append(str(about.exc_value)))
    before = sys.unraisablehook
    with watch_workers():
        for message in (LOSS, "another error"):
            Broken(message)
            gc.collect()
    assert printed == ["another error"] and sys.unraisablehook is before


def test_after_a_loss_nothing_is_printed_of_objects_that_cannot_be_deleted(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: printed.append(str(about.exc_value)))
    with pytest.raises(LostWorker, match="pid 7"), watch_workers():
        raise RuntimeError(LOSS)
    Broken("another error")
    gc.collect()
    assert printed == []


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="this system sends no signal when a process ends")
@pytest.mark.parametrize("kind", [ConnectionResetError, EOFError, RuntimeError])
def test_the_broken_pipe_of_a_lost_process_is_its_loss(loader, kind, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(loaders, "UNTIL_THE_SIGNAL", 60)  # the signal interrupts the pause
    with pytest.raises(LostWorker, match="is killed by signal: Killed"), watch_workers(loader):
        threading.Timer(0.1, kill, [loader]).start()
        raise kind("of a pipe")


@pytest.mark.parametrize("kind", [OSError, EOFError, RuntimeError])
def test_an_error_without_a_loss_is_itself(loader, kind, monkeypatch):
    monkeypatch.setattr(loaders, "UNTIL_THE_SIGNAL", 0)
    with pytest.raises(kind, match="no space"), watch_workers(loader):
        raise kind("no space")


@pytest.mark.parametrize("error", [None, ValueError])
def test_afterwards_a_process_can_end(loader, error):
    try:
        with watch_workers(loader):
            if error:
                raise error
    except ValueError:
        pass
    kill(loader)
    loader._iterator._workers[0].join(20)
    time.sleep(0)  # Python runs the handlers of signals between two instructions
    assert not loader._iterator._workers[0].is_alive()
