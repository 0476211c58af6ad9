"""Build a database: raw pictures and captions -> Arrow files. Every caption is parsed once.

    python Database_create.py                                            draws the embedded Scenes -> Database/scenes
    python Database_create.py --name photos --coco DIR --flickr30k DIR   -> Database/photos
    python Database_create.py --name photos --reparse                    parses the captions of Database/photos again

Steps: read all sources and join their items by photograph (`sources.intake`); store the pictures and parse the texts of
100 photographs at a time, on all processes (`sources.units`); join copies (`sources.copies`); assign splits
(`sources.splits`); write the rows (`sources.rows`).

An interrupted build is resumed by the same command, which uses the finished units again. `--reparse` parses the
captions of a finished database again and writes its rows with the new parses. `datasets.load_from_disk` and pyarrow can
open the result, memory-mapped. Beside the Arrow files are `manifest.json` (settings, counts, what was left out and why,
versions, hashes) and `word_counts.json` (words of the training captions). The same input gives the same bytes, with any
number of workers, any engine, and any number of interruptions.
"""

import contextlib
import shutil
import sqlite3
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from sources.manifest import count_captions, describe, identify, write_companions
from sources.numbers import find_disputed_numbers
from sources.parser import find_pipeline
from sources.regions import give_regions
from sources.registry import open_sources, sources_of
from sources.rows import write_new_parses, write_rows
from sources.splits import assign_splits, find_official_splits
from sources.stored import check_shards, read_arrow, read_manifest, read_word_counts
from sources.units import ROWS_PER_UNIT, Chunk, PictureUnit, TextUnit, Unit, stored_texts

DESCRIPTION = """Build a database of pictures and parsed captions.

    python Database_create.py                                  drawn scenes
    python Database_create.py --name photos --flickr8k DIR     photographs
    python Database_create.py --name photos --pairs FILE       your own table

An interrupted build is resumed by the same command.
"""


def main(args: Sequence[str] | None = None) -> None:
    """args: the command line; None is sys.argv."""
    settings = read_command_line(DatabaseConfig, DESCRIPTION, args)
    with errors_in_one_line(settings.folder):
        pipeline = find_pipeline()
        with new_folder(settings.folder, settings.overwrite or settings.reparse, settings.reparse) as building:
            make = reparse if settings.reparse else build
            manifest, seconds = make(building, settings, pipeline)
    if settings.reparse:
        captions = count_captions(manifest)
        print(f"{captions:,} captions were parsed again with {manifest['versions']['pipeline']}")
        print_rate(settings.folder, captions, "captions", seconds)
    else:
        print_summary(settings.folder, manifest, seconds)
    if settings.negatives:
        plan_negatives(settings)


@contextlib.contextmanager
def errors_in_one_line(folder: Path) -> Iterator[None]:
    """Report an error that the user can fix in one line, with the state of `folder`, and exit."""
    try:
        yield
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        fail(str(error))
    except filelock.Timeout:
        fail(f"another process is building {folder}; wait for it, or choose another --name")
    except EngineError as error:
        fail(f"{error}{what_is_left(folder)}")
    except MemoryError:
        fail(f"memory ran out; use fewer processes: --workers 1{what_is_left(folder)}")
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, an unreadable folder
        fail(f"cannot read or write: {error}{what_is_left(folder)}")
    except KeyboardInterrupt:
        fail(f"interrupted{what_is_left(folder)}", code=130)


def build(building: Path, settings: DatabaseConfig, pipeline: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Write `building`/database; returns the manifest, and the seconds of each step."""
    seconds: dict[str, float] = {}
    with contextlib.closing(Intake(building / "intake.sqlite", sources_of(type(settings)))) as intake:
        with stopwatch(seconds, "read"):
            read_sources(intake, settings)
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
    """Write `building`/database: the rows of the finished database with new parses. Returns the same as `build`."""
    seconds: dict[str, float] = {}
    old = read_manifest(settings.folder)
    left_out, words = old.pop("left_out"), read_word_counts(settings.folder)
    files = {settings.folder / name: file["rows"] for name, file in old["files"].items()}
    check_shards(files)
    with stopwatch(seconds, "texts"):
        units = make_text_units(files, count_captions(old), building / "units", settings, pipeline)
    with stopwatch(seconds, "write"):
        written = write_new_parses(building / "database", units, sum(files.values()))
        manifest = old | identify(written, pipeline) | {"files": written}
        # The pictures are unchanged, so their fingerprint and the version of Pillow are too.
        manifest["picture_fingerprint"] = old.get("picture_fingerprint", old["fingerprint"])
        manifest["versions"]["pillow"] = old["versions"]["pillow"]
        write_companions(building / "database", manifest, left_out, words)
    return manifest, seconds


def read_sources(intake: Intake, settings: DatabaseConfig) -> None:
    """Read the items of all sources, join those of one photograph, and look up the official splits."""
    for source, items in open_sources(settings).items():
        intake.add_source(source)
        for item in items:
            intake.add(source, item)
    find_disputed_numbers(intake, settings.engine, settings.workers)
    intake.join()
    give_regions(intake)
    find_official_splits(intake, None if settings.hold_out is None else Path(settings.hold_out))


def make_units(intake: Intake, folder: Path, settings: DatabaseConfig, pipeline: str) -> list[Chunk]:
    """Store all pictures and parse all texts, on all processes. Memory holds a few units at a time."""
    chunks: list[Chunk] = []

    def in_order() -> Iterator[Unit]:
        absolute = folder.resolve()  # nodes of a cluster have other working directories
        for photographs in intake.chunks(ROWS_PER_UNIT):
            picture_unit = PictureUnit.of(absolute, photographs, settings)
            text_unit = TextUnit.of(absolute, (photograph.texts for photograph in photographs), pipeline)
            ranks = range(photographs[0].rank, photographs[-1].rank + 1)
            chunks.append(Chunk(ranks, picture_unit.path, text_unit.path))
            yield from (picture_unit, text_unit)

    run_units(in_order(), {PictureUnit: intake.count("photographs"), TextUnit: intake.count("texts")}, settings)
    return chunks


def make_text_units(
    files: Iterable[Path], captions: int, folder: Path, settings: DatabaseConfig, pipeline: str
) -> dict[Path, list[Path]]:
    """Parse the captions of finished Arrow files; returns file -> units with its captions."""
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
    """Make the units that do not exist, on all processes. totals: kind of unit -> pictures or texts, for its bar."""
    bars = {
        kind: progress(None, kind.what, f" {kind.what}", total, position=position)
        for position, (kind, total) in enumerate(totals.items())
    }
    reused, hidden = Counter[type[Unit]](), list(bars.values())

    def jobs() -> Iterator[Unit]:
        for unit in units:
            if unit.is_finished:
                reused[type(unit)] += unit.size
                bars[type(unit)].initial += unit.size  # tqdm leaves it out of the rate and the remaining time
                bars[type(unit)].update(unit.size)
            else:
                while hidden:  # show the bars now: workers take seconds to start
                    hidden[0].delay = 0  # else tqdm does not clear a bar that is closed within a second
                    hidden.pop(0).refresh()
                yield unit

    with contextlib.ExitStack() as open_bars:
        for bar in bars.values():
            open_bars.enter_context(bar)
        for unit, _ in run_jobs(jobs(), settings.engine, settings.workers):
            bars[type(unit)].update(unit.size)
    if reused:
        counts = " and ".join(f"{reused[kind]:,} {kind.what}" for kind in totals)
        print(f"{counts} are reused from an interrupted build")


def plan_negatives(settings: DatabaseConfig) -> None:
    """Plan the hard negatives now, so that training does not have to wait for the plan."""
    from DataBase_functions import Database  # it imports torch (1.4 s), which nothing else here needs

    started, folder = time.perf_counter(), settings.folder
    later = f"; {folder} is complete, and its hard negatives are planned when it is first used"
    try:
        plan = Database(folder).open_plan(settings)
    except KeyboardInterrupt:
        fail(f"interrupted{later}", code=130)
    except OSError as error:
        fail(f"cannot plan the hard negatives: {error}{later}")
    seconds = time.perf_counter() - started
    fractions = ", ".join(f"{kind} for {fraction:.1%}" for kind, fraction in plan.facts["share_with"].items())
    print(f"hard negatives: planned in {seconds:.0f} s\n  {fractions} of the captions")


@contextlib.contextmanager
def stopwatch(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Set `seconds[step]` to the duration of the block."""
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def print_summary(folder: Path, manifest: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """Print what the new database contains: two tables, by photographs and by texts, and notes.

    The last line of both tables is the database: photographs in several sources count once, MB are those of its files.
    """
    sources, rows = manifest["sources"], sum(manifest["splits"].values())
    size = sum(file["bytes"] for file in manifest["files"].values())
    photographs = [["photographs", "stored", *SPLITS, "left out", "MB"]]
    for name, source in sources.items():
        stored, left_out = source["photographs"]["stored"], source["photographs"]["left_out"]
        numbers = (stored, *(source["splits"][split] for split in SPLITS), left_out)
        photographs.append([name, *(f"{n:,}" for n in numbers), f"{source['picture_bytes'] / 1e6:,.1f}"])
    numbers = (rows, *(manifest["splits"][split] for split in SPLITS))
    photographs.append(["database", *(f"{n:,}" for n in numbers), "", f"{size / 1e6:,.1f}"])

    kinds = sorted({kind for source in sources.values() for kind in source["kinds"]})
    texts = [["texts", *kinds, "left out"]]
    for name, source in sources.items():
        if source["kinds"] or source["captions"]["left_out"]:
            counts = [*(source["kinds"].get(kind, 0) for kind in kinds), source["captions"]["left_out"]]
            texts.append([name, *(f"{n:,}" for n in counts)])
    totals = (sum(source["kinds"].get(kind, 0) for source in sources.values()) for kind in kinds)
    texts.append(["database", *(f"{n:,}" for n in totals), ""])

    for table in (photographs, texts):
        print_table(table)
    captions, words = (sum(source["regions"][unit] for source in sources.values()) for unit in ("captions", "words"))
    if captions:
        print(f"boxes: {captions:,} of {count_captions(manifest):,} captions have words with boxes, {words:,} words")
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for note in notes_of(manifest):
        print(textwrap.fill(f"note: {note}", columns, subsequent_indent="  "))
    if any(source[unit]["left_out"] for source in sources.values() for unit in ("photographs", "captions")):
        print(f"reasons for what was left out: {folder / 'manifest.json'}")
    print_rate(folder, rows, "photographs", seconds)


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column aligned left and the others right, and a blank line after it."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        print("  ".join(cells).rstrip())
    print()


def notes_of(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Decisions and overlaps that the user should know about."""
    yield from manifest["notes"]
    for overlap in manifest["overlaps"]["by number"]:
        yield f"{overlap['photographs']:,} photographs are in both {' and '.join(overlap['sources'])} (same number)"
    if same := len(manifest["overlaps"]["by picture"]):
        yield f"equal pictures with different names: {same:,} (see overlaps in manifest.json)"


def print_rate(folder: Path, count: int, what: str, seconds: Mapping[str, float]) -> None:
    """Print how long the build took. count: how many photographs or captions (`what`) it processed."""
    total = sum(seconds.values())
    print(f"{folder}: finished in {total:.0f} s, {count / total:,.0f} {what}/s")
    print(f"  {', '.join(f'{step} {duration:.0f} s' for step, duration in seconds.items())}")


if __name__ == "__main__":
    main()
