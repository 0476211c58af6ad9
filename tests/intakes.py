"""Short ways to write items of readers, and an intake of them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from sources.copies import join_copies
from sources.intake import Intake, Photograph
from sources.items import Item, Listed, Picture, Source, Text
from sources.regions import give_regions
from sources.registry import SOURCES
from sources.splits import assign_splits, find_official_splits


def picture(identity: str, image_id: str | None = None, split: str | None = None) -> Picture:
    name = image_id or f"{identity.partition(':')[2]}.jpg"
    return Picture(identity, name, Path("pictures") / name, split)


def text(identity: str, words: str = "a dog", where: str = "captions:1", kind: str = "caption", matches: bool = True):
    return Text(identity, words, kind, where, matches)


def take_in(
    sources: dict[str, Iterable[Item]],
    hold_out: Path | None = None,
    before_joining: Callable[[Intake], None] = lambda _intake: None,
) -> Intake:
    unknown = {name: Source("folder", lambda *_: iter(()), collection=name) for name in sources}
    intake = Intake(Path(":memory:"), unknown | SOURCES)
    for name, items in sources.items():
        intake.add_source(name)
        for item in items:
            intake.add(name, item)
    before_joining(intake)
    intake.join()
    give_regions(intake)
    find_official_splits(intake, hold_out)
    return intake


def photographs(intake: Intake) -> dict[str, Photograph]:
    return {photograph.files[0].identity: photograph for chunk in intake.chunks(2) for photograph in chunk}


def splits(intake: Intake) -> dict[str, str]:
    """Identity -> split, of every photograph."""
    join(intake, [])
    ranks = {photograph.rank: identity for identity, photograph in photographs(intake).items()}
    return {ranks[row.rank]: row.split for row in intake.rows(1, len(ranks))}


def reasons(intake: Intake) -> list[tuple[str, str, str]]:
    return [(entry["source"], entry["where"], entry["reason"]) for entry in intake.left_out()]


def listed_flickr(numbers: Iterable[int], split: str) -> list[Item]:
    names = [f"flickr:{n}" for n in numbers]
    return [i for name in names for i in (picture(name), text(name), Listed(name, split, f"{split}.txt:1"))]


def join(intake: Intake, links: Iterable[tuple[int, int]], *distance: Callable[[int, int], int | None]) -> None:
    """Join copies and assign splits, as a build does."""
    join_copies(intake, links, *distance)
    assign_splits(intake)
