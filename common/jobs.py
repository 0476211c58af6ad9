"""Progress bars, and jobs on several processes of this machine or on a Ray cluster.

A job is an object with `run()`. It is pickled to a worker, and only its small result comes back. A job writes its
output itself, to a file that gets its final name when it is complete. So both engines run the same jobs, and a job can
be interrupted or run twice without harm.
"""

import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

Result = TypeVar("Result", covariant=True)
AnyJob = TypeVar("AnyJob", bound="Job")
AHEAD = 3  # jobs per worker that are waiting or whose result is not fetched; more would only use memory
# Always a rate, also below 1 per second: tqdm's own format would then write "1.08s/ captions".
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class EngineError(OSError):
    """A process was killed; the cluster cannot be reached, or one of its nodes or processes was lost."""


class Job(Protocol[Result]):
    """A piece of work, with all its inputs as attributes."""

    def run(self) -> Result: ...


def progress(items: Iterable | None, what: str, unit: str, total: int | None = None, **options: Any) -> tqdm:
    """A progress bar with rate and time left, removed at the end. In a log file it writes a line every 30 seconds.

    A worker process has none: its bar would be written across that of its parent.
    """
    pause = 0.1 if sys.stderr.isatty() else 30
    is_worker = multiprocessing.parent_process() is not None
    # What takes under a second needs no bar.
    options = {"delay": 1, "leave": False, "bar_format": BAR, "disable": is_worker, **options}
    return tqdm(items, desc=what, unit=unit, total=total, mininterval=pause, **options)


def run_jobs(
    jobs: Iterable[AnyJob], engine: str = "local", workers: int = 1, cpus: int = 1, gpus: float = 0
) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on an engine, "local" or "ray"; yields (job, result) in the order of the jobs.

    workers: processes of "local"; cpus, gpus: cores and GPUs of each job on "ray". Raises the first error of a job.
    Jobs are taken from the iterator as they are needed.
    """
    return run_on_ray(jobs, cpus, gpus) if engine == "ray" else run_locally(jobs, workers)


def run_locally(jobs: Iterable[AnyJob], workers: int) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on `workers` processes of this machine. EngineError if one of them was killed."""
    # Each worker computes on one core; more BLAS threads would compete with the other workers. The variables stay set:
    # the results of what this process computes later must not depend on a number of threads either.
    os.environ |= {name: os.environ.get(name, value) for name, value in ONE_THREAD.items()}
    # "spawn" exists on every system, and is safe in a process with threads.
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    running: deque[tuple[AnyJob, Future]] = deque()
    try:
        for job in jobs:
            # A terminal sends Ctrl-C to all processes, but only the parent must react. `submit` starts the workers,
            # and they inherit that SIGINT is ignored.
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            running.append((job, pool.submit(_run, job)))
            signal.signal(signal.SIGINT, handler)
            if len(running) > AHEAD * workers:
                yield _result_of_next(running)
        while running:
            yield _result_of_next(running)
    except BrokenProcessPool as error:
        reason = "a worker process was killed, probably because memory ran out; use fewer processes: --workers 1"
        raise EngineError(reason) from error
    finally:
        # All results are there, or no longer needed. Workers that are asked to end wait for ever if one of them was
        # killed with the lock of their queue, which one that has nothing to do always holds.
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _result_of_next(running: deque[tuple[AnyJob, Future]]) -> tuple[AnyJob, Any]:
    job, future = running.popleft()
    return job, future.result()


def _run(job: Job[Result]) -> Result:
    return job.run()


def _start_worker() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a pool starts workers"
    # Workers of a pool do not notice that their parent was killed, and would wait for ever.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows it is not inherited
    # tqdm's own lock is a semaphore of the system. A worker that is stopped would leave it, and Python warns of that.
    tqdm.set_lock(threading.RLock())
    warnings.simplefilter("ignore")  # Pillow warns about odd metadata of single files


def _end_with(process: multiprocessing.process.BaseProcess) -> None:
    process.join()
    os._exit(1)


def run_on_ray(jobs: Iterable[AnyJob], cpus: int = 1, gpus: float = 0) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on the Ray cluster at RAY_ADDRESS, or start Ray on this machine. cpus, gpus: of each job.

    Every node must find this program and all files of the jobs under the same paths (a shared file system). If a
    job's node or process dies, Ray runs the job again, up to three times.
    """
    if importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError("--engine ray needs Ray: python -m pip install -r requirements-cluster.txt")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send usage statistics
    import ray

    started_here = not ray.is_initialized()
    if started_here:
        variables = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), **ONE_THREAD}
        ray.init(runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.WARNING)
    run: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=3, scheduling_strategy="SPREAD")(_run)
    running: deque[tuple[AnyJob, Any]] = deque()
    try:
        window = AHEAD * _places([node["Resources"] for node in ray.nodes() if node["Alive"]], cpus, gpus)
        for job in jobs:
            running.append((job, run.remote(job)))
            if len(running) > window:
                done, reference = running.popleft()
                yield done, ray.get(reference)
        while running:
            done, reference = running.popleft()
            yield done, ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the error that the job raised
    except ray.exceptions.RayError as error:
        raise EngineError(f"the cluster failed: {str(error).splitlines()[0]}") from None
    finally:
        for _, reference in running:
            ray.cancel(reference, force=True)
        if started_here:
            ray.shutdown()


def _places(nodes: Iterable[Mapping[str, float]], cpus: int, gpus: float) -> int:
    """How many jobs can run at once. nodes: the resources of each. EngineError if there is no place: Ray would wait."""
    places = 0
    for node in nodes:
        of_gpus = int(node.get("GPU", 0) / gpus) if gpus else sys.maxsize
        places += min(int(node.get("CPU", 0) // cpus), of_gpus)
    if not places:
        raise EngineError(f"no node of the cluster has {cpus} CPU{'s' * (cpus > 1)} and {gpus:g} GPUs for a task")
    return places
