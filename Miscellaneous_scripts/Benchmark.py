"""Measure this program against a plain way of doing the same, and print the medians.

    python Miscellaneous_scripts/Benchmark.py                        all benchmarks, on drawn pictures
    python Miscellaneous_scripts/Benchmark.py build --photos DIR     one benchmark, on photographs of Flickr8k
    python Miscellaneous_scripts/Benchmark.py scale --photos DIR --count 10000,30000,118000 --out DIR

The two ways are measured alternately (A B A B ...), because machines are noisy and shared: what slows one way slows the
other too. The table has the median of each way with the smallest and the largest number, and the ratio of the medians.

`scale` is another type of measurement: it shows how time and memory grow with the size of a database, see
benchmarks/scale.py. It takes hours at the size of COCO, and runs only if it is named.

The benchmarks are in benchmarks/, and their table is in benchmarks/__init__.py. Training is measured with a ResNet-50
with random weights, since its speed does not depend on them.
"""

import argparse
import importlib.metadata
import os
import platform
import shutil
import statistics
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.command_line import fail
from Config import usable_cores
from Miscellaneous_scripts.benchmarks import BENCHMARKS, Skip
from Miscellaneous_scripts.benchmarks.photographs import CAPTIONS, PICTURES

INDENT = " " * 6
SCALE = "scale"
USAGE = "python Miscellaneous_scripts/Benchmark.py [NAME ...] [flags]"
ABOUT = """Measure this program against a plain way of doing the same. Both ways take
turns, so that other work on the machine slows both; medians are printed.

examples:
  python Miscellaneous_scripts/Benchmark.py open negatives
  python Miscellaneous_scripts/Benchmark.py build --photos DIR --count 1000
  python Miscellaneous_scripts/Benchmark.py --json results.json
  python Miscellaneous_scripts/Benchmark.py scale --count 1000,10000 --out DIR"""


def main(args: Sequence[str] | None = None) -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(usage=USAGE, description=ABOUT, epilog=list_of_benchmarks(), formatter_class=layout)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run, see below (default: all)")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help=f"folder of Flickr8k with {PICTURES}/, {CAPTIONS} and its lists (default: drawn pictures)",
    )
    parser.add_argument(
        "--count",
        type=numbers,
        default=[300],
        metavar="N[,N]",
        help="number of pictures, at least 8; scale: of several databases (default: 300)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="measurements of each way (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir()) / "benchmark-scale",
        metavar="DIR",
        help="scale: folder of its data, databases and results (default: %(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="scale: keep the databases")
    parser.add_argument("--long", action="store_true", help="scale: with narratives and dense captions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to this file")
    settings = parser.parse_args(args)
    names = list(dict.fromkeys(settings.names)) or list(BENCHMARKS)
    if SCALE in names:
        measure_scale(names, settings)
        return
    if unknown := [name for name in names if name not in BENCHMARKS]:
        fail(f"there is no benchmark {unknown[0]!r}; choose from: {', '.join((*BENCHMARKS, SCALE))}")
    (count, *more) = settings.count
    if more:
        fail(f"--count: only {SCALE} takes several numbers")
    if count < 8 or settings.rounds < 1:
        fail(f"--count {count} --rounds {settings.rounds}: must be at least 8 and at least 1")
    if settings.json is not None and not settings.json.parent.is_dir():
        fail(f"--json {settings.json}: there is no folder {settings.json.parent}")
    try:
        results = report(names, settings.photos, count, settings.rounds)
        if settings.json is not None:
            from common.storage import write_json

            write_json(settings.json, results)
    except (OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, nor several with commas") from None


def measure_scale(names: Sequence[str], settings: argparse.Namespace) -> None:
    """The benchmark `scale`."""
    if len(names) > 1:
        fail(f"{SCALE} runs alone; name no other benchmark")
    if min(settings.count) < 8:
        fail(f"--count {','.join(map(str, settings.count))}: must be at least 8")
    from Miscellaneous_scripts.benchmarks import scale

    try:
        scale.report(settings.photos, settings.count, settings.out.resolve(), settings.keep, settings.long)
    except (OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the same command uses what was made again", code=130)


def list_of_benchmarks() -> str:
    """The end of --help: each benchmark with its unit, and below it what both ways do."""
    width = min(100, shutil.get_terminal_size().columns)
    lines = ["benchmarks, each with what is measured (this program | the plain way):"]
    for name, one in BENCHMARKS.items():
        about = textwrap.wrap(one.about, width, initial_indent=INDENT, subsequent_indent=INDENT)
        lines += [f"  {name} ({one.unit}, {one.better} is better)", *about]
    growth = "only if named: how the time and memory of build, plan and loading grow with the size of a database"
    lines += [f"  {SCALE} (s, MB)", *textwrap.wrap(growth, width, initial_indent=INDENT, subsequent_indent=INDENT)]
    return "\n".join(lines)


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, as the other scripts do."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def report(names: Sequence[str], photos: Path | None, count: int, rounds: int) -> dict[str, Any]:
    """Run the benchmarks and print their table; returns the results for --json."""
    from Miscellaneous_scripts.benchmarks.workspace import Workspace  # it imports torch

    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        work = Workspace(Path(folder), photos, count)
        results: dict[str, Any] = {"hardware": hardware(), "rows": []}
        print(", ".join(f"{key} {value}" for key, value in results["hardware"].items()))
        print(work.source)
        for name in names:
            try:
                results["rows"].append(measure(name, work, rounds))
            except Skip as reason:
                print(f"  skipped: {reason}")
    print_table(results["rows"])
    return results


def measure(name: str, work: Any, rounds: int) -> dict[str, Any]:
    """Measure both ways alternately; returns the row of the table."""
    import torch

    unit, better, prepare, about = BENCHMARKS[name]
    print(f"{name}: {about}", flush=True)
    threads = torch.get_num_threads()
    ways = {way: turn for way, turn in zip(("ours", "plain"), prepare(work)) if turn is not None}
    readings: dict[str, dict[str, list[float]]] = {}
    for n in range(rounds):
        print(f"  round {n + 1}/{rounds}:", end="", flush=True)
        for way, turn in ways.items():
            reading = turn()
            numbers = reading if isinstance(reading, Mapping) else {unit: reading}
            for key, value in numbers.items():
                readings.setdefault(key, {"ours": [], "plain": []})[way].append(value)
            print(f"  {way} {short(numbers[unit])}", end="", flush=True)
        print(f"  {unit}", flush=True)
    torch.set_num_threads(threads)  # some benchmarks take one
    row, *others = (summarise(name, key, **values) for key, values in readings.items())
    return {**row, "better": better, "photographs": work.source, **({"also": others} if others else {})}


def summarise(name: str, unit: str, ours: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Medians of both ways, their ratio, and all measurements; None if a way does not have this number."""
    our_median, plain_median = (statistics.median(numbers) if numbers else None for numbers in (ours, plain))
    ratio = our_median / plain_median if our_median is not None and plain_median is not None else None
    row = {"name": name, "unit": unit, "ours": our_median, "plain": plain_median, "ratio": ratio}
    return {**row, "rounds": len(ours), "ours_all": list(ours), "plain_all": list(plain)}


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the table. Lines without a name have further numbers of the benchmark above them."""
    lines = [("benchmark", "unit", "ours", "(min–max)", "plain", "(min–max)", "ours/plain", "better")]
    for row in rows:
        for line in (row, *row.get("also", ())):
            ours, plain = ((short(line[way]), spread(line[f"{way}_all"])) for way in ("ours", "plain"))
            name, better = (row["name"], row["better"]) if line is row else ("", "")
            ratio = "–" if line["ratio"] is None else f"{line['ratio']:.3g}"
            lines.append((name, line["unit"], *ours, *plain, ratio, better))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for cells in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def short(value: float | None) -> str:
    """A number with about three digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    return f"({short(min(values))}–{short(max(values))})" if values else ""


def hardware() -> dict[str, Any]:
    """The machine and the versions of the libraries."""
    import torch

    from common import devices

    libraries = ("torch", "datasets", "pyarrow", "pillow", "spacy", "numpy")
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {
        "cpu": devices.hardware(torch.device("cpu")),
        "cores": usable_cores(),
        "ram_gb": ram and round(ram / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in libraries},
    }


if __name__ == "__main__":
    main()
