"""The split of every photograph: by official lists and the hold-out list, and for the rest by a hash of the group.

If sources or lists disagree about a photograph, the strictest split is used: test before validation before train.
All photographs of a group are in one split.
"""

import hashlib
from pathlib import Path

from common.storage import SPLITS
from sources.files import PICTURE_ENDINGS, nfc, read_lines
from sources.intake import Intake

FRACTIONS = (0.75, 0.15, 0.10)  # of SPLITS, for photographs that are in no official list


def find_official_splits(intake: Intake, hold_out: Path | None = None) -> None:
    """Store the official split of every photograph that has one; of several the strictest.

    hold_out: a file with ids or file names, one per line; these photographs are put into the test split.
    """
    for number, name in enumerate(intake.names):
        _splits_of_source(intake, number, name)
    if hold_out is not None:
        _hold_out(intake, hold_out)


def _splits_of_source(intake: Intake, number: int, name: str) -> None:
    """Store the splits of one source. If it has no test photographs, its validation list is divided."""
    given = """SELECT identity, max(strict) AS strict, count(DISTINCT strict) AS lists FROM (
        SELECT identity, strictness(split) AS strict FROM lists WHERE source = ?1 UNION ALL
        SELECT identity, strictness(split) AS strict FROM files WHERE source = ?1 AND split IS NOT NULL)
        GROUP BY identity"""
    intake.db.create_function("strictness", 1, SPLITS.index, deterministic=True)
    intake.db.execute("DROP TABLE IF EXISTS given")
    intake.db.execute(f"CREATE TEMP TABLE given AS {given}".replace("?1", str(number)))
    (twice,) = intake.db.execute("SELECT count(*) FROM given WHERE lists > 1").fetchone()
    if twice:
        intake.notes.append(
            f"{name}: {twice} photographs are in several official lists; "
            "the strictest is used (test before validation before train)"
        )
    if not intake.sources[name].splits_are_final:
        _divide_validation(intake, number, name)
    intake.db.execute(
        """INSERT INTO official SELECT identity, strict FROM given WHERE true ON CONFLICT (identity)
        DO UPDATE SET strictness = max(strictness, excluded.strictness)"""
    )


def _divide_validation(intake: Intake, number: int, name: str) -> None:
    """Put half of a source's validation photographs into test, if the source has no test photographs."""
    has_files = "EXISTS (SELECT 1 FROM files WHERE files.identity = given.identity AND source = ?)"
    query = f"SELECT coalesce(max(strict), 0), count(*) FROM given WHERE {has_files}"
    strictest, present = intake.db.execute(query, (number,)).fetchone()
    middle = [identity for (identity,) in intake.db.execute("SELECT identity FROM given WHERE strict = 1")]
    if present and len(middle) > 1 and strictest < 2:
        second = _second_half(intake, number, middle)
        intake.db.executemany("UPDATE given SET strict = 2 WHERE identity = ?", [(identity,) for identity in second])
        intake.notes.append(
            f"{name}: there are no official test photographs; the {len(middle):,} for validation were divided "
            f"into {len(middle) - len(second):,} for validation and {len(second):,} for test (by sha1 of the identity)"
        )


def _second_half(intake: Intake, source: int, identities: list[str]) -> list[str]:
    """Half of the validation photographs, chosen by a hash: files can be ordered by what the pictures show.

    Of an official list exactly half is chosen, and the choice does not depend on which of its pictures are present. If
    the source has a folder but no list, the hash of each photograph decides alone: adding photographs then does not
    move others to another split.
    """
    digests = {identity: hashlib.sha1(identity.encode()).digest() for identity in identities}
    if intake.db.execute("SELECT count(*) FROM lists WHERE source = ?", (source,)).fetchone()[0]:
        return sorted(identities, key=digests.__getitem__)[len(identities) // 2 :]
    return [identity for identity in identities if digests[identity][0] >= 128]


def _hold_out(intake: Intake, file: Path) -> None:
    """Put the photographs that a file lists into test. ValueError if it names no photograph of the sources."""
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
        raise ValueError(
            f"--hold-out {file}: none of its {lines:,} lines is the id or file name of a photograph of these sources"
        )
    known = {identity for (identity,) in intake.db.execute("SELECT identity FROM photographs")} & found
    intake.held_out = {"lines": lines, "photographs": len(known), "unknown": unknown}
    intake.notes.append(
        f"--hold-out put {len(known):,} photographs into the test split"
        + (f"; {len(unknown):,} of its {lines:,} lines name no photograph of these sources" if unknown else "")
    )


def _identities_named(intake: Intake, line: str) -> set[str]:
    """The identities of the photographs that a line of a hold-out list can mean.

    A line is an identity, an id that a source recognises (a number or file name of COCO or Flickr), or a file name,
    with or without its folder and extension.
    """
    line = nfc(line)
    identities = {line, *(source.identify(line) or line for source in intake.sources.values())}
    last = line.rpartition("/")[2]
    names = [line, last, *(f"{last}{ending}" for ending in sorted(PICTURE_ENDINGS))]
    marks = [", ".join("?" * len(values)) for values in (identities, names)]
    query = f"""SELECT identity FROM files WHERE identity IN ({marks[0]}) OR image_id IN ({marks[1]})
        UNION SELECT identity FROM disputed WHERE number IN ({marks[0]})"""
    return {identity for (identity,) in intake.db.execute(query, (*identities, *names, *identities))}


def assign_splits(intake: Intake) -> None:
    """After the copies are joined: give every photograph the split of its group."""
    intake.db.executescript(
        """CREATE INDEX grouped ON photographs (grouping);
        UPDATE photographs SET split = (SELECT max(strictness) FROM photographs other JOIN official
            ON official.identity = other.identity WHERE other.grouping = photographs.grouping);"""
    )
    intake.db.create_function("split_name", 2, _split_name, deterministic=True)
    intake.db.execute("UPDATE photographs SET split = split_name(split, grouping)")
    _validation_from_train(intake)


def _validation_from_train(intake: Intake) -> None:
    """If there are no validation photographs, use about 1 in 12 training photographs for validation.

    This happens when the whole validation list is held out. Without validation photographs no threshold can be chosen.
    A hash of the group decides, as in `hash_split`.
    """
    kept = "usable AND host IS NULL"
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
            f"there were no validation photographs; {moved:,} of the {counts['train']:,} training photographs are "
            "used for validation (by sha256 of the group)"
        )


def hash_split(group: str) -> str:
    """Split of a photograph that is in no official list, by a hash of its group.

    It depends on nothing else, so adding or removing other photographs does not change it.
    """
    train, validation, _ = FRACTIONS
    place = int.from_bytes(hashlib.sha1(group.encode()).digest()[:8]) / 2**64  # uniform in [0, 1)
    return SPLITS[0] if place < train else SPLITS[1] if place < train + validation else SPLITS[2]


def serves_as_validation(group: str) -> bool:
    """Whether a training photograph is used for validation if there are no others; true for 21 of 256 groups."""
    return hashlib.sha256(group.encode()).digest()[0] < 21


def _split_name(strictness: int | None, group: str) -> str:
    return hash_split(group) if strictness is None else SPLITS[int(strictness)]
