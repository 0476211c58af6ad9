"""The scripts as a user runs them: in the process of the tests, or in a process of their own."""

import contextlib
import importlib
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO
from unittest import mock

import numpy as np

from common import jobs

# Before torch is imported, which conftest.py does next: the parallel processes of a run share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell lets what it starts in the background ignore Ctrl-C, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SCENES_SMALL = str(ROOT / "Models" / "scenes-small")  # a judge of drawn scenes that comes with the program
Done = subprocess.CompletedProcess[str]


def run_process(name: str, *args: object, status: int | None = 0, **settings: object) -> Done:
    """Run a script in a process of its own, from the project's folder; its exit status must be `status`.

    Use it for what only a process has: `--help`, one good run of each script, bytes that must be equal in every
    process, and what the script imports. It costs 2 to 4 s; `run_script` costs none of them.
    """
    command = [sys.executable, ROOT / name, *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, **settings)
    return _checked(done, status)


def run_script(name: str, *args: object, status: int | None = 0) -> Done:
    """Call the `main` of a script in this process, from the project's folder; its exit status must be `status`.

    stdout and stderr are those of the file descriptors, so they hold what libraries and child processes write, too.
    Whatever a script changes in its process is restored. Jobs of a build run in this process, one after the other.
    """
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _restored(name), _written_to(out, err), warnings_as_in_a_new_process():
            code = _exit_status(module, [*map(str, args)])
        texts = [_read(file) for file in (out, err)]
    return _checked(subprocess.CompletedProcess([name, *args], code, *texts), status)


def _checked(done: Done, status: int | None) -> Done:
    if status is not None:
        shown = f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, shown
    return done


def _exit_status(module: ModuleType, args: list[str]) -> int:
    """What Python would exit with, and writes to stderr, when this module is run as a script."""
    try:
        module.main(args)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _read(file: IO[bytes]) -> str:
    """All text of a file, with the ends of lines that `subprocess` gives in text mode."""
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")


@contextlib.contextmanager
def _written_to(out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Let the file descriptors 1 and 2, and what Python writes to them, go to these files."""
    sys.stdout.flush(), sys.stderr.flush()
    before = sys.stdout, sys.stderr, os.dup(1), os.dup(2)
    os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - libraries may keep it
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        with _logged_to(sys.stderr):
            yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        sys.stdout, sys.stderr = before[:2]
        for descriptor, old in enumerate(before[2:], 1):
            os.dup2(old, descriptor)
            os.close(old)


@contextlib.contextmanager
def _logged_to(stderr: IO[str]) -> Iterator[None]:
    """Log to this stderr: handlers keep that of the time when they were made, and pytest's own take what it shows."""
    root, old = logging.getLogger(), {}
    kept, root.handlers = root.handlers, []
    for reference in logging._handlerList:
        if type(handler := reference()) is logging.StreamHandler:
            if handler.stream.closed:  # that of an earlier test, which a handler cannot flush
                handler.stream = sys.__stderr__
            old[handler] = handler.setStream(stderr)
    try:
        yield
    finally:
        root.handlers = kept
        for handler, stream in old.items():
            if stream is not None:
                handler.setStream(stream)


@contextlib.contextmanager
def warnings_as_in_a_new_process() -> Iterator[None]:
    """Python's filters, and every warning is written to stderr, although pytest collects those of a test."""

    def show(message, category, filename, lineno, file=None, line=None):  # type: ignore[no-untyped-def]
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)
        warnings.showwarning = show
        yield


def run_jobs_here(work: Iterator[jobs.Job], workers: int) -> Iterator[tuple[jobs.Job, object]]:
    """What `common.jobs.run_locally` yields, without processes: one spaCy pipeline serves all builds of a session."""
    for job in work:
        with warnings.catch_warnings(action="ignore"):
            result = job.run()
        yield job, result


@contextlib.contextmanager
def _restored(name: str) -> Iterator[None]:
    """Restore what a script may change: its own arguments, folder, variables, signals, and random generators."""
    import torch

    folder, numbers = Path.cwd(), (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in numbers]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - scripts seed it
    threads, path = torch.get_num_threads(), sys.path[:]
    os.chdir(ROOT)
    try:
        with (
            mock.patch.dict(os.environ),
            mock.patch.object(sys, "argv", [str(ROOT / name)]),
            mock.patch.object(jobs, "run_locally", run_jobs_here),
        ):
            yield
    finally:
        os.chdir(folder)
        sys.path[:] = path
        for number, handler in zip(numbers, handlers):
            signal.signal(number, handler)
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])  # noqa: NPY002
        torch.set_num_threads(threads)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
