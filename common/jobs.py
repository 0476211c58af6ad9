"""Long work: progress bars, and jobs on the processes of this machine or on a Ray cluster.

A job is an object with `run()`; it is pickled to a worker and only its small result comes back. Whatever it produces
it writes itself, to a file that takes its name when it is whole. So both engines run the same jobs, and a job that ran
twice, or was cut off, does no harm.
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
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

Result = TypeVar("Result", covariant=True)
AnyJob = TypeVar("AnyJob", bound="Job")
AHEAD = 3  # jobs per worker that wait or are not fetched; more would only use memory
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class EngineError(RuntimeError):
    """A node or a process of the cluster is lost, or there is no cluster."""


class Job(Protocol[Result]):
    """A piece of work that knows all it needs."""

    def run(self) -> Result: ...


def progress(items: Iterable | None, what: str, unit: str, total: int | None = None, **options: Any) -> tqdm:
    """A bar with rate and time left, gone when it is done; in a log file a line every half minute, not ten a second."""
    pause = 0.1 if sys.stderr.isatty() else 30
    options = {"delay": 1, "leave": False, **options}  # what takes under a second needs no bar
    return tqdm(items, desc=what, unit=unit, total=total, mininterval=pause, **options)


def run_jobs(jobs: Iterable[AnyJob], engine: str = "local", workers: int = 1) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on an engine, "local" or "ray"; yields each with its result, in their order.

    The first error of a job ends the run. Jobs are taken from the iterator as they are needed.
    """
    return run_on_ray(jobs) if engine == "ray" else run_locally(jobs, workers)


def run_locally(jobs: Iterable[AnyJob], workers: int) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on `workers` processes of this machine. BrokenProcessPool if one of them was killed."""
    # Each worker computes on one core; BLAS threads of its own would fight with the other workers'.
    os.environ |= {name: os.environ.get(name, value) for name, value in ONE_THREAD.items()}
    # "spawn" is the start method that every system has, and the safe one beside threads.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    running: deque[tuple[AnyJob, Future]] = deque()
    try:
        for job in jobs:
            # Submitting starts the processes, and they inherit deafness to Ctrl-C: the terminal sends it to all of
            # them, and the parent alone shall answer.
            answer = signal.signal(signal.SIGINT, signal.SIG_IGN)
            running.append((job, pool.submit(_run, job)))
            signal.signal(signal.SIGINT, answer)
            if len(running) > AHEAD * workers:
                yield _result_of_next(running)
        while running:
            yield _result_of_next(running)
    except BaseException:
        for process in multiprocessing.active_children():  # nobody waits for what they are doing
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _result_of_next(running: deque[tuple[AnyJob, Future]]) -> tuple[AnyJob, Any]:
    job, future = running.popleft()
    return job, future.result()


def _run(job: Job[Result]) -> Result:
    return job.run()


def _start_worker() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a pool starts workers"
    # The workers of a pool do not notice that their parent was killed, and would wait for ever.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Windows does not hand the deafness down
    warnings.simplefilter("ignore")  # Pillow's, about odd metadata of single files


def _end_with(process: multiprocessing.process.BaseProcess) -> None:
    process.join()
    os._exit(1)


def run_on_ray(jobs: Iterable[AnyJob]) -> Iterator[tuple[AnyJob, Any]]:
    """Run jobs on the Ray cluster that RAY_ADDRESS names, or on a Ray that is started on this machine.

    Every node must see this program and all files of the jobs under the same paths (a shared file system). A job
    whose node or process dies is run again by Ray, up to three times.
    """
    if importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError("--engine ray needs Ray: python -m pip install -r requirements-cluster.txt")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unasked
    import ray

    started_here = not ray.is_initialized()
    if started_here:
        variables = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), **ONE_THREAD}
        ray.init(runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.WARNING)
    run: Any = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(_run)
    window = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: deque[tuple[AnyJob, Any]] = deque()
    try:
        for job in jobs:
            running.append((job, run.remote(job)))
            if len(running) > window:
                done, reference = running.popleft()
                yield done, ray.get(reference)
        while running:
            done, reference = running.popleft()
            yield done, ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the job's own
    except ray.exceptions.RayError as error:
        raise EngineError(f"the cluster failed: {str(error).splitlines()[0]}") from None
    finally:
        for _, reference in running:
            ray.cancel(reference, force=True)
        if started_here:
            ray.shutdown()
