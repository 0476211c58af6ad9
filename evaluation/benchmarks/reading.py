"""What a benchmark is, and what all its readers share.

A reader opens no picture and judges nothing. It does not stop at a broken record: it adds a `LeftOut`, which says what
is wrong, where, and how many claims are lost, and goes on. A record counts as a whole or not at all; one that is there
twice counts twice. Only a file that is damaged as a whole, or in which no record fits, raises ValueError, and a missing
file FileNotFoundError; both with a message of one line.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.benchmarks.figures import Claim, Figures, Scored
from sources.files import parse_json
from sources.items import LeftOut


@dataclass(frozen=True)
class Benchmark:
    """An entry of `evaluation.benchmarks.BENCHMARKS`."""

    name: str
    """As in --benchmark NAME=PATH."""
    expects: str
    """What PATH must be, in one line; error messages end with it."""
    fill: Callable[["Contents"], None]
    """Reads the files at `contents.path` into `contents.claims` and `contents.left_out`."""
    figures: Callable[[Scored], Figures]
    """The figures that its authors publish; see `evaluation.benchmarks.figures`."""
    ratings: bool = False
    """Labels are people's ratings, not true or false: the ranking score is judged, and no blind judge is trained."""
    calibrated: bool = False
    """Texts are judged one by one, as Predict.py does: calibration is measured too."""

    def read(self, path: str | Path) -> "Contents":
        """All claims. FileNotFoundError if a file is missing, ValueError if no record fits."""
        contents = Contents(self, Path(path))
        if not contents.path.exists():
            raise FileNotFoundError(f"{path} is not there; {self.name} expects {self.expects}")
        try:
            self.fill(contents)
            contents.check()
        except ValueError as error:  # some parsers mark the place on lines of their own
            raise ValueError(" ".join(line.strip() for line in str(error).splitlines())) from None
        return contents


@dataclass
class Contents:
    """The claims of a benchmark in the order of its files, and how its file is filled while it is read."""

    benchmark: Benchmark
    path: Path
    claims: list[Claim] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    """Broken records, with where and why; `captions` is the number of claims lost with them."""
    units: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)
    """Numbers of the units: next(contents.units)."""

    @property
    def spec(self) -> str:
        """NAME=PATH, as on the command line."""
        return f"{self.benchmark.name}={self.path}"

    @contextlib.contextmanager
    def record(self, where: str, claims: int) -> Iterator[None]:
        """Around the reading of a record of `claims` claims: a ValueError inside says why it is left out."""
        try:
            yield
        except ValueError as error:
            self.left_out.append(LeftOut("line", where, str(error), captions=claims))

    def add(self, *claims: Claim) -> None:
        self.claims += claims

    def file(self) -> Path:
        """`path`, which must be a file."""
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is no file; {self.benchmark.name} expects {self.benchmark.expects}")
        return self.path

    def json_files(self) -> Iterator[Path]:
        """`path`, or all JSON files of that folder. A file of a folder in which no record fits is one `LeftOut`."""
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
                self.left_out[left_out:] = [LeftOut("collection", file.name, f"not one record fits: {reasons[0]}")]

    def json_records(self, file: Path) -> Iterator[tuple[str, Any]]:
        """Place and value of each entry of a JSON object or list of a few MB.

        A byte that is not UTF-8 spoils only the record that has it.
        """
        try:
            value = json.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape"))
        except (ValueError, RecursionError) as error:
            name, expects = self.benchmark.name, self.benchmark.expects
            raise ValueError(f"{file} is no JSON ({error}); {name} expects {expects}") from None
        if isinstance(value, dict):
            yield from ((place.encode(errors="replace").decode()[:80], record) for place, record in value.items())
        elif isinstance(value, list):
            yield from ((f"[{number}]", record) for number, record in enumerate(value))

    def check(self) -> None:
        """ValueError if there is no claim."""
        if not self.claims:
            reason = f"{self.left_out[0].where}: {self.left_out[0].reason}" if self.left_out else "it is empty"
            raise ValueError(
                f"{self.path}: {self.benchmark.name} expects {self.benchmark.expects}; not one record fits ({reason})"
            )


def text_of(record: Any, key: str, of_list: bool = False) -> str:
    """A text of a JSON record; of_list: the value may be a list, whose first element counts."""
    check(isinstance(record, dict), "no JSON object")
    check(key in record, f"lacks {key}")
    value = record[key]
    value = value[0] if of_list and isinstance(value, list) and value else value
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    check(bool(value.strip()), f"{key} is empty")
    check(not any("\ud800" <= character <= "\udfff" for character in value), f"{key} is not UTF-8")
    return value.strip()


def json_line(line: bytes) -> Any:
    """The value of a line of JSONL."""
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None


def check(holds: bool, reason: str) -> None:
    """ValueError with the reason unless it holds."""
    if not holds:
        raise ValueError(reason)
