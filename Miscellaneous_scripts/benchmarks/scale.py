"""How time and memory grow with the size of a database, up to that of COCO: 118,000 photographs with 592,000 captions.

Each stage of each size runs in processes of its own, and is measured from outside: wall and processor seconds, the
memory of its largest process and of all its processes, bytes on disk. The exponent of a stage is the slope of
log(seconds) over log(photographs): 1 is a straight line, and 2 means four times the time for twice the photographs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.storage import write_json
from Config import PRESETS, usable_cores
from Miscellaneous_scripts.benchmarks.coco_like import Collection, make_collection
from Miscellaneous_scripts.benchmarks.photographs import draw_photographs

ROOT = Path(__file__).resolve().parent.parent.parent
POLL = 0.25  # seconds between two readings of the memory of all processes
BATCHES = 200  # that are made and measured, at most
STEP = 0.3  # seconds; assumed for a training step beside the loader
SERIES = {"build": "build", "plan": "plan of negatives", "open": "opening", "first batch": "first batch"}
SERIES |= {"order": "order of an epoch", "batch": "a batch"}
NOTE = "Memory is that of the processes alone (anonymous and shared), without pages of mapped files."


@dataclass
class Reading:
    """What one stage needed. MB: 1e6 bytes, at the highest."""

    seconds: float
    cpu_seconds: float
    largest_mb: float
    all_mb: float
    mapped_mb: float  # of all processes, with the pages of mapped files, which the system takes back when it needs them


def report(photos: Path | None, counts: Sequence[int], out: Path, keep: bool, long_texts: bool) -> dict[str, Any]:
    """Measure all sizes, print their table and write scale.json and scale.png to `out`.

    The data of a size are made once. keep: do not delete the databases. long_texts: with narratives and dense captions.
    """
    out.mkdir(parents=True, exist_ok=True)
    source = photos or out / "drawn"
    if photos is None and not source.is_dir():
        draw_photographs(source, 60)
    results: dict[str, Any] = {"photos": str(source), "long_texts": long_texts, "note": NOTE, "sizes": []}
    for count in sorted(set(counts)):
        data = make_collection(source, out / f"coco-{count}", count, out / "pictures")
        results["sizes"].append(measure(data, count, out, long_texts))
        if not keep:
            shutil.rmtree(out / f"scale-{count}", ignore_errors=True)
        results["exponents"] = exponents(results["sizes"])
        write_json(out / "scale.json", results)
        print_size(results["sizes"][-1])
    print_exponents(results["exponents"])
    draw(results, out / "scale.png")
    return results


def measure(data: Collection, count: int, out: Path, long_texts: bool) -> dict[str, Any]:
    """All stages of one size: name -> what it needed."""
    database, log = out / f"scale-{count}", out / f"scale-{count}.log"
    shutil.rmtree(database, ignore_errors=True)
    command = ["Database_create.py", "--name", database.name, "--root", out, "--coco", data.coco, "--no-negatives"]
    if long_texts:
        command += ["--narratives", data.narratives, "--sharegpt4v", data.dense]
    stages: dict[str, Any] = {"build": vars(watch(command, log))}
    code = "import sys; from Miscellaneous_scripts.benchmarks import scale; scale.{}(*sys.argv[1:])"
    stages["plan"] = vars(watch(["-c", code.format("plan"), database], log))
    bytes_of_all = bytes_of(database)
    found = out / f"scale-{count}.reading.json"
    stages["batches"] = vars(watch(["-c", code.format("read"), database, found], log))
    reading = json.loads(found.read_text(encoding="utf-8"))
    found.unlink()
    manifest = json.loads((database / "manifest.json").read_text(encoding="utf-8"))
    return {
        "photographs": count,
        "texts": sum(n for source in manifest["sources"].values() for n in source["kinds"].values()),
        "words": sum(json.loads((database / "word_counts.json").read_text(encoding="utf-8")).values()),
        "copies": len(manifest["overlaps"]["by picture"]),
        "bytes": {
            "database": bytes_of_all - bytes_of(database / "negatives"),
            "plan": bytes_of(database / "negatives"),
        },
        "stages": stages,
        "reading": reading,
    }


# In a process of their own


def plan(folder: str) -> None:
    """Plan the hard negatives of a database, on all cores."""
    from DataBase_functions import Database
    from Negative_map import Plan

    Plan.open(Database(Path(folder)), workers=usable_cores())


def read(folder: str, found: str) -> None:
    """Measure opening, the first batch, the order of an epoch and the waiting of a training; writes the seconds."""
    import torch

    from DataBase_functions import Database, Key, PairDataset, make_loader
    from Tokenizer_lib import Tokenizer

    torch.set_num_threads(1)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    def opened() -> Database:
        database = Database(Path(folder))
        database.plan  # noqa: B018
        return database

    config = PRESETS["finetune"][1]
    database = timed("open", opened)
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    data = replace(config.data, workers=1)  # the training has the other cores
    dataset = PairDataset(database, tokenizer, data, config.negatives, config.augment, 0)
    rows = database.rows("train")
    timed("first batch", lambda: dataset.__getitems__([Key(0, row) for row in rows[: data.batch_pictures]]))
    loader, sampler = make_loader(dataset, rows, 0, True, torch.device("cpu"))
    timed("order", lambda: next(iter(sampler)))
    texts, start = [], time.perf_counter()
    for keys in itertools.islice(sampler, BATCHES):  # in this process; a small database has fewer
        texts.append(len(dataset.__getitems__(keys).words))
    seconds["batches"], seconds["texts"] = time.perf_counter() - start, sum(texts)
    seconds["batch"] = seconds["batches"] / len(texts)
    seconds |= waiting(loader)
    write_json(Path(found), seconds)


def waiting(loader: Any) -> dict[str, float]:
    """How long a training waits for batches, if its steps take STEP seconds. The first batch is not counted."""
    waited, start, batches = 0.0, time.perf_counter(), 0
    for _ in itertools.islice(loader, max(2, BATCHES // 4)):
        waited += (time.perf_counter() - start) * (batches > 0)
        batches += 1
        time.sleep(STEP)
        start = time.perf_counter()
    return {"waiting": waited / max(1e-9, waited + batches * STEP), "batches waited for": batches}


# From outside


def watch(command: Sequence[object], log: Path) -> Reading:
    """Run this Python in ROOT with some arguments, and measure all processes of its session.

    ValueError with the end of its output if it fails.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peak: dict[int, float] = {}
    highest = mapped = 0.0
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=file, stderr=file, cwd=ROOT, start_new_session=True
        )
    try:
        while process.poll() is None:
            now = memory_of_session(process.pid)
            peak |= {pid: max(own, peak.get(pid, 0.0)) for pid, (own, _) in now.items()}
            highest = max(highest, sum(own for own, _ in now.values()))
            mapped = max(mapped, sum(whole for _, whole in now.values()))
            time.sleep(POLL)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    seconds = time.perf_counter() - start
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"status {process.returncode}"]
        raise ValueError(f"{' '.join(map(str, command[:3]))} failed: {last[0]}; all of its output: {log}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Reading(seconds, cpu, max(peak.values(), default=0.0), highest, mapped)


def memory_of_session(session: int) -> dict[int, tuple[float, float]]:
    """Process -> MB of its own memory, and with its share of mapped files (PSS), of each process of a session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # the process has just ended
            # After the name in brackets, which can contain spaces, are state, parent, group and session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                lines = (line.split() for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
                kb = {line[0].rstrip(":"): int(line[1]) for line in lines}
                own = kb["Pss_Anon"] + kb["Pss_Shmem"]
                found[int(folder.name)] = own * 1024 / 1e6, kb["Pss"] * 1024 / 1e6
    return found


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# Results


def seconds_of(size: Mapping[str, Any], name: str) -> float:
    """Wall seconds of a series of a size."""
    return size["reading"][name] if name in size["reading"] else size["stages"][name]["seconds"]


def exponents(sizes: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Series -> slope of log(seconds) over log(photographs), by least squares; build, plan: also of CPU and memory."""
    found = {name: slope([(size["photographs"], seconds_of(size, name)) for size in sizes]) for name in SERIES}
    for name in ("build", "plan"):
        points = [(size["photographs"], size["stages"][name]["cpu_seconds"]) for size in sizes]
        found[f"{name}, processor"] = slope(points)
        points = [(size["photographs"], size["stages"][name]["all_mb"]) for size in sizes]
        found[f"{name}, memory"] = slope(points)
    return found


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The exponent b of y = a * x ** b; None for fewer than two sizes or if a y is not above 0."""
    if len({x for x, _ in points}) < 2 or min(y for _, y in points) <= 0:
        return None
    x, y = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(x, y, 1)[0])


def print_size(size: Mapping[str, Any]) -> None:
    reading = size["reading"]
    print(f"{size['photographs']:,} photographs, {size['texts']:,} texts, {size['copies']} taken for copies")
    for name, items in (("build", size["photographs"]), ("plan", size["texts"]), ("batches", reading["texts"])):
        one = size["stages"][name]
        rate = items / (reading["batches"] if name == "batches" else one["seconds"])
        print(
            f"  {name:8} {one['seconds']:8,.1f} s {one['cpu_seconds']:8,.1f} CPU s {rate:8,.0f} items/s "
            f"{one['largest_mb']:7,.0f} MB largest {one['all_mb']:7,.0f} MB all"
        )
    few = ", ".join(f"{name} {reading[name]:.3f} s" for name in ("open", "first batch", "order"))
    print(f"  {few}; waiting {reading['waiting']:.1%}")
    print("  disk: " + ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in size["bytes"].items()), flush=True)


def print_exponents(found: Mapping[str, float | None]) -> None:
    known = ", ".join(f"{name} {value:.2f}" for name, value in found.items() if value is not None)
    print(f"exponents: {known}" if known else "exponents need two sizes or more")


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Two panels, log-log: seconds of each stage, and memory of build and plan."""
    from evaluation.style import COLOURS, GREY, pyplot, save

    plt, sizes = pyplot(), results["sizes"]
    count = [size["photographs"] for size in sizes]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    for (name, label), colour in zip(SERIES.items(), COLOURS):
        power = results["exponents"][name]
        label += "" if power is None else f": exponent {round(power, 2) + 0.0:.2f}"
        left.plot(count, [seconds_of(size, name) for size in sizes], "o-", color=colour, label=label)
    for name, colour in zip(("build", "plan"), COLOURS):
        for what, line, label in (("all_mb", "o-", "all processes"), ("largest_mb", "s--", "largest process")):
            numbers = [size["stages"][name][what] for size in sizes]
            right.plot(count, numbers, line, color=colour, label=f"{name}, {label}")
    for axes, title in ((left, "Seconds"), (right, "Memory in MB")):
        axes.set(xscale="log", yscale="log", xlabel="photographs", title=title)
        axes.set_xticks(count, [f"{number:,}" for number in count])
        axes.minorticks_off()
        # Below the panel: it would cover lines, wherever it was inside.
        axes.legend(fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
    low, high = right.get_ylim()
    right.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    texts = ", ".join(f"{size['texts']:,}" for size in sizes)
    figure.supxlabel(f"texts: {texts}", fontsize=9, color=GREY)
    save(figure, path)
