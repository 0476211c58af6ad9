"""Make the rows of the database from finished units, and write them to Arrow files."""

import hashlib
import itertools
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from common.jobs import progress
from common.regions import carry, from_dicts, words_inside
from sources.intake import Intake
from sources.items import NEUTRAL
from sources.stored import read_arrow
from sources.units import ROWS_PER_UNIT, Chunk, database_features
from Tokenizer_lib import split_words

ROWS_PER_FILE = 1000  # about 20 MB at the usual size of pictures
BYTES_PER_FILE = 64_000_000  # limits the memory of writing; one Arrow batch can hold at most 2 GB
MISMATCH = "mismatch"  # in the manifest, the kind of texts that are not true, if their source names no other kind
MISMATCHES = (MISMATCH, "contradicted", NEUTRAL)  # in the manifest, all kinds of texts that are not captions


@dataclass
class Content:
    """Counts of what was written."""

    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, kind of text) -> number of texts; texts that are not captions have one of the kinds MISMATCHES."""
    grounded: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, "captions" or "words") -> how many have regions."""
    picture_bytes: Counter[str] = field(default_factory=Counter)
    """Source -> bytes of its stored pictures."""
    words: Counter[str] = field(default_factory=Counter)
    """Word of the training captions, and of the mismatches of training photographs -> occurrences."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arrow file -> rows, bytes, sha256."""

    def count(self, batch: pa.RecordBatch) -> None:
        """Add the counts of some rows."""
        for name, size in zip(batch["source"].to_pylist(), pc.binary_length(batch["image"].field("bytes")).to_pylist()):
            self.picture_bytes[name] += size
        for column in ("captions", "mismatches"):
            texts = batch[column].flatten()
            self.kinds.update(
                (source, kind if column == "captions" or kind in MISMATCHES else MISMATCH)
                for source, kind in zip(*(texts.field(name).to_pylist() for name in ("source", "kind")))
            )
        captions = batch["captions"].flatten()
        with_regions = captions.filter(pc.greater(pc.list_value_length(captions.field("regions")), 0))
        for text, source, regions in zip(*(with_regions.field(f).to_pylist() for f in ("text", "source", "regions"))):
            self.grounded[source, "captions"] += 1
            words = split_words(text)
            grounded = set().union(*(words_inside(words, region) for region in from_dicts(regions)))
            self.grounded[source, "words"] += len(grounded)
        training = batch.filter(pc.equal(batch["split"], "train"))
        # If the words of mismatches were not counted, they would be <unk> more often than those of captions (in 20 % of
        # the contradicted texts of SNLI-VE, in no caption), and a model would learn that unknown words are false.
        for column in ("captions", "mismatches"):
            for text in training[column].flatten().field("text").to_pylist():
                self.words.update(word.text for word in split_words(text))


def write_rows(folder: Path, intake: Intake, chunks: Sequence[Chunk]) -> Content:
    """Write the rows of all photographs as Arrow files, in the order of their ranks."""
    schema = database_features().arrow_schema
    content, files = Content(), ArrowFiles(folder, schema)
    with progress(None, "write", " photographs", intake.count("photographs")) as bar:
        for chunk in chunks:
            batch = make_rows(chunk, chunks, intake, schema)
            files.write(batch)
            content.count(batch)
            bar.update(len(chunk.ranks))
    files.flush()
    content.files = files.describe()
    return content


def make_rows(chunk: Chunk, chunks: Sequence[Chunk], intake: Intake, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of the database from one finished unit. The texts of guests can come from other units (`chunks`)."""
    rows = intake.rows(chunk.ranks[0], chunk.ranks[-1])
    places = pa.array([row.rank - chunk.ranks[0] for row in rows], pa.int32())
    pictures, texts = (read_arrow(path).take(places) for path in (chunk.pictures, chunk.texts))
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
                    add_texts_of_guest(own, guest, name, chunks, intake)
            columns[name] = pa.array(lists, schema.field(name).type)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def add_texts_of_guest(
    own: list[dict[str, Any]], rank: int, column: str, chunks: Sequence[Chunk], intake: Intake
) -> None:
    """Add the texts of a guest to those of its host. column: captions or mismatches.

    A text that the host already has is not added again, but its regions are, if the host's text has none.
    """
    chunk = chunks[(rank - 1) // ROWS_PER_UNIT]
    texts = read_arrow(chunk.texts)[column][rank - chunk.ranks[0]].as_py()
    kept = [keep for matches, keep in intake.kept_texts(rank) if matches == (column == "captions")]
    for text in itertools.compress(texts, map(operator.not_, kept)):
        for same in own if text.get("regions") else ():
            if not same["regions"] and same["kind"] == text["kind"] and same_words(same["text"], text["text"]):
                regions = carry(from_dicts(text["regions"]), text["text"], same["text"])
                same["regions"] = [region._asdict() for region in regions]
    own += itertools.compress(texts, kept)


def same_words(text: str, other: str) -> bool:
    return [word.text for word in split_words(text)] == [word.text for word in split_words(other)]


def write_new_parses(folder: Path, units: Mapping[Path, Sequence[Path]], total: int) -> dict[str, dict[str, Any]]:
    """Write the rows of finished Arrow files again, file by file, with the newly parsed captions.

    units: Arrow file -> the units with its captions. total: the number of rows, for the progress bar.
    """
    schema = database_features().arrow_schema
    files = ArrowFiles(folder, schema)
    with progress(None, "write", " photographs", total) as bar:
        for file, units_of_file in units.items():
            rows = read_arrow(file)
            captions = pa.concat_tables(map(read_arrow, units_of_file))["captions"]
            columns = [captions if name == "captions" else rows[name] for name in schema.names]
            (batch,) = pa.Table.from_arrays(columns, schema=schema).combine_chunks().to_batches()
            files.write(batch)
            files.flush()  # each new file has the rows of the old one
            bar.update(rows.num_rows)
    return files.describe()


class ArrowFiles:
    """Writes rows to Arrow stream files of about ROWS_PER_FILE rows, with the file names of `datasets`.

    If pictures are large, a file has fewer rows. A file holds one record batch, because opening a database reads the
    head of each batch: 1,760 batches of 100 rows took 0.7 s from a cold disk.
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
        """Write the rows that are waiting to one file."""
        table = pa.Table.from_batches(self.waiting, self.schema).combine_chunks()
        self.waiting = []
        if table.num_rows:
            with pa.ipc.new_stream(str(self.folder / f"{len(self.rows)}.part"), self.schema) as stream:
                stream.write_table(table)
            self.rows.append(table.num_rows)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the files their final names, which contain the number of files.

        Returns file name -> rows, bytes, sha256.
        """
        described = {}
        for i, rows in enumerate(self.rows):
            path = self.folder / f"data-{i:05d}-of-{len(self.rows):05d}.arrow"
            (self.folder / f"{i}.part").replace(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            described[path.name] = {"rows": rows, "bytes": path.stat().st_size, "sha256": digest}
        return described
