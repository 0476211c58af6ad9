"""Build a database: raw pictures and captions -> Arrow files, with every caption parsed once.

    python Database_create.py                                            draws the embedded Scenes -> Database/scenes
    python Database_create.py --name photos --coco DIR --flickr30k DIR   -> Database/photos
    python Database_create.py --name photos --reparse                    parses the captions of Database/photos again

Steps: `read` joins what all sources hold by photograph (`sources.intake`); all processes work on units of 100
photographs, pictures and texts apart (`sources.units`); then copies are joined (`sources.copies`), splits assigned
(`sources.splits`), and rows written from the units (`sources.rows`).

A build that was killed at any moment continues: the same command finds the finished units and makes the others.
`--reparse` makes units of texts from the rows of the finished database, and writes its rows again with them.
`datasets.load_from_disk` and pyarrow both open the result, memory-mapped. Beside the Arrow files lie `manifest.json`
(what went in, what was left out and why, versions, hashes) and `word_counts.json` (words of the training captions).
The same input gives the same bytes, whatever the number of workers, the engine, and how often it was interrupted.
"""

import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import filelock

from common.command_line import fail, read_command_line
from common.jobs import EngineError, progress, run_jobs
from common.storage import SPLITS
from Config import DatabaseConfig
from sources.copies import find_copies
from sources.folder import new_folder, what_is_left
from sources.intake import Intake
from sources.manifest import WORD_COUNTS, count_captions, describe, identify, read_manifest, write_companions
from sources.parser import find_pipeline
from sources.registry import open_sources, sources_of
from sources.rows import write_new_parses, write_rows
from sources.splits import assign_splits, find_official_splits
from sources.units import ROWS_PER_UNIT, Chunk, PictureUnit, TextUnit, Unit, read_arrow, stored_texts


def main(args: Sequence[str] | None = None) -> None:
    """args: the command line, by default that of the process."""
    settings = read_command_line(DatabaseConfig, "Build a database of pictures and parsed captions.", args)
    with errors_in_one_line(settings.folder):
        pipeline = find_pipeline()
        with new_folder(settings.folder, settings.overwrite or settings.reparse, settings.reparse) as building:
            make = reparse if settings.reparse else build
            manifest, seconds = make(building, settings, pipeline)
    if settings.reparse:
        captions = count_captions(manifest)
        print(f"{captions:,} captions were parsed anew with {manifest['versions']['pipeline']}")
        print_rate(settings.folder, captions, "captions", seconds)
    else:
        print_summary(settings.folder, manifest, seconds)
    if settings.negatives:
        plan_negatives(settings.folder)


@contextlib.contextmanager
def errors_in_one_line(folder: Path) -> Iterator[None]:
    """End the script with one line for every error that its user can fix, and with what is left in `folder`."""
    try:
        yield
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        fail(str(error))
    except filelock.Timeout:
        fail(f"another build of {folder} is running; wait for it, or choose another --name")
    except EngineError as error:
        fail(f"{error}{what_is_left(folder)}")
    except BrokenProcessPool:
        reason = "a worker process was killed, most likely for its memory; use fewer: --workers 1"
        fail(f"{reason}{what_is_left(folder)}")
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, an unreadable folder
        fail(f"cannot read or write: {error}{what_is_left(folder)}")
    except KeyboardInterrupt:
        fail(f"interrupted{what_is_left(folder)}", code=130)


def build(building: Path, settings: DatabaseConfig, pipeline: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Make `building`/database; returns the manifest, and the seconds of each step."""
    seconds: dict[str, float] = {}
    with contextlib.closing(Intake(building / "intake.sqlite", sources_of(type(settings)))) as intake:
        with stopwatch(seconds, "read"):
            take_in(intake, settings)
        with stopwatch(seconds, "pictures and texts"):
            chunks = make_units(intake, building / "units", settings, pipeline)
        with stopwatch(seconds, "copies"):
            find_copies(intake, chunks)
            assign_splits(intake)
        with stopwatch(seconds, "write"):
            content = write_rows(building / "database", intake, chunks)
            manifest = describe(settings, pipeline, intake, content)
            write_companions(building / "database", manifest, intake.left_out(), content.words)
    return manifest, seconds


def reparse(building: Path, settings: DatabaseConfig, pipeline: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Make `building`/database from the finished one with new parses; returns what `build` does."""
    seconds: dict[str, float] = {}
    old, left_out = read_manifest(settings.folder)
    files = {settings.folder / name: file["rows"] for name, file in old["files"].items()}
    with stopwatch(seconds, "texts"):
        units = make_text_units(files, count_captions(old), building / "units", settings, pipeline)
    with stopwatch(seconds, "write"):
        written = write_new_parses(building / "database", units, sum(files.values()))
        manifest = old | identify(written, pipeline) | {"files": written}
        # The pictures are the old ones, so what describes them stays.
        manifest["picture_fingerprint"] = old.get("picture_fingerprint", old["fingerprint"])
        manifest["versions"]["pillow"] = old["versions"]["pillow"]
        words = json.loads((settings.folder / WORD_COUNTS).read_text(encoding="utf-8"))
        write_companions(building / "database", manifest, left_out, words)
    return manifest, seconds


def take_in(intake: Intake, settings: DatabaseConfig) -> None:
    """Read all sources, and find out which photographs there are."""
    for source, items in open_sources(settings).items():
        intake.add_source(source)
        for item in items:
            intake.add(source, item)
    intake.join()
    find_official_splits(intake, None if settings.hold_out is None else Path(settings.hold_out))


def make_units(intake: Intake, folder: Path, settings: DatabaseConfig, pipeline: str) -> list[Chunk]:
    """Work on all pictures and texts, at the same time on all processes; memory holds a few units at once."""
    chunks: list[Chunk] = []

    def in_order() -> Iterator[Unit]:
        folder_everywhere = folder.resolve()  # nodes of a cluster have other working directories
        for photographs in intake.chunks(ROWS_PER_UNIT):
            picture_unit = PictureUnit.of(folder_everywhere, photographs, settings)
            text_unit = TextUnit.of(folder_everywhere, (photograph.texts for photograph in photographs), pipeline)
            ranks = range(photographs[0].rank, photographs[-1].rank + 1)
            chunks.append(Chunk(ranks, picture_unit.path, text_unit.path))
            yield from (picture_unit, text_unit)

    run_units(in_order(), {PictureUnit: intake.count("photographs"), TextUnit: intake.count("texts")}, settings)
    return chunks


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
        done = " and ".join(f"{done_before[kind]:,} {kind.what}" for kind in totals)
        print(f"{done} had been done by an earlier try")


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


@contextlib.contextmanager
def stopwatch(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


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
