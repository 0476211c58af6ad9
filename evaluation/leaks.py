"""Leaks: photographs that a model was trained on and that it would be tested on."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.command_line import counted
from common.jobs import progress
from common.pictures import MOST_BITS, MOST_COLOUR, fingerprint, open_picture
from common.storage import PHOTOGRAPHS
from Config import DatabaseConfig
from DataBase_functions import Database
from evaluation.benchmarks.pictures import identity_of
from evaluation.screen import print_text
from training.checkpoints import LoadedModel

Identities = Mapping[str, str | None]  # identity of each photograph by its name; None: not known
Pictures = Callable[[], Iterable[Image.Image]]


def check_leaks(
    folder: Path,
    loaded: LoadedModel,
    database: Database,
    benchmarks: Mapping[str, Mapping[str, Path]],
    allowed: bool,
) -> dict[str, list[str]]:
    """Names of the photographs that the model was trained on: of the test split first, then of each benchmark.

    benchmarks: for each benchmark its picture files by name. ValueError at the first leak unless leaks are `allowed`.
    """
    home = loaded.config.data.folder
    trained_on = Database(home) if (home / "manifest.json").is_file() else None
    rows = database.rows("test")
    identities: Identities = {database.ids[row]: database.groups[row] for row in rows}
    # Within one database no photograph is in two splits. Another database can have a copy under another name.
    is_foreign = trained_on is None or database.fingerprint != trained_on.fingerprint
    pictures: Pictures | None = functools.partial(map, database.picture, rows) if is_foreign else None
    leaks = {}
    title = f"the test split of {database.folder}"
    leaks[title] = _check(folder, trained_on, title, identities, pictures, allowed)
    for title, places in benchmarks.items():
        identities, pictures = {name: identity_of(name) for name in places}, functools.partial(_readable, places)
        leaks[title] = _check(folder, trained_on, title, identities, pictures, allowed)
    if benchmarks and trained_on is None:
        print_text(f"{home} is not there: pictures that {folder} was trained on are found only by name, not by content")
    return leaks


def _check(
    folder: Path, trained_on: Database | None, title: str, names: Identities, pictures: Pictures | None, allowed: bool
) -> list[str]:
    try:
        leaks = find_leaks(folder, trained_on, names, pictures)
    except ValueError as error:
        if not allowed:
            raise
        print_text(f"leaks are not checked: {error}")
        return []
    if leaks and not allowed:
        some = ", ".join(leaks[:3]) + (" ..." if len(leaks) > 3 else "")
        raise ValueError(
            f"{folder} was trained on {counted(len(leaks), 'picture')} ({some}) of {title}; to evaluate on them "
            "all the same, add --allow-leak"
        )
    return leaks


def _readable(places: Mapping[str, Path]) -> Iterator[Image.Image]:
    """The pictures; a grey square, which resembles no photograph, replaces an unreadable one."""
    for path in places.values():
        try:
            yield open_picture(path, DatabaseConfig.short_side)
        except (ValueError, OSError):
            yield Image.new("RGB", (64, 64), "grey")


def find_leaks(model: Path, home: Database | None, names: Identities, pictures: Pictures | None = None) -> list[str]:
    """Names of photographs that the model was trained on: by identity and, with `pictures`, by perceptual hash.

    model: its folder, which lists the identities of its training photographs. home: the database that it was trained
    on; if None, pictures are not compared. names: the photographs to look up. pictures: reads them in the same order.
    ValueError if neither the list nor the database is there.
    """
    listed = model / PHOTOGRAPHS
    known = set(listed.read_text(encoding="utf-8").split("\n")) if listed.is_file() else set()
    if home is not None:
        known.update(group for group, split in zip(home.groups, home.split_of) if split == "train")
    if not known:
        raise ValueError(
            f"it is not known what {model} was trained on: it has no {PHOTOGRAPHS}, and its database is not there; to "
            "evaluate it all the same, add --allow-leak"
        )
    # NUMBER@FILE: several different pictures have this number, see sources/numbers.py. Any of them may be meant.
    known |= {
        number for number, at, _ in (identity.partition("@") for identity in known) if at and "pairs:" not in number
    }
    found = [name for name, identity in names.items() if identity in known]
    if home is None or pictures is None:
        return found
    bits, colours = _training_prints(home.folder, home.fingerprint)
    by_name = set(found)
    for name, picture in zip(names, pictures()):
        one = fingerprint(picture)
        near = np.bitwise_count(bits ^ np.frombuffer(one.bits, np.uint64)).sum(1) <= MOST_BITS
        apart = np.abs(colours[near].astype(np.int16) - np.frombuffer(one.colours, np.uint8))
        if (apart.max(1, initial=0) <= MOST_COLOUR).any() and name not in by_name:
            found.append(name)
    return found


@functools.lru_cache(2)
def _training_prints(folder: Path, fingerprint_of_database: str) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Perceptual hashes (N, 4) and thumbnails (N, 192) of the training photographs, which take 0.6 ms each."""
    database = Database(folder)
    rows = database.rows("train")
    prints = [fingerprint(database.picture(row)) for row in progress(rows, "leaks", " pictures")]
    bits = np.frombuffer(b"".join(one.bits for one in prints), np.uint64).reshape(len(rows), -1)
    return bits, np.frombuffer(b"".join(one.colours for one in prints), np.uint8).reshape(len(rows), -1)
