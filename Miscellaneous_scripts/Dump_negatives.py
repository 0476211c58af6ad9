"""Write the hard negatives of a database to a file, for a look, for other programs, or as a fixed test set.

    python Miscellaneous_scripts/Dump_negatives.py --out FILE.jsonl [--name photos] [--split test] [--kind swap]

One record a negative, in JSON Lines, CSV or Parquet by the ending of the file:

    image_id, source    the photograph, and the data set that its caption comes from
    kind, category      what was done (swap, exchange, ...), and to what: colour, number, ...
    positive, negative  the true caption, and the false one
    changed             [[start, end], ...]: characters of `negative` that make it false (JSON text in CSV)

Captions come in a shuffled order, each once a round. A round asks chance: it leaves a caption without an exchange or a
mined negative as often as keeps the negatives as likely as true captions. The same settings give the same file, and a
record depends on (seed, photograph, caption, round) alone.
"""

import contextlib
import csv
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.command_line import fail, read_command_line
from common.jobs import progress
from Config import NegativesConfig, require
from DataBase_functions import Database, seeded
from evaluation.texts import IN_BATCH
from Negative_map import KINDS
from negatives.edits import other_words
from negatives.swap import Swap
from negatives.text import Negative

SCHEMA = pa.schema(
    {
        **dict.fromkeys(("image_id", "source", "kind", "category", "positive", "negative"), pa.string()),
        "changed": pa.list_(pa.list_(pa.int32())),
    }
)
ROWS_AT_ONCE = 10_000  # of Parquet, whose rows are compressed together; 3 MB of captions
CHOICES = ("mixture", *KINDS, IN_BATCH)
PATIENCE = 10  # rounds in a row without anything new, after which all is taken for written
TRIES = 100  # until a caption of another photograph is found

Record = dict[str, Any]
Write = Callable[[Record], object]


@dataclass(frozen=True)
class DumpConfig:
    """What to write."""

    out: str | None = None
    """File to write; its ending says how: .jsonl, .csv or .parquet."""
    name: str = "photos"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    split: str = "test"
    """Split of the captions: train, validation or test."""
    kind: Literal[CHOICES] = "mixture"  # type: ignore[valid-type]
    """mixture: all kinds as training mixes them. in-batch: a random caption of another photograph of the split."""
    count: int = 0
    """Negatives to write, in as many rounds as it takes; 0 is one round, one for every caption that is given one."""
    seed: int = 0
    """Seed of the order and of the drawing."""
    most_swaps: int = NegativesConfig.most_swaps
    """A swap replaces one to this many words."""
    overwrite: bool = False
    """Replace a file of that name."""

    def __post_init__(self) -> None:
        require(self.out is not None, "add --out FILE.jsonl (or .csv, .parquet)")
        known = self.path.suffix.lower() in WRITERS
        require(known, f"--out {self.out}: the ending must be one of {', '.join(WRITERS)}")
        require(self.count >= 0, f"--count {self.count}: must not be negative")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")
        require(1 <= self.most_swaps <= 3, f"--most-swaps {self.most_swaps}: must be 1 to 3")
        swaps = self.most_swaps == 1 or self.kind in ("mixture", Swap.name)
        require(swaps, f"--most-swaps belongs to swaps, of which --kind {self.kind} has none")

    @property
    def path(self) -> Path:
        return Path(self.out or "")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(DumpConfig, __doc__ or "", args)
    try:
        # Fail early on what the user can fix: the plan may take minutes.
        require(not settings.path.is_dir(), f"--out {settings.out} is a folder")
        is_free = settings.overwrite or not settings.path.exists()
        require(is_free, f"{settings.out} is already there; replace it with --overwrite")
        negatives = Negatives(Database(Path(settings.root) / settings.name), settings)
        kinds = write(settings.path, negatives)
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)
    total = sum(kinds.values())
    told = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    print(f"written: {settings.out} ({told or 'no negative'})")
    possible, captions = len(negatives.captions), negatives.captions_of_split
    print(f"{possible:,} of the {captions:,} captions of the {settings.split} split can have one")
    if total < settings.count:
        print(f"{total:,} are all that were found: {PATIENCE} rounds more brought nothing new")


class Negatives:
    """The records of a split, in the order in which they are written."""

    def __init__(self, database: Database, settings: DumpConfig):
        """ValueError if no caption of the split can have a negative of the kind."""
        self.database, self.settings = database, settings
        rows = database.rows(settings.split)
        self.plan = database.plan
        everything = [caption for row in rows for caption in self.plan.captions(row)]
        self.captions_of_split = len(everything)
        self.captions, self._draw = self._of_kind(everything)
        told = f"no caption of the {settings.split} split of {database.folder} has a negative of the kind"
        require(bool(self.captions), f"{told} {settings.kind}")

    def _of_kind(self, captions: list[int]) -> tuple[list[int], Callable[[int, random.Random], Negative | None]]:
        """The captions that can have a negative of the kind, and how one is drawn."""
        plan, kind = self.plan, self.settings.kind
        mixture = NegativesConfig(most_swaps=self.settings.most_swaps)
        if kind == IN_BATCH:
            groups = {self._group(caption) for caption in captions}
            return captions if len(groups) > 1 else [], lambda caption, rng: self._in_batch(caption, captions, rng)
        if kind == "mixture":
            some = [caption for caption in captions if any(plan.has(one, caption) for one in KINDS)]
            return some, lambda caption, rng: plan.draw(caption, rng, mixture)
        some = [caption for caption in captions if plan.has(kind, caption)]
        return some, lambda caption, rng: plan.draw_kind(kind, caption, rng, mixture)

    def _group(self, caption: int) -> str:
        return self.database.groups[self.plan.row_of[caption]]

    def _in_batch(self, caption: int, others: Sequence[int], rng: random.Random) -> Negative | None:
        """A random caption of another photograph with a word that this one lacks, or nothing would make it false."""
        text, group = self.plan.text(caption), self._group(caption)
        for _ in range(TRIES):
            other = rng.choice(others)
            if self._group(other) == group:
                continue
            negative = self.plan.text(other)
            if changed := other_words(text, negative):
                return Negative(negative, IN_BATCH, IN_BATCH, changed)
        return None

    def __iter__(self) -> Iterator[Record]:
        """Records until there are as many as wanted, or until nothing new comes."""
        seen: set[bytes] = set()  # of every pair a digest: the one thing that grows, by 100 bytes a record
        number = in_vain = 0
        while in_vain < PATIENCE and (number == 0 or self.settings.count):
            number, in_vain = number + 1, in_vain + 1
            for caption in self._shuffled(number):
                negative = self._negative(caption, number)
                if negative is None or (pair := _digest(self.plan.text(caption), negative.text)) in seen:
                    continue
                seen.add(pair)
                in_vain = 0
                yield self._record(caption, negative)
                if len(seen) == self.settings.count:
                    return

    def _shuffled(self, number: int) -> list[int]:
        order = list(self.captions)
        seeded(self.settings.seed, "order", number).shuffle(order)
        return order

    def _negative(self, caption: int, number: int) -> Negative | None:
        image_id = self.database.ids[self.plan.row_of[caption]]
        return self._draw(caption, seeded(self.settings.seed, image_id, self.plan.text(caption), number))

    def _record(self, caption: int, negative: Negative) -> Record:
        row = int(self.plan.row_of[caption])
        told = self.database.captions(row)[caption - self.plan.captions(row).start]
        texts = {"positive": told.text, "negative": negative.text, "changed": [*map(list, negative.changed)]}
        what = {"kind": negative.kind, "category": negative.category}
        return {"image_id": self.database.ids[row], "source": told.source, **what, **texts}


def _digest(positive: str, negative: str) -> bytes:
    return hashlib.blake2b(f"{positive}\0{negative}".encode(), digest_size=10).digest()


@contextlib.contextmanager
def write_json_lines(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda record: file.write(json.dumps(record, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def write_csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, SCHEMA.names, lineterminator="\n")
        lines.writeheader()
        yield lambda record: lines.writerow({**record, "changed": json.dumps(record["changed"])})


@contextlib.contextmanager
def write_parquet(path: Path) -> Iterator[Write]:
    waiting: list[Record] = []

    def flush() -> None:
        file.write_batch(pa.RecordBatch.from_pylist(waiting, SCHEMA))
        waiting.clear()

    def add(record: Record) -> None:
        waiting.append(record)
        if len(waiting) == ROWS_AT_ONCE:
            flush()

    with pq.ParquetWriter(path, SCHEMA) as file:
        yield add
        flush()


WRITERS = {".jsonl": write_json_lines, ".csv": write_csv, ".parquet": write_parquet}


def write(path: Path, negatives: Negatives) -> Counter[str]:
    """Write all records; the file takes its name when it is whole. Returns how many there are of each kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    total = negatives.settings.count or len(negatives.captions)
    kinds: Counter[str] = Counter()
    try:
        with WRITERS[path.suffix.lower()](part) as add:
            for record in progress(negatives, "write", " negatives", total):
                add(record)
                kinds[record["kind"]] += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return kinds


if __name__ == "__main__":
    main()
