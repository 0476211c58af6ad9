"""The command line of the campaign: python -m tests.fuzz --help"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: forked processes have no other threads

import dataclasses
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from . import kinds
from .running import ACCEPTED, FAULT, REFUSED, Outcome, run_case, run_cases

NAMES = tuple(kinds.KINDS)


@dataclass(frozen=True)
class FuzzConfig:
    """How many cases of which kinds."""

    count: int = 10
    """Scale: 1000 makes 3,000 pictures, 3,000 texts, 2,000 files, 1,000 models and 1,000 databases."""
    kind: Literal[("all", *NAMES)] = "all"  # type: ignore[valid-type]
    """One kind of inputs."""
    seed: int = 0
    """Seed of all cases."""
    start: int = 0
    """Index of the first case of each kind."""
    only: int = -1
    """Run one case of --kind and print all that it gave."""


def main() -> None:
    import tyro

    settings = tyro.cli(FuzzConfig, description=__doc__)
    chosen = NAMES if settings.kind == "all" else (settings.kind,)
    found: dict[str, list[Outcome]] = {}
    for name in chosen:
        kind = kinds.KINDS[name]
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            kind.prepare(Path(folder))
            if settings.only >= 0:
                show(run_case(kind, settings.seed, settings.only, Path(folder)))
                continue
            indices = range(settings.start, settings.start + max(1, settings.count * kind.scale))
            cases = run_cases(kind, settings.seed, indices, Path(folder))
            found[name] = []
            for outcome in tqdm(cases, name, len(indices), unit="case", mininterval=1 if sys.stderr.isatty() else 60):
                found[name].append(dataclasses.replace(outcome, shown="" if outcome.kind != FAULT else outcome.shown))
                if outcome.kind == FAULT:
                    tqdm.write(f"{name} {outcome.index}: {outcome.what} [{outcome.about[:300]}]", file=sys.stdout)
    if found:
        print_table(found)
        repeat(found, settings.seed)
        sys.exit(any(outcome.kind == FAULT for some in found.values() for outcome in some))


def show(outcome: Outcome) -> None:
    print(outcome.about, outcome.shown, sep="\n")
    print(f"{outcome.kind} {outcome.what} ({outcome.seconds:.2f} s, {outcome.memory / 1e6:.0f} MB)")


def print_table(found: dict[str, list[Outcome]]) -> None:
    """The kinds of outcome by kind of input, the slowest case and the one with most memory."""
    table = Table("inputs", "cases", ACCEPTED, REFUSED, FAULT, "slowest", "most memory", "computing")
    for name, some in found.items():
        count = Counter(outcome.kind for outcome in some)
        slowest, largest = (max(getattr(outcome, what) for outcome in some) for what in ("seconds", "memory"))
        cells = [len(some), count[ACCEPTED], count[REFUSED], count[FAULT]]
        total = sum(outcome.seconds for outcome in some)
        table.add_row(
            name, *(f"{n:,}" for n in cells), f"{slowest:.1f} s", f"{largest / 1e6:,.0f} MB", f"{total:.0f} s"
        )
    Console().print(table)


def repeat(found: dict[str, list[Outcome]], seed: int) -> None:
    """How to repeat the faults, those of one sort together."""
    for name, some in found.items():
        sorts: dict[str, list[int]] = {}
        for outcome in some:
            if outcome.kind == FAULT:
                sorts.setdefault(outcome.what, []).append(outcome.index)
        for what, indices in sorts.items():
            print(f"{len(indices)} x {what}: python -m tests.fuzz --kind {name} --seed {seed} --only {indices[0]}")


if __name__ == "__main__":
    main()
