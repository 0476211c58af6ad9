"""What a benchmark is, and what the readers of all benchmarks share.

A reader opens no picture. At a broken record it does not stop: it adds a `LeftOut` with the place, the reason and the
number of lost claims. A record counts as a whole or not at all; a record that occurs twice counts twice. A file that is
damaged as a whole, or in which no record fits, raises ValueError, a missing file FileNotFoundError, both with one line.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.benchmarks.figures import Claim, Figures, Scored
from sources.files import open_utf8, parse_json
from sources.items import LeftOut


@dataclass(frozen=True)
class Benchmark:
    """An entry of `evaluation.benchmarks.BENCHMARKS`."""

    name: str
    """The NAME of --benchmark NAME=PATH."""
    expects: str
    """What PATH must be, in a few words: error messages end with it."""
    fill: Callable[["Contents"], None]
    """Reads the files at `contents.path` into `contents.claims` and `contents.left_out`."""
    figures: Callable[[Scored], Figures]
    """Computes the figures that its authors publish; see `evaluation.benchmarks.figures`."""
    ratings: bool = False
    """Labels are people's ratings, not true or false: the ranking score is used, and no blind judge is trained."""
    calibrated: bool = False
    """Texts are judged one by one, as Predict.py does, so calibration is measured too."""
    classes: tuple[str, ...] = ()
    """Names of the labels (`figures.class_labels`), the truest first, if there are more than two.

    Each pair of classes gets a row, in which the truer class counts as true, and blind judges of its own.
    """

    def read(self, path: str | Path) -> "Contents":
        """Read all claims. FileNotFoundError if a file is missing, ValueError if no record fits."""
        contents = Contents(self, Path(path))
        if not contents.path.exists():
            raise FileNotFoundError(f"{path} is not there; {self.name} expects {self.expects}")
        try:
            self.fill(contents)
            contents.check()
        except ValueError as error:  # messages of some parsers have several lines
            raise ValueError(" ".join(line.strip() for line in str(error).splitlines())) from None
        return contents


@dataclass
class Contents:
    """The claims of a benchmark in the order of its files; a reader fills it."""

    benchmark: Benchmark
    path: Path
    claims: list[Claim] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    """Broken records, each with its place and the reason; `captions` is the number of lost claims."""
    units: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)
    """Gives the numbers of the units: next(contents.units)."""

    @property
    def spec(self) -> str:
        """NAME=PATH as on the command line."""
        return f"{self.benchmark.name}={self.path}"

    @contextlib.contextmanager
    def record(self, where: str, claims: int) -> Iterator[None]:
        """A `with` block that reads a record of `claims` claims: if it raises ValueError, the record is left out."""
        try:
            yield
        except ValueError as error:
            self.left_out.append(LeftOut("line", where, str(error), captions=claims))

    def add(self, *claims: Claim) -> None:
        self.claims += claims

    def file(self) -> Path:
        """`path`. FileNotFoundError unless it is a file."""
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self.path} is not a file; {self.benchmark.name} expects {self.benchmark.expects}"
            )
        return self.path

    def json_files(self) -> Iterator[Path]:
        """`path`, or all JSON files if it is a folder. Of a folder, a file in which no record fits is one `LeftOut`."""
        is_folder = self.path.is_dir()
        files = sorted(file for file in self.path.glob("*.json") if file.is_file()) if is_folder else [self.file()]
        if not files:
            name, expects = self.benchmark.name, self.benchmark.expects
            raise FileNotFoundError(f"no *.json in {self.path}; {name} expects {expects}")
        for file in files:
            claims, left_out = len(self.claims), len(self.left_out)
            yield file
            if is_folder and len(self.claims) == claims:
                reasons = [entry.reason for entry in self.left_out[left_out:]] or ["it is empty"]
                self.left_out[left_out:] = [LeftOut("collection", file.name, f"no record fits: {reasons[0]}")]

    def json_records(self, file: Path) -> Iterator[tuple[str, Any]]:
        """Place and value of each entry of a JSON object or list, which is read as a whole.

        A byte that is not UTF-8 breaks only its record.
        """
        try:
            with open_utf8(file) as stream:
                text = stream.read().decode(errors="surrogateescape")
            value = json.loads(text, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            name, expects = self.benchmark.name, self.benchmark.expects
            raise ValueError(f"{file} is not JSON ({error}); {name} expects {expects}") from None
        if isinstance(value, dict):
            yield from ((place.encode(errors="replace").decode()[:80], record) for place, record in value.items())
        elif isinstance(value, list):
            yield from ((f"[{number}]", record) for number, record in enumerate(value))

    def check(self) -> None:
        """ValueError if no claim was read."""
        if not self.claims:
            reason = f"{self.left_out[0].where}: {self.left_out[0].reason}" if self.left_out else "it is empty"
            raise ValueError(
                f"{self.path}: {self.benchmark.name} expects {self.benchmark.expects}; no record fits ({reason})"
            )


def text_of(record: Any, key: str, of_list: bool = False) -> str:
    """The text under a key of a JSON record; of_list: of a list, its first element. ValueError if it is not a text."""
    check(isinstance(record, dict), "not a JSON object")
    check(key in record, f"lacks {key}")
    value = record[key]
    value = value[0] if of_list and isinstance(value, list) and value else value
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    check(bool(value.strip()), f"{key} is empty")
    check(not any("\ud800" <= character <= "\udfff" for character in value), f"{key} is not UTF-8")
    return value.strip()


def json_line(line: bytes) -> Any:
    """The value of a line of JSONL. ValueError if the line is not JSON."""
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def decoded(line: bytes) -> str:
    """The text of a line. ValueError if it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None


def check(holds: bool, reason: str) -> None:
    """Raise ValueError(reason) unless the condition holds."""
    if not holds:
        raise ValueError(reason)
