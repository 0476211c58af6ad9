"""Building a database: speed, size on disk, memory, and the time to open it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import load_from_disk

from DataBase_functions import Database
from Miscellaneous_scripts.benchmarks import Measure, Skip
from Miscellaneous_scripts.benchmarks.processes import bytes_of
from Miscellaneous_scripts.benchmarks.workspace import Workspace

LEAST_FOR_DIFFERENCE = 200  # photographs; building fewer takes no longer than the variation of the start-up time
OPENINGS = 20  # per measurement, since one takes only milliseconds


def build(work: Workspace) -> tuple[Measure, Measure]:
    for way in ("ours", "plain"):
        work.build(way, 8)  # so that the libraries are in the page cache

    def rates(way: str) -> dict[str, float]:
        seconds, _ = work.build(way, work.count)
        rate = {"photographs/s": work.count / seconds}
        if work.count >= LEAST_FOR_DIFFERENCE:
            # In the difference of two builds the start-up cancels out: this is the rate of a large build.
            rate["photographs/s without start-up"] = (work.count - work.quarter) / (
                seconds - work.build(way, work.quarter)[0]
            )
        return rate

    return lambda: rates("ours"), lambda: rates("plain")


def size(work: Workspace) -> tuple[Measure, Measure]:
    def mean(way: str) -> float:
        folder = work.database(way)
        return (bytes_of(folder) - bytes_of(folder / "negatives")) / work.count

    return lambda: mean("ours"), lambda: mean("plain")


def opening(work: Workspace) -> tuple[Measure, Measure]:
    def seconds(open_one: Callable[[Any], object], folder: Path | str) -> float:
        start = time.perf_counter()
        for _ in range(OPENINGS):
            open_one(folder)
        return (time.perf_counter() - start) / OPENINGS

    ours, plain = work.database("ours"), str(work.database("plain"))
    load_from_disk(plain)  # the first call imports modules
    return lambda: seconds(Database, ours), lambda: seconds(load_from_disk, plain)


def memory(work: Workspace) -> tuple[Measure, Measure]:
    if not Path("/proc/self/status").is_file():
        raise Skip("it needs /proc to read memory, which this system does not have")

    def peak(count: int) -> dict[str, float]:
        _, peaks = work.build("ours", count, watch=True)
        return {"MB": sum(peaks), "MB, largest process": max(peaks)}

    return lambda: peak(work.count), lambda: peak(work.quarter)
