"""A table of the user's own pairs with the columns image, caption and optionally label and subset."""

from pathlib import Path

from evaluation.benchmarks.figures import Claim, label_figures
from evaluation.benchmarks.reading import Benchmark, Contents, check
from sources.items import LeftOut
from sources.pairs import NOTHING, read_pair
from sources.tables import PAIR_COLUMNS, read_table


def _read(contents: Contents) -> None:
    """Read the table. A text without a label counts as true. The unit is the number of the row, from 0."""
    told: list[str] = []
    rows = read_table(contents.file(), wanted=(*PAIR_COLUMNS, "subset"), tell=told.append)
    for number, (place, row) in enumerate(rows):
        with contents.record(f"{contents.path.name}:{place}", 1):
            # The folder of the pictures is not known yet: an absolute path stays, and is looked up in it later.
            root = "/" if not isinstance(row, str) and str(row.get("image")).strip().startswith("/") else ""
            pair = row if isinstance(row, str) else read_pair(row, Path(root) if root else None)
            if isinstance(row, str) or isinstance(pair, str):
                raise ValueError(pair)
            picture, text, _, matches = pair
            check(bool(text), "the caption is empty")
            subset = str(row.get("subset")).strip()
            subset = "" if subset.lower() in NOTHING else subset
            contents.add(Claim(f"{root}{picture}", text, float(matches), subset, number))
    contents.left_out += [LeftOut("collection", contents.path.name, message) for message in told]


PAIRS = Benchmark(
    "pairs",
    "a CSV, TSV, JSONL or Parquet file with image, caption and optionally label and subset",
    _read,
    label_figures,
    calibrated=True,
)
