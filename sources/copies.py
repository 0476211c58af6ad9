"""Find photographs that are the same picture with different names, in one source or in several.

They form one *group*, and a group is in one split. A *guest* has no row of its own: its texts are added to the row of
another photograph of the group, its *host*.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from common.jobs import progress
from common.pictures import Fingerprints
from sources.intake import Intake
from sources.items import LeftOut
from sources.stored import read_arrow
from sources.units import Chunk


def find_copies(intake: Intake, chunks: Sequence[Chunk]) -> None:
    """Leave out the pictures that cannot be used, and join the photographs that are the same picture."""
    ranks, bits, colours = [], [], []
    for chunk in progress(chunks, "compare pictures", " units"):
        table = read_arrow(chunk.pictures).select(["bits", "colours", "problems", "source"])
        for rank, row in zip(chunk.ranks, table.to_pylist()):
            _note_problems(intake, rank, row)
            if row["bits"] is not None:
                ranks.append(rank)
                bits.append(row["bits"])
                colours.append(row["colours"])
    if not ranks:
        join_copies(intake, [])
        return
    fingerprints = Fingerprints(
        np.frombuffer(b"".join(bits), np.uint8).reshape(len(bits), -1),
        np.frombuffer(b"".join(colours), np.uint8).reshape(len(bits), -1),
    )
    place = {rank: i for i, rank in enumerate(ranks)}
    join_copies(
        intake,
        ((ranks[i], ranks[j]) for i, j in fingerprints.links()),
        lambda first, second: fingerprints.distance(place[first], place[second]),
    )


def _note_problems(intake: Intake, rank: int, row: dict) -> None:
    """Leave out the unusable files of a photograph, or the whole photograph if it has no usable file."""
    if row["source"] is None:
        reasons = {problem["source"]: problem["reason"] for problem in reversed(row["problems"])}
        intake.leave_out_photograph(rank, reasons)
        return
    for problem in row["problems"]:
        intake.leave_out(problem["source"], LeftOut("copy", problem["where"], problem["reason"]))


def join_copies(
    intake: Intake, links: Iterable[tuple[int, int]], distance: Callable[[int, int], int | None] = lambda i, j: 0
) -> None:
    """Join photographs that are the same picture, and give every photograph its group.

    links: (rank, rank) of equal pictures.
    distance: (rank, rank) -> how many bits of their fingerprints differ, or None if the two pictures are not equal
    (they can be the two ends of a chain of links).

    Two photographs of one source keep their own rows, since its makers decided to have both; they share group and
    split. Across sources the later photograph becomes the guest of the most similar earlier one.
    """
    links = list(links)
    for cluster in _connected(links):
        _join_cluster(intake, cluster, distance)
    hosts = dict(intake.db.execute("SELECT rank, coalesce(host, rank) FROM photographs WHERE grouping IS NOT NULL"))
    for i, j in sorted(links):
        intake.overlaps["by picture"].append(
            {
                "photographs": [_about(intake, i).name, _about(intake, j).name],
                "differing bits": distance(i, j),
                "stored as": "one row" if hosts[i] == hosts[j] else "two rows of one group",
            }
        )
    intake.db.execute("UPDATE photographs SET grouping = identity WHERE grouping IS NULL")


def _join_cluster(intake: Intake, cluster: Sequence[int], distance: Callable[[int, int], int | None]) -> None:
    about = {rank: _about(intake, rank) for rank in cluster}
    group = min(copy.identity for copy in about.values())
    holders: dict[int, set[int]] = {}  # host -> sources of it and of its guests
    for rank in cluster:
        free = {
            host: bits
            for host, sources in holders.items()
            if not sources & about[rank].sources and (bits := distance(host, rank)) is not None
        }
        if free:
            host = min(free, key=lambda host: (free[host], host))
            holders[host] |= about[rank].sources
            intake.db.execute("UPDATE photographs SET host = ? WHERE rank = ?", (host, rank))
            _drop_repeated_texts(intake, host, rank)
        else:
            holders[rank] = set(about[rank].sources)
        intake.db.execute("UPDATE photographs SET grouping = ? WHERE rank = ?", (group, rank))


class _Copy(NamedTuple):
    identity: str
    name: str
    """SOURCE/IMAGE_ID"""
    sources: set[int]
    """All sources that have a file of it."""


def _about(intake: Intake, rank: int) -> _Copy:
    identity, source, image_id = intake.db.execute(
        "SELECT identity, source, image_id FROM photographs WHERE rank = ?", (rank,)
    ).fetchone()
    sources = {number for (number,) in intake.db.execute("SELECT source FROM files WHERE identity = ?", (identity,))}
    return _Copy(identity, f"{intake.names[source]}/{image_id}", sources)


def _drop_repeated_texts(intake: Intake, host: int, guest: int) -> None:
    """Leave out the texts of a guest that its host or an earlier guest already has."""
    texts = """SELECT texts.id, digest, kind, matches, texts.source, place FROM texts JOIN photographs USING (identity)
        WHERE repeats IS NULL AND host_has_it = 0 AND """
    known = {
        tuple(row[1:4])
        for row in intake.db.execute(texts + "(rank = ? OR host = ?) AND rank <> ?", (host, host, guest))
    }
    for number, digest, kind, matches, source, place in intake.db.execute(texts + "rank = ?", (guest,)).fetchall():
        if (digest, kind, matches) in known:
            intake.db.execute("UPDATE texts SET host_has_it = 1 WHERE id = ?", (number,))
            reason = "another dataset has the same text for the same picture"
            intake.leave_out(intake.names[source], LeftOut("caption", place, reason, captions=1))


def _connected(links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Sets of numbers that are connected by links (union-find), each in ascending order."""
    smallest: dict[int, int] = {}

    def root(number: int) -> int:
        while smallest.setdefault(number, number) != number:
            number = smallest[number]
        return number

    for i, j in links:
        first, second = sorted((root(i), root(j)))
        smallest[second] = first
    sets = defaultdict[int, list[int]](list)
    for number in sorted(smallest):
        sets[root(number)].append(number)
    return list(sets.values())
