"""Measure our way against the plain way of doing the same thing, in turns, and tell the medians.

    python Miscellaneous_scripts/Benchmark.py                        everything, on pictures that it draws itself
    python Miscellaneous_scripts/Benchmark.py build --photos DIR     one benchmark, on photographs of Flickr8k

Machines are noisy and shared: the two ways take turns (A B A B ...), so that what slows one slows the other. Beside
each median stand the smallest and the largest number; the ratio is that of the medians.

A benchmark is a function that prepares two callables, ours and the plain one; its docstring is its help. A callable
returns one number, or a dict that begins with it and tells others beside it (of these the other way may have none).
Skip says that it cannot run here.
"""

import argparse
import contextlib
import functools
import importlib.metadata
import itertools
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Config import PRESETS, NegativesConfig, fail, usable_cores
from Scenes_lib import draw, make_scene, write_captions

HERE = Path(__file__).resolve().parent
PICTURES, CAPTIONS, TRAINING = "Flicker8k_Dataset", "Flickr8k.token.txt", "Flickr_8k.trainImages.txt"
PLAIN_SIZE = (224, 224)  # what an ImageNet backbone takes
POLL = 0.1  # seconds between two looks at the memory of all processes; a look takes 2 ms
LEAST_FOR_DIFFERENCE = 200  # photographs; fewer are built in the seconds by which start-up varies
OPENINGS = 20  # in one turn: a single one takes milliseconds
PARSED = 1000  # captions that the plain way to a negative takes, evenly over all; ours takes all
DRAWING = 1.0  # seconds at least of one reading of negatives

Measure = Callable[[], float | Mapping[str, float]]


class Skip(Exception):
    """This benchmark cannot run here; the message says why."""


class Benchmark(NamedTuple):
    unit: str
    better: str  # larger or smaller
    prepare: "Callable[[Workspace], tuple[Measure, Measure]]"


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(name: str, unit: str, better: str) -> Callable[[Callable], Callable]:
    """Enter the function below in the table of benchmarks."""

    def enter(prepare: Callable) -> Callable:
        BENCHMARKS[name] = Benchmark(unit, better, prepare)
        return prepare

    return enter


@benchmark("build", "photographs/s", better="larger")
def building(work: "Workspace") -> tuple[Measure, Measure]:
    """Database_create.py | decode, pad to 224, PNG by `datasets`, nlp(caption); start-up included, all cores"""
    for way in ("ours", "plain"):
        work.build(way, 8)  # reads the libraries from the disk

    def rates(way: str) -> dict[str, float]:
        seconds, _ = work.build(way, work.count)
        rate = {"photographs/s": work.count / seconds}
        if work.count >= LEAST_FOR_DIFFERENCE:
            # The difference of two builds has no start-up in it: what a large build comes to.
            rate["start-up apart"] = (work.count - work.quarter) / (seconds - work.build(way, work.quarter)[0])
        return rate

    return lambda: rates("ours"), lambda: rates("plain")


@benchmark("bytes", "bytes/photograph", better="smaller")
def size_on_disk(work: "Workspace") -> tuple[Measure, Measure]:
    """the folder of the database without the plan: JPEG and parses | PNG of 224 x 224 and parses"""

    def size(way: str) -> float:
        folder = work.database(way)
        return (bytes_of(folder) - bytes_of(folder / "negatives")) / work.count

    return lambda: size("ours"), lambda: size("plain")


@benchmark("open", "s", better="smaller")
def opening(work: "Workspace") -> tuple[Measure, Measure]:
    """one opening after all imports: DataBase_functions.Database | datasets.load_from_disk"""
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


@benchmark("loader", "samples/s", better="larger")
def loading(work: "Workspace") -> tuple[Measure, Measure]:
    """preset finetune: augmented picture, 2 captions, 4 negatives | `datasets` row: resized picture, 1 caption"""
    import torch

    from DataBase_functions import Database, PairDataset, make_loader
    from Tokenizer_lib import Tokenizer

    data, order = batches_of(work)
    database, settings = Database(work.database("ours")), PRESETS["finetune"][1]
    tokenizer = Tokenizer.build(database.word_counts, data.min_count)

    pairs = PairDataset(database, tokenizer, data, settings.negatives, settings.augment, seed=0)

    def ours() -> Iterator[int]:
        batches, _ = make_loader(pairs, database.rows("train"), 0, shuffle=True, device=torch.device("cpu"))
        return (len(batch.rows) for batch in batches)

    return rate_of(ours), rate_of(plain_batches(work, order))


@benchmark("loader-plain-work", "samples/s", better="larger")
def loading_plain_work(work: "Workspace") -> tuple[Measure, Measure]:
    """the same work by both: Database.picture, prepare, text of 1 caption | `datasets` row as in loader"""
    import torch

    from DataBase_functions import Database, prepare

    data, order = batches_of(work)
    database = Database(work.database("ours"))

    def ours() -> Iterator[int]:
        texts = database.table.column("captions")
        for rows in order:
            batch = torch.stack([prepare(database.picture(row), data.side) for row in rows])
            yield len(batch) * all(texts[row][0]["text"].as_py() for row in rows)

    return rate_of(ours), rate_of(plain_batches(work, order))


@benchmark("negatives", "negatives/s", better="larger")
def drawing_negatives(work: "Workspace") -> tuple[Measure, Measure]:
    """one core: swaps drawn from the stored plan | nlp(caption) without ner, find_slots, swap of the fresh parse"""
    import torch

    from DataBase_functions import Database
    from Negative_draw import swap
    from Negative_map import Negative, Parse, find_slots
    from Negative_plan import Plan

    torch.set_num_threads(1)
    folder = work.database("ours")
    nlp, allowed = load_once(work.pipeline, exclude=("ner",)), Database(folder).word_counts
    turns = itertools.count()

    def rate(draw: Callable[[Any, random.Random], Negative | None], captions: Sequence[Any]) -> float:
        """Negatives a second, in whole passes over the captions; those that chance gives none take their time too."""
        rng, drawn, start = random.Random(next(turns)), 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < DRAWING:
            drawn += sum(draw(caption, rng) is not None for caption in captions)
        return drawn / seconds

    def ours() -> dict[str, float]:
        # A new plan in each turn: the time that it takes is told too, and nothing of an earlier turn is left.
        shutil.rmtree(folder / "negatives", ignore_errors=True)
        database, start = Database(folder), time.perf_counter()
        plan, mixture = Plan.open(database), NegativesConfig()
        seconds, captions = time.perf_counter() - start, range(len(plan))

        def rate_of_kind(kind: str) -> float:
            some = [caption for caption in captions if plan.has(kind, caption)]
            return rate(functools.partial(plan.draw_kind, kind), some)

        return {
            "negatives/s": rate_of_kind("swap"),
            "exchanges/s": rate_of_kind("exchange"),
            "mined/s": rate_of_kind("mined"),
            "mixture/s": rate(lambda caption, rng: plan.draw(caption, rng, mixture), captions),
            "s for a plan of 1,000": 1000 * seconds / len(plan),
            "bytes of it a caption": bytes_of(plan.folder) / len(plan),
        }

    def plain_swap(caption: str, rng: random.Random) -> Negative | None:
        parse = Parse.from_doc(nlp(caption))
        return swap(parse, find_slots(parse), rng, allowed=allowed)

    plan = Plan.open(Database(folder))
    count = min(PARSED, len(plan))
    parsed = [plan.text(n * len(plan) // count) for n in range(count)]
    rate(plain_swap, parsed[:100])  # reads the vocabulary
    return ours, lambda: {"negatives/s": rate(plain_swap, parsed)}


@benchmark("memory", "MB", better="smaller")
def memory(work: "Workspace") -> tuple[Measure, Measure]:
    """peak of Database_create.py, its processes added up: all photographs | a quarter of them; 1 is no growth"""
    if not Path("/proc/self/status").is_file():
        raise Skip("memory is read from /proc, which this system does not have")

    def peak(count: int) -> dict[str, float]:
        _, peaks = work.build("ours", count, watch=True)
        return {"MB": sum(peaks), "MB, largest process": max(peaks)}

    return lambda: peak(work.count), lambda: peak(work.quarter)


def batches_of(work: "Workspace") -> tuple[Any, list[list[int]]]:
    """The preset finetune's data, but read in this process, 32 at a time; and the rows of each batch."""
    import torch

    from DataBase_functions import Database, EpochSampler

    torch.set_num_threads(1)  # as a loader process has
    data = replace(PRESETS["finetune"][1].data, workers=0, batch_pictures=32)
    rows = Database(work.database("ours")).rows("train")
    return data, [[key.row for key in keys] for keys in EpochSampler(rows, data.batch_pictures, seed=0, shuffle=True)]


def plain_batches(work: "Workspace", order: Sequence[Sequence[int]]) -> Callable[[], Iterator[int]]:
    """Our own database read as anyone reads a folder of `datasets`: row by row, its Image column decoded."""
    import torch
    from datasets import load_from_disk

    dataset = load_from_disk(str(work.database("ours")))

    def batches() -> Iterator[int]:
        for rows in order:
            pictures, texts = [], []
            for row in rows:
                photograph = dataset[row]
                picture = photograph["image"].convert("RGB").resize(PLAIN_SIZE, Image.Resampling.BICUBIC)
                pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
                texts.append(photograph["captions"][0]["text"])
            yield len(torch.stack(pictures)) * all(texts)

    return batches


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rate_of(batches: Callable[[], Iterable[int]]) -> Measure:
    """Samples a second of one pass, after one that imports what it needs and fills the page cache."""
    sum(batches())

    def rate() -> float:
        start = time.perf_counter()
        return sum(batches()) / (time.perf_counter() - start)

    return rate


# Photographs, and databases of them


class Workspace:
    """A temporary folder with the photographs, and with the databases that are built of them."""

    def __init__(self, folder: Path, photos: Path | None, count: int):
        from Database_units import find_pipeline

        self.folder, self.count, self.quarter, self.pipeline = folder, count, count // 4, find_pipeline()
        self.source = f"{count} photographs of {photos}" if photos else f"{count} drawn scenes, 640 x 480, with grain"
        self.all = photos or folder / f"photographs-{count}"
        if photos is None:
            draw_photographs(self.all, count)
        self.photographs(count)

    def photographs(self, count: int) -> Path:
        """A folder with so many of them."""
        folder = self.folder / f"photographs-{count}"
        if not folder.is_dir():
            copy_evenly(self.all, folder, count)
        return folder

    def database(self, way: str) -> Path:
        """What a way built last of all photographs; it is built if no benchmark did."""
        folder = self.folder / f"{way}-{self.count}" / "bench"
        if not folder.is_dir():
            self.build(way, self.count)
        return folder

    def build(self, way: str, count: int, watch: bool = False) -> tuple[float, list[float]]:
        """Build from nothing, in a process of its own; returns the seconds, and with `watch` the MB of each process."""
        photographs, target = self.photographs(count), self.folder / f"{way}-{count}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        command = [HERE.parent / "Database_create.py", "--name", "bench", "--root", target, "--flickr8k", photographs]
        command.append("--no-negatives")  # the plain way has none; what they cost is told by "negatives"
        if way == "plain":
            code = "import sys, Benchmark; Benchmark.plain_build(*sys.argv[1:])"
            command = ["-c", code, photographs, target, self.pipeline]
        start = time.perf_counter()
        peaks = run([sys.executable, *map(str, command)], self.folder / "log.txt", watch)
        return time.perf_counter() - start, peaks


def run(command: Sequence[str], log: Path, watch: bool) -> list[float]:
    """Run a command, its processes in a session of their own: so they can be counted, and ended together."""
    peaks: dict[int, float] = {}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=HERE, start_new_session=True)
    try:
        while watch and process.poll() is None:
            peaks |= peaks_of_session(process.pid)
            time.sleep(POLL)
        status = process.wait()
    except BaseException:
        with contextlib.suppress(AttributeError, ProcessLookupError):  # Windows has no groups
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        raise
    if status:
        told = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"status {status}"]
        fail(f"{' '.join(command[1:3])} ... failed: {told[0]}", code=1)
    return list(peaks.values())


def peaks_of_session(session: int) -> dict[int, float]:
    """Process -> MB that it has held at most (VmHWM), for the processes of a session."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):  # it has ended meanwhile
            # The name, in brackets, may hold spaces; after it come state, parent, group and session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                lines = (folder / "status").read_text().splitlines()
                peak = next(line for line in lines if line.startswith("VmHWM"))
                peaks[int(folder.name)] = int(peak.split()[1]) * 1024 / 1e6
    return peaks


def copy_evenly(source: Path, target: Path, count: int) -> None:
    """Copy `count` photographs of a folder in Flickr8k's format, evenly over their sorted names, and their lines."""
    if not (source / CAPTIONS).is_file() or not (source / PICTURES).is_dir():
        raise FileNotFoundError(f"{source} is no folder of Flickr8k: it needs {PICTURES}/ and {CAPTIONS}")
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
    parse = {"text": Value("string"), "lemma": texts, "tag": texts, "dep": texts, "head": numbers}
    captions: dict[str, list[str]] = {}
    for line in (Path(photographs) / CAPTIONS).read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t", 1)
        captions.setdefault(name.partition("#")[0], []).append(text)
    Dataset.from_generator(
        plain_rows,
        features=Features({"image": ImageColumn(), "captions": List(parse)}),
        cache_dir=str(Path(target) / "cache"),
        gen_kwargs={"folder": Path(photographs) / PICTURES, "captions": [*captions.items()], "pipeline": pipeline},
        num_proc=usable_cores(),
    ).save_to_disk(str(Path(target) / "bench"))


def plain_rows(folder: Path, captions: Sequence[tuple[str, list[str]]], pipeline: str) -> Iterator[dict[str, Any]]:
    """Rows of some photographs; `datasets` deals them out to its processes one by one."""
    nlp = load_once(pipeline)
    for name, texts in captions:
        with Image.open(folder / name) as image:
            picture = ImageOps.pad(image.convert("RGB"), PLAIN_SIZE, Image.Resampling.LANCZOS)
        rows = []
        for text in texts:
            doc = nlp(text)
            row = {"lemma": [t.lemma_ for t in doc], "tag": [t.tag_ for t in doc], "dep": [t.dep_ for t in doc]}
            rows.append({"text": text, **row, "head": [t.head.i for t in doc]})
        yield {"image": picture, "captions": rows}


@functools.cache
def load_once(pipeline: str, exclude: tuple[str, ...] = ()) -> Any:
    import spacy

    return spacy.load(pipeline, exclude=exclude)


# The report


def measure(name: str, work: Workspace, rounds: int) -> dict[str, Any]:
    """Both ways in turns; the row of the table."""
    unit, better, prepare = BENCHMARKS[name]
    print(f"{name}: {prepare.__doc__}", flush=True)
    ways = dict(zip(("ours", "plain"), prepare(work)))
    readings: dict[str, dict[str, list[float]]] = {}
    for n in range(rounds):
        print(f"  round {n + 1}/{rounds}:", end="", flush=True)
        for way, turn in ways.items():
            reading = turn()
            told = reading if isinstance(reading, Mapping) else {unit: reading}
            for key, value in told.items():
                readings.setdefault(key, {"ours": [], "plain": []})[way].append(value)
            print(f"  {way} {short(told[unit])}", end="", flush=True)
        print(f"  {unit}", flush=True)
    row, *others = (summarise(name, key, **values) for key, values in readings.items())
    return {**row, "better": better, "photographs": work.source, **({"also": others} if others else {})}


def summarise(name: str, unit: str, ours: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Medians of both ways and their ratio, with all that they were made of; None for what one way has none of."""
    our_median, plain_median = (statistics.median(numbers) if numbers else None for numbers in (ours, plain))
    ratio = our_median / plain_median if our_median is not None and plain_median is not None else None
    row = {"name": name, "unit": unit, "ours": our_median, "plain": plain_median, "ratio": ratio}
    return {**row, "rounds": len(ours), "ours_all": list(ours), "plain_all": list(plain)}


def short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    return f"({short(min(values))}–{short(max(values))})" if values else ""


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
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


def hardware() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    import Functions

    libraries = ("torch", "datasets", "pyarrow", "pillow", "spacy", "numpy")
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {
        "cpu": Functions.hardware(torch.device("cpu")),
        "cores": usable_cores(),
        "ram_gb": ram and round(ram / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def report(names: Sequence[str], photos: Path | None, count: int, rounds: int) -> dict[str, Any]:
    """Run the benchmarks and print their table; returns what --json writes."""
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


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(message)


def main() -> None:
    helps = "\n".join(f"  {name:18} {one.prepare.__doc__} [{one.unit}]" for name, one in BENCHMARKS.items())
    parser = Parser(
        description=f"Measure our way against the plain way, in turns.\n\nnames (ours | plain):\n{helps}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all if none is named")
    parser.add_argument("--photos", type=Path, metavar="DIR", help=f"folder with {PICTURES}/, {CAPTIONS} and its lists")
    parser.add_argument("--count", type=int, default=300, help="photographs used, 8 or more (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    args = parser.parse_args()
    names = list(dict.fromkeys(args.names)) or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        fail(f"there is no benchmark {unknown[0]!r}; choose from: {', '.join(BENCHMARKS)}")
    if args.count < 8 or args.rounds < 1:
        fail(f"--count {args.count} --rounds {args.rounds}: at least 8 photographs and 1 round")
    if args.json is not None and not args.json.parent.is_dir():
        fail(f"--json {args.json}: there is no folder {args.json.parent}")
    try:
        results = report(names, args.photos, args.count, args.rounds)
        if args.json is not None:
            from Functions import write_json

            write_json(args.json, results)
    except (OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)


if __name__ == "__main__":
    main()
