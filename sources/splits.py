"""The split of every photograph: what official lists say, held-out photographs, and a hash of the group for the rest.

A photograph that several sources or lists put into different splits goes to the strictest one: test before validation
before train. All photographs of a group are in one split.
"""

import hashlib
from pathlib import Path

from common.storage import SPLITS
from sources.files import PICTURE_ENDINGS, read_lines
from sources.intake import Intake

SHARES = (0.75, 0.15, 0.10)  # of SPLITS, where no official list decides


def find_official_splits(intake: Intake, hold_out: Path | None = None) -> None:
    """Store the official split of every photograph that has one; the strictest counts.

    hold_out: a file with ids or file names, one a line; those photographs go to test.
    """
    for number, name in enumerate(intake.names):
        _splits_of_source(intake, number, name)
    if hold_out is not None:
        _hold_out(intake, hold_out)


def _splits_of_source(intake: Intake, number: int, name: str) -> None:
    """Store the splits that one source gives; if it has no test photographs, its validation list is divided."""
    given = """SELECT identity, max(strict) AS strict, count(DISTINCT strict) AS lists FROM (
        SELECT identity, strictness(split) AS strict FROM lists WHERE source = ?1 UNION ALL
        SELECT identity, strictness(split) AS strict FROM files WHERE source = ?1 AND split IS NOT NULL)
        GROUP BY identity"""
    intake.db.create_function("strictness", 1, SPLITS.index, deterministic=True)
    intake.db.execute("DROP TABLE IF EXISTS given")
    intake.db.execute(f"CREATE TEMP TABLE given AS {given}".replace("?1", str(number)))
    (twice,) = intake.db.execute("SELECT count(*) FROM given WHERE lists > 1").fetchone()
    if twice:
        intake.notes.append(f"{name}: {twice} photographs are in several official lists; the strictest counts")
    if not intake.sources[name].splits_are_final:
        _divide_validation(intake, number, name)
    intake.db.execute(
        """INSERT INTO official SELECT identity, strict FROM given WHERE true ON CONFLICT (identity)
        DO UPDATE SET strictness = max(strictness, excluded.strictness)"""
    )


def _divide_validation(intake: Intake, number: int, name: str) -> None:
    """If none of its photographs is in test, half of a source's validation photographs go there."""
    has_files = "EXISTS (SELECT 1 FROM files WHERE files.identity = given.identity AND source = ?)"
    query = f"SELECT coalesce(max(strict), 0), count(*) FROM given WHERE {has_files}"
    strictest, present = intake.db.execute(query, (number,)).fetchone()
    middle = [identity for (identity,) in intake.db.execute("SELECT identity FROM given WHERE strict = 1")]
    if present and len(middle) > 1 and strictest < 2:
        second = _second_half(intake, number, middle)
        intake.db.executemany("UPDATE given SET strict = 2 WHERE identity = ?", [(identity,) for identity in second])
        intake.notes.append(
            f"{name}: the official test photographs are absent; the {len(middle):,} for validation were divided "
            f"into {len(middle) - len(second):,} for validation and {len(second):,} for test, by the sha1 of their "
            "identity"
        )


def _second_half(intake: Intake, source: int, identities: list[str]) -> list[str]:
    """Half of the photographs for validation, by a hash: their order may follow what the pictures show.

    Of an official list exactly half, whichever of its photographs are there. Where a folder is all there is, each
    photograph is drawn for itself, so that none changes its split when others are added.
    """
    digests = {identity: hashlib.sha1(identity.encode()).digest() for identity in identities}
    if intake.db.execute("SELECT count(*) FROM lists WHERE source = ?", (source,)).fetchone()[0]:
        return sorted(identities, key=digests.__getitem__)[len(identities) // 2 :]
    return [identity for identity in identities if digests[identity][0] >= 128]


def _hold_out(intake: Intake, file: Path) -> None:
    """Put the photographs that a file lists into test. ValueError if it names none of these sources."""
    intake.db.execute("CREATE INDEX files_named ON files (image_id)")
    unknown, found, lines = [], set[str](), 0
    for _, line in read_lines(file):
        lines += 1
        name = line.decode(errors="replace").strip()
        matched = _identities_named(intake, name)
        found |= matched
        if not matched:
            unknown.append(name)
    intake.db.executemany("INSERT OR REPLACE INTO official VALUES (?, 2)", [(identity,) for identity in found])
    if not found:
        raise ValueError(f"{file}: not one of its {lines:,} lines names a photograph of these sources")
    known = {identity for (identity,) in intake.db.execute("SELECT identity FROM photographs")} & found
    intake.held_out = {"lines": lines, "photographs": len(known), "unknown": unknown}
    intake.notes.append(
        f"{len(known):,} photographs are held out: they are in test"
        + (f"; {len(unknown):,} of {lines:,} lines name no photograph of these sources" if unknown else "")
    )


def _identities_named(intake: Intake, line: str) -> set[str]:
    """The photographs that a line of a hold-out list means.

    A line is an identity, what a source recognises (a number or file name of COCO or Flickr), or a file name: as it is,
    without its folder, or without its ending.
    """
    identities = {line, *(source.identify(line) or line for source in intake.sources.values())}
    last = line.rpartition("/")[2]
    names = [line, last, *(f"{last}{ending}" for ending in sorted(PICTURE_ENDINGS))]
    marks = [", ".join("?" * len(values)) for values in (identities, names)]
    query = f"SELECT identity FROM files WHERE identity IN ({marks[0]}) OR image_id IN ({marks[1]})"
    return {identity for (identity,) in intake.db.execute(query, (*identities, *names))}


def assign_splits(intake: Intake) -> None:
    """Once the copies are joined: give every photograph the split of its group."""
    intake.db.executescript(
        """CREATE INDEX grouped ON photographs (grouping);
        UPDATE photographs SET split = (SELECT max(strictness) FROM photographs other JOIN official
            ON official.identity = other.identity WHERE other.grouping = photographs.grouping);"""
    )
    intake.db.create_function("split_name", 2, _split_name, deterministic=True)
    intake.db.execute("UPDATE photographs SET split = split_name(split, grouping)")
    _validation_from_train(intake)


def _validation_from_train(intake: Intake) -> None:
    """If there are no validation photographs, about 1 in 12 of those for training become validation photographs.

    This happens when the list that would be validation is held out; without it no threshold could be chosen. The group
    alone decides which they are, as in hash_split.
    """
    kept = "lost IS NULL AND host IS NULL"
    counts = dict(intake.db.execute(f"SELECT split, count(*) FROM photographs WHERE {kept} GROUP BY split"))
    if counts.get("validation") or not counts.get("train"):
        return
    intake.db.create_function("serves_as_validation", 1, serves_as_validation, deterministic=True)
    intake.db.execute(
        "UPDATE photographs SET split = 'validation' WHERE split = 'train' AND serves_as_validation(grouping)"
    )
    query = f"SELECT count(*) FROM photographs WHERE split = 'validation' AND {kept}"
    if moved := intake.db.execute(query).fetchone()[0]:
        intake.notes.append(
            f"there were no validation photographs; {moved:,} of the {counts['train']:,} for training became such, "
            "by the sha256 of their group"
        )


def hash_split(group: str) -> str:
    """Split of a photograph that no official list names: its group alone decides.

    So adding or removing other photographs never moves it from one split to another.
    """
    share = int.from_bytes(hashlib.sha1(group.encode()).digest()[:8]) / 2**64
    return SPLITS[0] if share < SHARES[0] else SPLITS[1] if share < SHARES[0] + SHARES[1] else SPLITS[2]


def serves_as_validation(group: str) -> bool:
    """Whether a training photograph is used for validation where there is no other: 21 of 256 groups are."""
    return hashlib.sha256(group.encode()).digest()[0] < 21


def _split_name(strictness: int | None, group: str) -> str:
    return hash_split(group) if strictness is None else SPLITS[int(strictness)]
