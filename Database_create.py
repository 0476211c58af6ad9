"""Build a database: raw pictures and captions -> Arrow files, with every caption parsed once.

    python Database_create.py                                            draws the embedded Scenes -> Database/scenes
    python Database_create.py --name photos --coco DIR --flickr30k DIR   -> Database/photos
    python Database_create.py --name photos --reparse                    parses the captions of Database/photos anew

Three steps: the readers' items are joined by photograph (`sources.intake`); units of 100 photographs are worked on by
all processes, pictures and texts apart; then copies are joined, splits assigned, and rows written from the units.

A build that was killed at any moment goes on where it was: the same command finds the finished units
(`sources.units`) and makes the others. `--reparse` makes units of texts from the rows of the finished database, and
writes its rows again with them.
`datasets.load_from_disk` and pyarrow both open the result, memory-mapped. Beside the Arrow files lie `manifest.json`
(what went in, what was left out and why, versions, hashes) and `word_counts.json` (words of the training captions).
The same input gives the same bytes, whatever the number of workers, the engine, and how often it was interrupted.
"""

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import platform
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.jobs import EngineError, progress, run_jobs
from common.pictures import Fingerprints
from common.storage import DATABASE_FORMAT, PARSE_FORMAT, SPLITS
from Config import DatabaseConfig, fail, read_command_line, require
from sources.intake import Intake
from sources.readers import LeftOut, open_sources
from sources.units import (
    PictureUnit,
    TextUnit,
    Unit,
    database_features,
    find_pipeline,
    read_arrow,
    stored_texts,
)
from Tokenizer_lib import split_words

ROWS_PER_UNIT = 100  # about 2 MB and half a second of work: what is lost when a build is killed
ROWS_PER_FILE = 1000  # about 20 MB at the usual size of pictures
MISMATCH = "mismatch"  # kind, in the manifest, of texts that are not true
WORD_COUNTS = "word_counts.json"
BYTES_PER_FILE = 64_000_000  # the memory that writing takes, and far from the 2 GB that one batch can hold
PICTURE_CACHES = "features"  # subfolder that a training makes; what lies there depends on the pictures alone


def main() -> None:
    try:
        settings = read_command_line(DatabaseConfig, "Build a database of pictures and parsed captions.")
        pipeline = find_pipeline()
        with new_folder(settings.folder, settings.overwrite or settings.reparse, settings.reparse) as building:
            make = reparse if settings.reparse else build
            manifest, seconds = make(building, settings, pipeline)
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        fail(str(error))
    except filelock.Timeout:
        fail(f"another build of {settings.folder} is running; wait for it, or choose another --name")
    except EngineError as error:
        fail(f"{error}{what_is_left(settings.folder)}")
    except BrokenProcessPool:
        told = "a worker process was killed, most likely for its memory; use fewer: --workers 1"
        fail(f"{told}{what_is_left(settings.folder)}")
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, an unreadable folder
        fail(f"cannot read or write: {error}{what_is_left(settings.folder)}")
    except KeyboardInterrupt:
        fail(f"interrupted{what_is_left(settings.folder)}", code=130)
    if settings.reparse:
        captions = count_captions(manifest)
        print(f"{captions:,} captions were parsed anew with {manifest['versions']['pipeline']}")
        print_rate(settings.folder, captions, "captions", seconds)
    else:
        print_summary(settings.folder, manifest, seconds)
    if settings.negatives:
        plan_negatives(settings.folder)


def plan_negatives(folder: Path) -> None:
    """Work out the hard negatives now, so that training need not wait for them."""
    from DataBase_functions import Database  # it imports torch: 1.4 s that nothing else here needs

    started = time.perf_counter()
    try:
        plan = Database(folder).plan
    except KeyboardInterrupt:
        fail(f"interrupted; {folder} is whole, and its negatives are worked out at their first use", code=130)
    except OSError as error:
        fail(f"cannot write: {error}; {folder} is whole, and its negatives are worked out at their first use")
    shares = ", ".join(f"{kind} for {share:.1%}" for kind, share in plan.facts["share_with"].items())
    print(f"hard negatives of {len(plan):,} captions: {shares} ({time.perf_counter() - started:.0f} s)")


def what_is_left(folder: Path) -> str:
    """What a build that failed leaves, in words that follow the reason."""
    folder = folder.resolve()
    with contextlib.suppress(OSError):  # a folder that cannot be read holds nothing of use
        older = f"; {folder} is as it was" if folder.exists() else ""
        units = any(_building(folder).glob("units/*.arrow"))
        return older + ("; the same command goes on from the part that is done" if units else "")
    return ""


def _building(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.building")


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool, same_pictures: bool = False) -> Iterator[Path]:
    """Yield a hidden folder to work in; when the block ends well, its subfolder `database` becomes `folder`.

    Until then an older database stays valid. If the block ends badly, or the process is killed, the finished units
    stay there for the next try. A database that was set aside when a build was killed between the two renames is put
    back. What trainings cached of its pictures comes along if the new one has the same pictures.
    filelock.Timeout if another process is building the same one.
    """
    folder = folder.resolve()  # where a link leads to, there is room for it
    building, aside = _building(folder), folder.with_name(f".{folder.name}.aside")
    root_is_new = not folder.parent.exists()
    building.mkdir(parents=True, exist_ok=True)
    units_are_of_use = True
    with filelock.FileLock(building / "lock", timeout=0):
        try:
            _put_back(aside, folder)
            if aside.exists():  # a build was killed after the second rename
                _discard(aside, folder, same_pictures)
            if folder.exists() and not overwrite:
                rest = f" ({building} holds units of another build)" if any(building.glob("units/*.arrow")) else ""
                fail(f"{folder} is already there{rest}; replace it with --overwrite, or choose another --name")
            if folder.exists() and not (folder / "manifest.json").is_file():
                fail(f"{folder} is no database of this program, so it is left alone; choose another --name")
            if (building / "database").exists():
                shutil.rmtree(building / "database")
            for part in ("units", "database"):
                (building / part).mkdir(exist_ok=True)
            for half_written in (building / "units").glob("*.part"):
                half_written.unlink()
            yield building
            if folder.exists():
                folder.replace(aside)
            (building / "database").replace(folder)
            units_are_of_use = False
        except NothingUsable:
            units_are_of_use = False
            raise
        finally:
            _put_back(aside, folder)
            _discard(aside, folder, same_pictures)
            if not units_are_of_use or not any((building / "units").glob("*.arrow")):
                shutil.rmtree(building, ignore_errors=True)
            if root_is_new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()


class NothingUsable(ValueError):
    """Of all that the sources hold not one photograph can be stored."""


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists() and not folder.exists():
        aside.replace(folder)


def _discard(aside: Path, folder: Path, same_pictures: bool) -> None:
    """Remove a database that was set aside, but for what its successor can use."""
    caches = aside / PICTURE_CACHES
    if same_pictures and caches.exists() and not (folder / PICTURE_CACHES).exists():
        caches.replace(folder / PICTURE_CACHES)
    shutil.rmtree(aside, ignore_errors=True)


def build(building: Path, settings: DatabaseConfig, pipeline: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Make `building`/database; returns the manifest, and the seconds of each step."""
    seconds: dict[str, float] = {}
    with contextlib.closing(Intake(building / "intake.sqlite")) as intake:
        with stopwatch(seconds, "read"):
            take_in(intake, settings)
        with stopwatch(seconds, "pictures and texts"):
            units = make_units(intake, building / "units", settings, pipeline)
        with stopwatch(seconds, "copies"):
            find_copies(intake, units)
        with stopwatch(seconds, "write"):
            content = write_rows(building / "database", intake, units)
            manifest = describe(settings, pipeline, intake, content)
            write_companions(building / "database", manifest, intake.left_out(), content.words)
    return manifest, seconds


def reparse(building: Path, settings: DatabaseConfig, pipeline: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Make `building`/database from the finished one: captions are parsed anew, all else stays as it is."""
    seconds: dict[str, float] = {}
    old, left_out = read_manifest(settings.folder)
    files = {settings.folder / name: file["rows"] for name, file in old["files"].items()}
    with stopwatch(seconds, "texts"):
        units = make_text_units(files, count_captions(old), building / "units", settings, pipeline)
    with stopwatch(seconds, "write"):
        written = write_new_parses(building / "database", units, sum(files.values()))
        manifest = old | identify(written, pipeline) | {"files": written}
        # These are those of the pictures.
        manifest["picture_fingerprint"] = old.get("picture_fingerprint", old["fingerprint"])
        manifest["versions"]["pillow"] = old["versions"]["pillow"]
        words = json.loads((settings.folder / WORD_COUNTS).read_text(encoding="utf-8"))
        write_companions(building / "database", manifest, left_out, words)
    return manifest, seconds


def read_manifest(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest of a finished database, whatever the format of its parses; its list of what was left out apart."""
    if not (folder / "manifest.json").is_file():
        raise FileNotFoundError(f"no database at {folder}; {DatabaseConfig.how_to_build(folder)}")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found = manifest.get("format", 1)
    mend = DatabaseConfig.how_to_build(folder, "--overwrite")
    require(
        found == DATABASE_FORMAT, f"{folder} has database format {found}, this version reads {DATABASE_FORMAT}; {mend}"
    )
    return manifest, manifest.pop("left_out")


def count_captions(manifest: Mapping[str, Any]) -> int:
    """Texts that have a parse."""
    kinds = (source["kinds"].items() for source in manifest["sources"].values())
    return sum(n for kind, n in itertools.chain(*kinds) if kind != MISMATCH)


@contextlib.contextmanager
def stopwatch(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def take_in(intake: Intake, settings: DatabaseConfig) -> None:
    """Read all sources, and find out which photographs there are."""
    for source, items in open_sources(settings).items():
        intake.add_source(source)
        for item in items:
            intake.add(source, item)
    intake.join()
    intake.official_splits(None if settings.hold_out is None else Path(settings.hold_out))


class Units(NamedTuple):
    """The finished units of one chunk of photographs."""

    ranks: range
    pictures: Path
    texts: Path


def make_units(intake: Intake, folder: Path, settings: DatabaseConfig, pipeline: str) -> list[Units]:
    """Work on all pictures and texts, at the same time on all processes; memory holds a few units at once."""
    units: list[Units] = []

    def in_order() -> Iterator[Unit]:
        folder_everywhere = folder.resolve()  # nodes of a cluster have other working directories
        for photographs in intake.chunks(ROWS_PER_UNIT):
            picture_unit = PictureUnit.of(folder_everywhere, photographs, settings)
            text_unit = TextUnit.of(folder_everywhere, (photograph.texts for photograph in photographs), pipeline)
            ranks = range(photographs[0].rank, photographs[-1].rank + 1)
            units.append(Units(ranks, picture_unit.path, text_unit.path))
            yield from (picture_unit, text_unit)

    run_units(in_order(), {PictureUnit: intake.count("photographs"), TextUnit: intake.count("texts")}, settings)
    return units


def make_text_units(
    files: Iterable[Path], captions: int, folder: Path, settings: DatabaseConfig, pipeline: str
) -> dict[Path, list[Path]]:
    """Parse the captions of finished Arrow files; returns the units of each file."""
    units: dict[Path, list[Path]] = {}

    def in_order() -> Iterator[Unit]:
        for file in files:
            rows = read_arrow(file)
            units[file] = []
            for start in range(0, rows.num_rows, ROWS_PER_UNIT):
                texts = stored_texts(rows.slice(start, ROWS_PER_UNIT))
                unit = TextUnit.of(folder.resolve(), texts, pipeline)
                units[file].append(unit.path)
                yield unit

    run_units(in_order(), {TextUnit: captions}, settings)
    return units


def run_units(units: Iterable[Unit], totals: Mapping[type[Unit], int], settings: DatabaseConfig) -> None:
    """Make the units that are not done, on all processes, with a bar for each kind of them."""
    bars = {
        kind: progress(None, kind.what, f" {kind.what}", total, position=position, delay=0)
        for position, (kind, total) in enumerate(totals.items())
    }
    done_before = Counter[type[Unit]]()

    def jobs() -> Iterator[Unit]:
        for unit in units:
            if unit.path.exists():
                done_before[type(unit)] += unit.size
                bars[type(unit)].initial += unit.size  # it counts for the bar, not for the rate
                bars[type(unit)].update(unit.size)
            else:
                yield unit

    with contextlib.ExitStack() as open_bars:
        for bar in bars.values():
            open_bars.enter_context(bar)
        for unit, _ in run_jobs(jobs(), settings.engine, settings.workers):
            bars[type(unit)].update(unit.size)
    if done_before:
        told = " and ".join(f"{done_before[kind]:,} {kind.what}" for kind in totals)
        print(f"{told} had been done by an earlier try")


def find_copies(intake: Intake, units: Sequence[Units]) -> None:
    """Note the pictures that cannot be used, and join the photographs that are the same picture."""
    ranks, bits, colours = [], [], []
    for unit in progress(units, "compare pictures", " units"):
        table = read_arrow(unit.pictures).select(["bits", "colours", "problems", "source"])
        for rank, row in zip(unit.ranks, table.to_pylist()):
            if row["source"] is None:
                intake.lose(rank, {problem["source"]: problem["reason"] for problem in reversed(row["problems"])})
            else:
                for problem in row["problems"]:
                    intake.leave_out(problem["source"], LeftOut("copy", problem["where"], problem["reason"]))
            if row["bits"] is not None:
                ranks.append(rank)
                bits.append(row["bits"])
                colours.append(row["colours"])
    if not ranks:
        intake.join_copies([])
        return
    fingerprints = Fingerprints(
        np.frombuffer(b"".join(bits), np.uint8).reshape(len(bits), -1),
        np.frombuffer(b"".join(colours), np.uint8).reshape(len(bits), -1),
    )
    place = {rank: i for i, rank in enumerate(ranks)}
    intake.join_copies(
        ((ranks[i], ranks[j]) for i, j in fingerprints.links()),
        lambda first, second: fingerprints.distance(place[first], place[second]),
    )


# Rows


@dataclass
class Content:
    """What was written."""

    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, kind of text) -> texts; the kind of those that are not true is MISMATCH."""
    picture_bytes: Counter[str] = field(default_factory=Counter)
    """Source -> bytes of its stored pictures."""
    words: Counter[str] = field(default_factory=Counter)
    """Words of the training captions."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arrow file -> rows, bytes, sha256."""

    def count(self, batch: pa.RecordBatch) -> None:
        for name, size in zip(batch["source"].to_pylist(), pc.binary_length(batch["image"].field("bytes")).to_pylist()):
            self.picture_bytes[name] += size
        for column, kind in (("captions", None), ("mismatches", MISMATCH)):
            texts = batch[column].flatten()
            self.kinds.update(
                (source, kind or own) for source, own in zip(*(texts.field(f).to_pylist() for f in ("source", "kind")))
            )
        training = batch.filter(pc.equal(batch["split"], "train"))["captions"].flatten()
        for text in training.field("text").to_pylist():
            self.words.update(word.text for word in split_words(text))


def write_rows(folder: Path, intake: Intake, units: Sequence[Units]) -> Content:
    """Write the rows of all photographs as Arrow files, in their order."""
    schema = database_features().arrow_schema
    content, files = Content(), ArrowFiles(folder, schema)
    with progress(None, "write", " photographs", intake.count("photographs")) as bar:
        for unit in units:
            batch = make_rows(unit, units, intake, schema)
            files.write(batch)
            content.count(batch)
            bar.update(len(unit.ranks))
    files.flush()
    content.files = files.describe()
    return content


def make_rows(unit: Units, units: Sequence[Units], intake: Intake, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of the database from one finished unit, with the texts of guests from wherever they are."""
    rows = intake.rows(unit.ranks[0], unit.ranks[-1])
    places = pa.array([row.rank - unit.ranks[0] for row in rows], pa.int32())
    pictures, texts = (read_arrow(path).take(places) for path in (unit.pictures, unit.texts))
    columns = {
        "split": pa.array([row.split for row in rows], pa.string()),
        "group": pa.array([row.group for row in rows], pa.string()),
        **{name: pictures[name].combine_chunks() for name in ("image", "image_id", "source", "scene")},
        **{name: texts[name].combine_chunks() for name in ("captions", "mismatches")},
    }
    if any(row.guests for row in rows):
        for name in ("captions", "mismatches"):
            lists = columns[name].to_pylist()
            for own, row in zip(lists, rows):
                for guest in row.guests:
                    own += texts_of_guest(guest, name, units, intake)
            columns[name] = pa.array(lists, schema.field(name).type)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def texts_of_guest(rank: int, column: str, units: Sequence[Units], intake: Intake) -> list[dict[str, Any]]:
    """Texts of a photograph that is the same picture as its host, without those that the host has."""
    unit = units[(rank - 1) // ROWS_PER_UNIT]
    texts = read_arrow(unit.texts)[column][rank - unit.ranks[0]].as_py()
    kept = [keep for matches, keep in intake.kept_texts(rank) if matches == (column == "captions")]
    return list(itertools.compress(texts, kept))


def write_new_parses(folder: Path, units: Mapping[Path, Sequence[Path]], total: int) -> dict[str, dict[str, Any]]:
    """Write the rows of finished Arrow files again, file by file, with the captions of other units."""
    schema = database_features().arrow_schema
    files = ArrowFiles(folder, schema)
    with progress(None, "write", " photographs", total) as bar:
        for file, its_units in units.items():
            rows = read_arrow(file)
            captions = pa.concat_tables(map(read_arrow, its_units))["captions"]
            columns = [captions if name == "captions" else rows[name] for name in schema.names]
            (batch,) = pa.Table.from_arrays(columns, schema=schema).combine_chunks().to_batches()
            files.write(batch)
            files.flush()  # files end where they ended
            bar.update(rows.num_rows)
    return files.describe()


class ArrowFiles:
    """Writes rows to Arrow stream files of about ROWS_PER_FILE rows, named as `datasets` does.

    A file ends earlier where pictures are large. It holds one record batch: opening a database reads the head of each
    batch, and 1,760 batches of 100 rows took 0.7 s from a cold disk.
    """

    def __init__(self, folder: Path, schema: pa.Schema):
        self.folder, self.schema = folder, schema
        self.rows: list[int] = []
        self.waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self.waiting.append(batch)
        rows, size = (sum(getattr(part, what) for part in self.waiting) for what in ("num_rows", "nbytes"))
        if rows >= ROWS_PER_FILE or size >= BYTES_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what waits for more rows."""
        table = pa.Table.from_batches(self.waiting, self.schema).combine_chunks()
        self.waiting = []
        if table.num_rows:
            with pa.ipc.new_stream(str(self.folder / f"{len(self.rows)}.part"), self.schema) as stream:
                stream.write_table(table)
            self.rows.append(table.num_rows)

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


def describe(settings: DatabaseConfig, pipeline: str, intake: Intake, content: Content) -> dict[str, Any]:
    """The manifest but for its list of what was left out: settings, versions, counts that add up, and hashes.

    It holds nothing that differs between two builds of the same input, such as times or the number of workers.
    """
    if not content.files:
        told = "; ".join(f"{reason} ({n:,})" for reason, n in intake.reasons()) or "the folders are empty"
        raise NothingUsable(f"not one photograph with a caption can be used: {told}")
    sources = {
        source: {
            **intake.account(source, sum(n for (name, _), n in content.kinds.items() if name == source)),
            "splits": intake.splits(source),
            "kinds": {kind: n for (name, kind), n in sorted(content.kinds.items()) if name == source},
            "picture_bytes": content.picture_bytes[source],
        }
        for source in intake.names
    }
    splits = intake.splits()
    assert sum(splits.values()) == sum(file["rows"] for file in content.files.values()), "every photograph has a row"
    return {
        **identify(content.files, pipeline),
        "name": settings.name,
        "settings": settings.shaping,
        "splits": splits,
        "sources": sources,
        "overlaps": intake.overlaps,
        "held_out": intake.held_out,
        "files": content.files,
        "notes": intake.notes + [f"the {split} split is empty" for split in SPLITS if not splits[split]],
    }


def identify(files: Mapping[str, Mapping[str, Any]], pipeline: str) -> dict[str, Any]:
    """What the manifest tells of the Arrow files and of the program that wrote them."""
    fingerprint = hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest()
    return {
        "format": DATABASE_FORMAT,
        "parse_format": PARSE_FORMAT,
        "fingerprint": fingerprint,
        "picture_fingerprint": fingerprint,
        "versions": {
            "python": platform.python_version(),
            "pipeline": f"{pipeline} {importlib.metadata.version(pipeline)}",
            **{name: importlib.metadata.version(name) for name in ("spacy", "pillow", "pyarrow", "datasets")},
        },
    }


def write_companions(
    folder: Path, manifest: Mapping[str, Any], left_out: Iterable[Mapping[str, Any]], words: Mapping[str, int]
) -> None:
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
        # For our own reader, so that opening a database need not read a manifest that may be long.
        **{key: manifest[key] for key in ("format", "parse_format", "fingerprint", "picture_fingerprint")},
    }
    by_frequency = dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))
    for name, content in (("state.json", state), (WORD_COUNTS, by_frequency)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    # What was left out is a line an entry, written as it is read: it may be long.
    with (folder / "manifest.json").open("w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "left_out": [')
        for number, entry in enumerate(left_out):
            file.write(("," if number else "") + "\n  " + json.dumps(entry, ensure_ascii=False))
        file.write("\n ]\n}\n")


def print_summary(folder: Path, manifest: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """A short table of what is in the new database."""
    kinds = sorted({kind for source in manifest["sources"].values() for kind in source["kinds"]})
    heads = ["source", "photographs", *kinds, *SPLITS, "left out", "MB"]
    lines = [heads]
    for name, source in manifest["sources"].items():
        lost = f"{source['photographs']['left_out']:,}/{source['captions']['left_out']:,}"
        numbers = [
            source["photographs"]["stored"],
            *(source["kinds"].get(kind, 0) for kind in kinds),
            *source["splits"].values(),
        ]
        lines.append([name, *(f"{n:,}" for n in numbers), lost, f"{source['picture_bytes'] / 1e6:,.1f}"])
    rows, texts = sum(manifest["splits"].values()), Counter[str]()
    for source in manifest["sources"].values():
        texts.update(source["kinds"])
    numbers = [rows, *(texts[kind] for kind in kinds), *manifest["splits"].values()]
    size = sum(file["bytes"] for file in manifest["files"].values()) / 1e6
    lines.append(["rows", *(f"{n:,}" for n in numbers), "", f"{size:,.1f}"])
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]
        print("  ".join(cells))
    for note in manifest["notes"]:
        print(f"note: {note}")
    for overlap in manifest["overlaps"]["by number"]:
        print(f"note: {overlap['photographs']:,} photographs are in both {' and '.join(overlap['sources'])}, by number")
    if same := len(manifest["overlaps"]["by picture"]):
        print(f"note: {same:,} times the same picture is there under another name: see overlaps in the manifest")
    if any(source[unit]["left_out"] for source in manifest["sources"].values() for unit in ("photographs", "captions")):
        print(f"left out (photographs/captions) and why: {folder / 'manifest.json'}")
    print_rate(folder, rows, "photographs", seconds)


def print_rate(folder: Path, count: int, what: str, seconds: Mapping[str, float]) -> None:
    steps = ", ".join(f"{step} {duration:.0f} s" for step, duration in seconds.items())
    print(f"{folder}: {count / sum(seconds.values()):,.0f} {what}/s ({steps})")


if __name__ == "__main__":
    main()
