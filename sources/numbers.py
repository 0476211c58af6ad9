"""One number, two pictures: files with one identity are one photograph only if their pictures agree.

Numbers of photographs are often not unique: own data in the format of COCO count the pictures of every split from 0.
It runs before the items are joined. Files whose pictures differ become photographs of their own, with the texts of
which it is known that they describe them.
"""

import filecmp
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.jobs import progress, run_jobs
from common.pictures import Fingerprint, Fingerprints, fingerprint, open_picture
from Config import DatabaseConfig
from sources.intake import Intake

AT_ONCE = 50  # numbers of one job
FEW = 200  # numbers; to start workers for so few takes longer than it saves


@dataclass(frozen=True)
class Comparison:
    """Compares the files of some identities, as a job for any process or machine."""

    files: tuple[tuple[Path, ...], ...]
    """The files of each identity."""

    def run(self) -> list[list[int]]:
        """For each identity, the number of the picture that each file shows."""
        return [pictures_of(paths) for paths in self.files]


def find_disputed_numbers(intake: Intake, engine: str, workers: int) -> None:
    """Separate the files of each identity whose pictures differ."""
    several = intake.files_of_one_identity()
    identities, files = [identity for identity, _ in several], [paths for _, paths in several]
    jobs = (Comparison(tuple(files[start : start + AT_ONCE])) for start in range(0, len(files), AT_ONCE))
    done = run_jobs(jobs, engine, workers) if len(files) > FEW else ((job, job.run()) for job in jobs)
    bar = progress(None, "compare pictures of one number", " numbers", len(files))
    separated = 0
    with bar:
        for identity, pictures in zip(identities, _each(done, bar)):
            if max(pictures) > 0:
                intake.separate(identity, pictures)
                separated += 1
    if separated:
        intake.notes.append(
            f"{separated:,} numbers belong to several different pictures, each of which is a photograph of its own"
        )


def _each(done: Iterable[tuple[Comparison, list[list[int]]]], bar: tqdm) -> Iterator[list[int]]:
    for job, found in done:
        yield from found
        bar.update(len(job.files))


def pictures_of(paths: Sequence[Path]) -> list[int]:
    """The number of the picture that each file shows, from 0 in the order of their first files.

    A file that cannot be read counts as the first picture: the build reports it.
    """
    firsts: list[Path] = []  # the first readable file of each picture
    hashes: dict[Path, Fingerprint | None] = {}
    return [_picture(path, firsts, hashes) for path in paths]


def _picture(path: Path, firsts: list[Path], hashes: dict[Path, Fingerprint | None]) -> int:
    for number, first in enumerate(firsts):
        if _same_bytes(path, first):
            return number
    if _hash(path, hashes) is None:
        return 0
    for number, first in enumerate(firsts):
        if _agree(_hash(path, hashes), _hash(first, hashes)):
            return number
    firsts.append(path)
    return len(firsts) - 1


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def _hash(path: Path, hashes: dict[Path, Fingerprint | None]) -> Fingerprint | None:
    """The fingerprint of a file, or None if it cannot be read."""
    if path not in hashes:
        try:
            hashes[path] = fingerprint(open_picture(path, DatabaseConfig.short_side))
        except (OSError, ValueError):
            hashes[path] = None
    return hashes[path]


def _agree(one: Fingerprint | None, other: Fingerprint | None) -> bool:
    assert one is not None and other is not None, "only files that can be read are compared"
    bits, colours = (np.frombuffer(b"".join(part), np.uint8).reshape(2, -1) for part in zip(one, other))
    return Fingerprints(bits, colours).distance(0, 1) is not None
