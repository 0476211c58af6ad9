"""Measure our way against the plain way of doing the same thing, and tell the medians.

    python Miscellaneous_scripts/Benchmark.py                          all benchmarks, on pictures that it draws itself
    python Miscellaneous_scripts/Benchmark.py build --photos DIR       one of them, on photographs of Flickr8k

Machines are noisy and shared, so the two ways take turns within one run (A B A B ...): what slows one slows the other.
Every number has its smallest and largest beside it; the ratio is that of the medians.

A benchmark is one function: its name is the name on the command line, its docstring the help, and it prepares two
callables, ours and the plain one. Each returns one number, or a dict with that number under the benchmark's unit and
others to tell beside it. A benchmark that cannot run here raises Skip with the reason.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from Config import PRESETS, fail, usable_cores
from Scenes_lib import draw, make_scene, write_captions

PICTURES, CAPTIONS, TRAINING = "Flicker8k_Dataset", "Flickr8k.token.txt", "Flickr_8k.trainImages.txt"
PLAIN_SIDE = 224  # pixels, what an ImageNet backbone takes
POLL = 0.1  # seconds; reading /proc of 200 processes takes 5 ms
OPENINGS = 20  # in one turn: a single one takes milliseconds

Measure = Callable[[], float | Mapping[str, float]]


class Skip(Exception):
    """This benchmark cannot run here; the message says why."""


@dataclass(frozen=True)
class Benchmark:
    unit: str
    better: str
    """Which numbers are good: larger or smaller."""
    prepare: "Callable[[Workspace], tuple[Measure, Measure]]"

    @property
    def description(self) -> str:
        return " ".join((self.prepare.__doc__ or "").split())


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(unit: str, better: str) -> Callable[[Callable], Callable]:
    """Enter the function below in the table of benchmarks."""

    def enter(prepare: Callable) -> Callable:
        BENCHMARKS[prepare.__name__.replace("_", "-")] = Benchmark(unit, better, prepare)
        return prepare

    return enter


@benchmark("photographs/s", better="larger")
def build(work: "Workspace") -> tuple[Measure, Measure]:
    """Database_create.py | decode, pad to 224, PNG by `datasets`, nlp(caption); subprocesses, all cores"""
    small = max(1, work.count // 4)

    def rates(way: str) -> dict[str, float]:
        few, all_of_them = (work.build(way, count).seconds for count in (small, work.count))
        # The difference of two builds has no start-up in it: what a large build comes to.
        further = (work.count - small) / (all_of_them - few) if all_of_them > few else float("nan")
        return {"photographs/s": work.count / all_of_them, "without start-up": further}

    return lambda: rates("ours"), lambda: rates("plain")


@benchmark("bytes/photograph", better="smaller")
def bytes_(work: "Workspace") -> tuple[Measure, Measure]:
    """size of the whole database folder: our JPEG and parses | the plain one's PNG of 224 x 224 and parses"""

    def size(way: str) -> float:
        files = (path for path in work.database(way).rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files) / work.count

    return lambda: size("ours"), lambda: size("plain")


@benchmark("s", better="smaller")
def open_(work: "Workspace") -> tuple[Measure, Measure]:
    """open a database, imports done before: DataBase_functions.Database | datasets.load_from_disk"""
    from datasets import load_from_disk

    from DataBase_functions import Database

    def seconds(open_one: Callable[[Any], object], folder: Path | str) -> float:
        start = time.perf_counter()
        for _ in range(OPENINGS):
            open_one(folder)
        return (time.perf_counter() - start) / OPENINGS

    ours, plain = work.database("ours"), str(work.database("plain"))
    load_from_disk(plain)  # the first one imports more
    return lambda: seconds(Database, ours), lambda: seconds(load_from_disk, plain)


@benchmark("samples/s", better="larger")
def loader(work: "Workspace") -> tuple[Measure, Measure]:
    """preset finetune: 2 captions, 4 negatives, augmented picture | `datasets` row: resized picture, 1 caption"""
    from DataBase_functions import Database, PairDataset, make_loader
    from Tokenizer_lib import Tokenizer

    data, order = batches_of(work)
    database, settings = Database(work.database("ours")), PRESETS["finetune"][1]
    tokenizer = Tokenizer.build(database.word_counts, data.min_count)

    def ours() -> Iterator[Any]:
        # Made anew each time: an earlier pass would have left the captions read and their slots found.
        pairs = PairDataset(database, tokenizer, data, settings.negatives, settings.augment, seed=0)
        return iter(make_loader(pairs, database.rows("train"), 0, shuffle=True, device=torch_device())[0])

    plain = plain_batches(work, order)
    return paced(lambda: (len(batch.rows) for batch in ours())), paced(plain)


@benchmark("samples/s", better="larger")
def loader_plain_work(work: "Workspace") -> tuple[Measure, Measure]:
    """the same little work by both: Database.picture, prepare, text of 1 caption | `datasets` row as in loader"""
    import torch

    from DataBase_functions import Database, prepare

    data, order = batches_of(work)
    database = Database(work.database("ours"))

    def ours() -> Iterator[int]:
        texts = database.table.column("captions")
        for rows in order:
            batch = torch.stack([prepare(database.picture(row), data.side) for row in rows])
            yield len(batch) * all(texts[row][0]["text"].as_py() for row in rows)

    return paced(ours), paced(plain_batches(work, order))


@benchmark("MB", better="smaller")
def memory(work: "Workspace") -> tuple[Measure, Measure]:
    """peak memory of Database_create.py, its processes added up: all photographs | a quarter; 1 is no growth"""
    if not Path("/proc/self/status").is_file():
        raise Skip("memory is read from /proc, which this system does not have")

    def peak(count: int) -> dict[str, float]:
        peaks = work.build("ours", count, watch=True).peaks
        return {"MB": sum(peaks), "MB, largest process": max(peaks)}

    return lambda: peak(work.count), lambda: peak(max(1, work.count // 4))


def batches_of(work: "Workspace") -> tuple[Any, list[list[int]]]:
    """The preset finetune's data, in batches of 32 in this process, and the rows of each batch."""
    import torch

    from DataBase_functions import Database, EpochSampler

    torch.set_num_threads(1)  # as a loader process has
    data = replace(PRESETS["finetune"][1].data, workers=0, batch_pictures=32)
    rows = Database(work.database("ours")).rows("train")
    sampler = EpochSampler(rows, data.batch_pictures, seed=0, shuffle=True)
    return data, [[key.row for key in keys] for keys in sampler]


def plain_batches(work: "Workspace", order: Sequence[Sequence[int]]) -> Callable[[], Iterator[int]]:
    """Our own database read as anyone reads a folder of `datasets`: row by row, its Image column decoded."""
    import torch
    from datasets import load_from_disk

    dataset = load_from_disk(str(work.database("ours")))
    size = (PRESETS["finetune"][1].data.side,) * 2

    def batches() -> Iterator[int]:
        for rows in order:
            pictures, texts = [], []
            for row in rows:
                photograph = dataset[row]
                picture = photograph["image"].convert("RGB").resize(size, Image.Resampling.BICUBIC)
                pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
                texts.append(photograph["captions"][0]["text"])
            yield len(torch.stack(pictures)) * all(texts)

    return batches


def paced(batches: Callable[[], Iterable[int]]) -> Measure:
    """Samples a second of one pass, after one that imports what it needs and fills the page cache."""
    sum(batches())

    def rate() -> float:
        start = time.perf_counter()
        return sum(batches()) / (time.perf_counter() - start)

    return rate


def torch_device() -> Any:
    import torch

    return torch.device("cpu")


# Photographs and builds


class Build(NamedTuple):
    seconds: float
    peaks: list[float]
    """MB that each process held at most, if it was watched."""


class Workspace:
    """A temporary folder with the photographs, and with the databases that are built of them."""

    def __init__(self, folder: Path, photos: Path | None, count: int):
        from Database_create import find_pipeline

        self.folder, self.count, self.pipeline = folder, count, find_pipeline()
        if photos is None:
            self.source = f"{count} drawn scenes with grain, JPEG of 640 x 480"
            draw_photographs(self.photographs(count, made=False), count)
        else:
            self.source = f"{count} photographs of {photos}"
            copy_evenly(photos, self.photographs(count, made=False), count)

    def photographs(self, count: int, made: bool = True) -> Path:
        """The folder with `count` of the photographs, evenly chosen."""
        folder = self.folder / f"photographs-{count}"
        if made and not folder.is_dir():
            copy_evenly(self.photographs(self.count), folder, count)
        return folder

    def database(self, way: str) -> Path:
        """What a way built last of all photographs; it is built if that was not measured."""
        folder = self._target(way, self.count) / "bench"
        if not folder.is_dir():
            self.build(way, self.count)
        return folder

    def _target(self, way: str, count: int) -> Path:
        return self.folder / f"{way}-{count}"

    def build(self, way: str, count: int, watch: bool = False) -> Build:
        """Build from nothing, in a process of its own: the imports of its libraries count."""
        photographs, target = self.photographs(count), self._target(way, count)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        command = [ROOT / "Database_create.py", "--name", "bench", "--root", target, "--flickr8k", photographs]
        if way == "plain":
            code = "import sys, Benchmark; Benchmark.plain_build(*sys.argv[1:])"
            command = ["-c", code, photographs, target, self.pipeline]
        print(f"  {way}: {count} photographs ...", end="\r", file=sys.stderr, flush=True)
        start = time.perf_counter()
        peaks = run([sys.executable, *map(str, command)], self.folder / "log.txt", watch)
        return Build(time.perf_counter() - start, peaks)


def run(command: Sequence[str], log: Path, watch: bool) -> list[float]:
    """Run a command, all its processes in a session of their own: they can be counted, and ended together."""
    peaks: dict[int, float] = {}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=Path(__file__).parent, start_new_session=True
        )
        try:
            while watch and process.poll() is None:
                peaks |= peaks_of_session(process.pid)
                time.sleep(POLL)
            status = process.wait()
        except BaseException:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            raise
    if status:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"status {status}"]
        fail(f"{' '.join(command[:3])} ... failed: {last[0]}", code=1)
    return list(peaks.values())


def peaks_of_session(session: int) -> dict[int, float]:
    """Process -> MB of memory that it held at most until now (VmHWM), for the processes of a session."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):  # it has ended meanwhile
            # The name in brackets may hold spaces; after it come state, parent, group and session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                lines = (folder / "status").read_text().splitlines()
                peaks[int(folder.name)] = int(next(s for s in lines if s.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    return peaks


def copy_evenly(source: Path, target: Path, count: int) -> None:
    """Copy `count` photographs of a folder in Flickr8k's format, evenly over their sorted names, and their lines."""
    if not (source / CAPTIONS).is_file() or not (source / PICTURES).is_dir():
        raise FileNotFoundError(f"{source} is no Flickr8k folder: it needs {PICTURES}/ and {CAPTIONS}")
    pictures = sorted((source / PICTURES).glob("*.jpg"))
    if len(pictures) < count:
        raise ValueError(f"{source} has {len(pictures)} photographs, fewer than --count {count}")
    chosen = [pictures[n * len(pictures) // count] for n in range(count)]
    (target / PICTURES).mkdir(parents=True)
    for picture in chosen:
        shutil.copy(picture, target / PICTURES)
    names = {picture.name for picture in chosen}
    for file in (source / CAPTIONS, *source.glob("Flickr_8k.*Images.txt")):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition("#")[0].strip() in names)
        (target / file.name).write_text(kept, encoding="utf-8")


def draw_photographs(target: Path, count: int) -> None:
    """Scenes in Flickr8k's format, of a photograph's size and with its grain: without it a PNG would be too small."""
    (target / PICTURES).mkdir(parents=True)
    captions, names = [], [f"{1_000_000 + seed}_scene.jpg" for seed in range(count)]
    for seed, name in enumerate(names):
        scene = make_scene(seed)
        grain = np.random.default_rng(seed).normal(0, 8, (480, 640, 3))
        pixels = np.asarray(draw(scene, 640).resize((640, 480))) + grain
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / PICTURES / name, quality=90)
        captions += [f"{name}#{number}\t{text}\n" for number, text in enumerate(write_captions(scene, seed))]
    (target / CAPTIONS).write_text("".join(captions), encoding="utf-8")
    (target / TRAINING).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def plain_build(photographs: str, target: str, pipeline: str) -> None:
    """The plain way to a database, as one would write it well with `datasets`, on as many processes as ours."""
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageColumn

    texts, numbers = List(Value("string")), List(Value("int32"))
    parse = {"text": Value("string"), "lemma": texts, "tag": texts, "head": numbers, "dep": texts}
    captions: dict[str, list[str]] = {}
    for line in (Path(photographs) / CAPTIONS).read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t", 1)
        captions.setdefault(name.partition("#")[0], []).append(text)
    pairs = [(str(Path(photographs) / PICTURES / name), found) for name, found in captions.items()]
    Dataset.from_generator(
        plain_rows,
        features=Features({"image": ImageColumn(), "captions": List(parse)}),
        cache_dir=str(Path(target) / "cache"),
        gen_kwargs={"pairs": pairs, "pipeline": [pipeline]},
        num_proc=usable_cores(),
    ).save_to_disk(str(Path(target) / "bench"))


def plain_rows(pairs: Sequence[tuple[str, list[str]]], pipeline: Sequence[str]) -> Iterator[dict[str, Any]]:
    import spacy

    nlp = spacy.load(pipeline[0])
    for path, captions in pairs:
        with Image.open(path) as image:
            picture = ImageOps.pad(image.convert("RGB"), (PLAIN_SIDE, PLAIN_SIDE), Image.Resampling.LANCZOS)
        rows = []
        for text in captions:
            doc = nlp(text)
            row = {"lemma": [t.lemma_ for t in doc], "tag": [t.tag_ for t in doc], "dep": [t.dep_ for t in doc]}
            rows.append({"text": text, **row, "head": [t.head.i for t in doc]})
        yield {"image": picture, "captions": rows}


# The report


def measure(name: str, work: Workspace, rounds: int) -> dict[str, Any]:
    """Both ways in turns; the row of the table."""
    chosen = BENCHMARKS[name]
    print(f"{name}: {chosen.description}", flush=True)
    ways = dict(zip(("ours", "plain"), chosen.prepare(work)))
    readings: dict[str, dict[str, list[float]]] = {}
    for n in range(rounds):
        for way, turn in ways.items():
            reading = turn()
            for unit, value in (reading if isinstance(reading, Mapping) else {chosen.unit: reading}).items():
                readings.setdefault(unit, {"ours": [], "plain": []})[way].append(value)
        now = readings[chosen.unit]
        told = ", ".join(f"{way} {short(values[-1])}" for way, values in now.items())
        print(f"  round {n + 1}/{rounds}: {told} {chosen.unit}", flush=True)
    row, *others = (summarise(name, unit, **values) for unit, values in readings.items())
    return {**row, "better": chosen.better, "photographs": work.source, **({"also": others} if others else {})}


def summarise(name: str, unit: str, ours: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Medians of both ways and their ratio, with all that they were made of."""
    medians = statistics.median(ours), statistics.median(plain)
    row = {"name": name, "unit": unit, "ours": medians[0], "plain": medians[1], "ratio": medians[0] / medians[1]}
    return {**row, "rounds": len(ours), "ours_all": list(ours), "plain_all": list(plain)}


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    lines = [("benchmark", "unit", "ours", "(min–max)", "plain", "(min–max)", "ours/plain", "better")]
    for row in rows:
        for line in (row, *row.get("also", ())):
            medians = [
                cell
                for way in ("ours", "plain")
                for cell in (short(line[way]), f"({short(min(line[f'{way}_all']))}–{short(max(line[f'{way}_all']))})")
            ]
            name = line["name"] if line is row else ""
            lines.append((name, line["unit"], *medians, f"{line['ratio']:.3g}", row["better"]))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def hardware() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    import Functions

    libraries = ("torch", "datasets", "pyarrow", "pillow", "spacy", "numpy")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "cpu": Functions.hardware(torch.device("cpu")),
        "cores": usable_cores(),
        "ram_gb": round(pages / 1e9, 1) or None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in libraries},
    }


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(message)


def main() -> None:
    table = "\n".join(f"  {name:18} {one.description} [{one.unit}]" for name, one in BENCHMARKS.items())
    parser = Parser(
        description=f"Our way against the plain way, in turns.\n\nnames (ours | plain):\n{table}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all of them if none is named")
    parser.add_argument("--photos", type=Path, metavar="DIR", help=f"folder with {PICTURES}/, {CAPTIONS} and its lists")
    parser.add_argument("--count", type=int, default=300, help="photographs used, 8 or more (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    args = parser.parse_args()
    for name in args.names:
        if name not in BENCHMARKS:
            fail(f"there is no benchmark {name!r}; choose from: {', '.join(BENCHMARKS)}")
    if args.count < 8 or args.rounds < 1:
        fail(f"--count {args.count} --rounds {args.rounds}: at least 8 photographs and 1 round")
    try:
        run_all(list(dict.fromkeys(args.names)) or list(BENCHMARKS), args)
    except (OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)


def run_all(names: Sequence[str], args: argparse.Namespace) -> None:
    from Functions import write_json

    rows, machine = [], hardware()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        work = Workspace(Path(folder), args.photos, args.count)
        print(work.source)
        for name in names:
            try:
                rows.append(measure(name, work, args.rounds))
            except Skip as reason:
                print(f"  skipped: {reason}")
    print_table(rows)
    if args.json is not None:
        write_json(args.json, {"hardware": machine, "rows": rows})


if __name__ == "__main__":
    main()
