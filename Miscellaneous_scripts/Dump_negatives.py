"""Write hard negatives of a database to a file: to read them, for other programs, or as a fixed test set.

    python Miscellaneous_scripts/Dump_negatives.py --out FILE.jsonl [--name photos] [--split test] [--kind swap]

One record per negative, in JSON Lines, CSV or Parquet, as the ending of the file says:

    image_id, source    the photograph, and the data set that its caption comes from
    kind, category      kind of negative (swap, exchange, ...), and what was changed: colour, number, ...
    positive, negative  the caption, and its negative
    changed             [[start, end], ...]: offsets in `negative` of the words that make it false (JSON text in CSV)

The captions are shuffled and tried in rounds, each caption once per round. A caption can get no exchange or mined
negative in one round and get one in the next: chance leaves some out, so that negatives stay as likely as captions.
The same settings give the same file. A record depends only on the seed, the photograph, the caption and the round.
"""

import contextlib
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
from common.storage import csv_writer
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
ROWS_AT_ONCE = 10_000  # per Parquet row group, which is compressed as a whole; 3 MB of captions
CHOICES = ("mixture", *KINDS, IN_BATCH)
PATIENCE = 10  # stop after this many rounds in a row without a new negative
TRIES = 100  # random captions that are tested as an in-batch negative of one caption

Record = dict[str, Any]
Write = Callable[[Record], object]


@dataclass(frozen=True)
class DumpConfig:
    """What to write."""

    out: str | None = None
    """File to write. Its ending is the format: .jsonl, .csv or .parquet."""
    name: str = "photos"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    split: str = "test"
    """Split of the captions: train, validation or test."""
    kind: Literal[CHOICES] = "mixture"  # type: ignore[valid-type]
    """mixture: all kinds, at the weights of training. in-batch: a random caption of another photograph of the split."""
    count: int = 0
    """Negatives to write, in as many rounds as needed. 0: one round, so at most one negative per caption."""
    seed: int = 0
    """Seed of the order of captions and of the negatives drawn."""
    most_swaps: int = NegativesConfig.most_swaps
    """A swap replaces 1 to this many words (at most 3)."""
    overwrite: bool = False
    """Replace an existing file."""

    def __post_init__(self) -> None:
        require(self.out is not None, "add --out FILE.jsonl (or .csv, .parquet)")
        known = self.path.suffix.lower() in WRITERS
        require(known, f"--out {self.out}: the file must end in one of {', '.join(WRITERS)}")
        require(self.count >= 0, f"--count {self.count}: must not be negative")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")
        require(1 <= self.most_swaps <= 3, f"--most-swaps {self.most_swaps}: must be 1 to 3")
        swaps = self.most_swaps == 1 or self.kind in ("mixture", Swap.name)
        require(swaps, f"--most-swaps needs --kind swap or mixture, not {self.kind}")

    @property
    def path(self) -> Path:
        return Path(self.out or "")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(DumpConfig, __doc__ or "", args)
    try:
        # Fail early: making the plan can take minutes.
        require(not settings.path.is_dir(), f"--out {settings.out} is a folder; expected a file")
        is_free = settings.overwrite or not settings.path.exists()
        require(is_free, f"{settings.out} is already there; replace it with --overwrite")
        negatives = Negatives(Database(Path(settings.root) / settings.name), settings)
        kinds = write(settings.path, negatives)
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)
    total = sum(kinds.values())
    by_kind = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    print(f"written: {settings.out} ({by_kind or 'no negative'})")
    possible, captions = len(negatives.captions), negatives.captions_of_split
    what = "a negative" if settings.kind == "mixture" else f"a negative of the kind {settings.kind}"
    print(f"{possible:,} of the {captions:,} captions of the {settings.split} split can have {what}")
    if total < settings.count:
        print(f"stopped at {total:,} of {settings.count:,} negatives: {PATIENCE} more rounds gave no new one")


class Negatives:
    """Iterates over the records of a split, in the order in which they are written."""

    def __init__(self, database: Database, settings: DumpConfig):
        """ValueError if no caption of the split can have a negative of the kind."""
        self.database, self.settings = database, settings
        rows = database.rows(settings.split)
        self.plan = database.plan
        everything = [caption for row in rows for caption in self.plan.captions(row)]
        self.captions_of_split = len(everything)
        self.captions, self._draw = self._of_kind(everything)
        message = f"no caption of the {settings.split} split of {database.folder} has a negative of the kind"
        require(bool(self.captions), f"{message} {settings.kind}")

    def _of_kind(self, captions: list[int]) -> tuple[list[int], Callable[[int, random.Random], Negative | None]]:
        """The captions that can have a negative of `--kind`, and the function that draws one."""
        plan, kind = self.plan, self.settings.kind
        mixture = NegativesConfig(most_swaps=self.settings.most_swaps)
        if kind == IN_BATCH:
            groups = {self._group(caption) for caption in captions}
            return captions if len(groups) > 1 else [], lambda caption, rng: self._in_batch(caption, captions, rng)
        if kind == "mixture":
            mixed = [one for one, weight in mixture.weights.items() if weight > 0]
            some = [caption for caption in captions if any(plan.has(one, caption) for one in mixed)]
            return some, lambda caption, rng: plan.draw(caption, rng, mixture)
        some = [caption for caption in captions if plan.has(kind, caption)]
        return some, lambda caption, rng: plan.draw_kind(kind, caption, rng, mixture)

    def _group(self, caption: int) -> str:
        return self.database.groups[self.plan.row_of[caption]]

    def _in_batch(self, caption: int, others: Sequence[int], rng: random.Random) -> Negative | None:
        """A random caption of another photograph that has a word which this caption lacks; None if none is found."""
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
        """Yield records until there are `--count`, or until PATIENCE rounds give no new one."""
        # Digests of all records: the only memory that grows, by 100 bytes per record.
        seen: set[bytes] = set()
        number = without_new = 0
        while without_new < PATIENCE and (number == 0 or self.settings.count):
            number, without_new = number + 1, without_new + 1
            captions = self._shuffled(number)
            for caption in captions if self.settings.count else progress(captions, "write", " captions"):
                negative = self._negative(caption, number)
                if negative is None or (digest := _digest(self.plan.text(caption), negative.text)) in seen:
                    continue
                seen.add(digest)
                without_new = 0
                yield self._record(caption, negative)
                if len(seen) == self.settings.count:
                    return

    def _shuffled(self, number: int) -> list[int]:
        """The captions in the order of a round."""
        order = list(self.captions)
        seeded(self.settings.seed, "order", number).shuffle(order)
        return order

    def _negative(self, caption: int, number: int) -> Negative | None:
        image_id = self.database.ids[self.plan.row_of[caption]]
        return self._draw(caption, seeded(self.settings.seed, image_id, self.plan.text(caption), number))

    def _record(self, caption: int, negative: Negative) -> Record:
        row = int(self.plan.row_of[caption])
        stored = self.database.captions(row)[caption - self.plan.captions(row).start]
        texts = {"positive": stored.text, "negative": negative.text, "changed": [*map(list, negative.changed)]}
        what = {"kind": negative.kind, "category": negative.category}
        return {"image_id": self.database.ids[row], "source": stored.source, **what, **texts}


def _digest(positive: str, negative: str) -> bytes:
    return hashlib.blake2b(f"{positive}\0{negative}".encode(), digest_size=10).digest()


@contextlib.contextmanager
def write_json_lines(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda record: file.write(json.dumps(record, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def write_csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv_writer(file)
        lines.writerow(SCHEMA.names)
        yield lambda record: lines.writerow(
            [{**record, "changed": json.dumps(record["changed"])}[n] for n in SCHEMA.names]
        )


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
    """Write all records to NAME.part, and rename it when it is complete. Returns the number of each kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    kinds: Counter[str] = Counter()
    count = negatives.settings.count
    try:
        with WRITERS[path.suffix.lower()](part) as add:
            for record in progress(negatives, "write", " negatives", count) if count else negatives:
                add(record)
                kinds[record["kind"]] += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return kinds


if __name__ == "__main__":
    main()
