"""COCO's boxes: the objects of 80 categories in each photograph, and the words of captions that name them.

The files are instances_*.json beside those of the captions. The words are in `instances.toml`. A caption does not say
which box it means, so a word has boxes only if their number leaves no doubt; see `find_regions`.
"""

import tomllib
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.regions import Box, Region
from sources.files import describe_error, stream_json
from sources.items import Item, LeftOut, Text
from Tokenizer_lib import Word, split_words

NUMBERS = {word: n for n, word in enumerate("one two three four five six seven eight nine ten".split(), start=1)}
NUMBER_WITHIN = 3  # words before the noun: "two large brown dogs"


class Objects(NamedTuple):
    """The objects of one category in a photograph."""

    boxes: tuple[Box, ...]
    crowded: bool = False
    """Whether a box is that of a crowd, whose members have no boxes of their own."""


class Name(NamedTuple):
    """A word or phrase for a category."""

    category: str
    one: bool
    many: bool


class Instances:
    """The boxes of some instances_*.json. They take 36 bytes an object: 32 MB for the 896,782 of COCO 2017."""

    def __init__(self) -> None:
        self.categories: dict[int, str] = {}
        self._ids, self._pictures, self._kinds = array("q"), array("q"), array("h")
        self._crowds, self._boxes, self._parts = array("b"), array("f"), array("b")
        self._part_names: list[str | None] = []
        self._unnumbered: dict[str, int] = {}  # identity -> a negative number, for photographs without a number
        self._order: np.ndarray | None = None

    def read(
        self, file: Path, part: str | None = None, identify: Callable[[dict], str] = lambda image: f"coco:{image['id']}"
    ) -> Iterator[LeftOut]:
        """Add the boxes of a file. An object without a category, picture or usable box is left out.

        part: of the data set, which the file is about. identify: entry of "images" -> identity of its photograph.
        """
        self._part_names.append(part)
        try:
            categories = {entry["id"]: entry["name"] for _, entry in stream_json(file, "categories.item")}
            images = {
                entry["id"]: (self.number_of(identify(entry)), entry["width"], entry["height"])
                for _, entry in stream_json(file, "images.item")
            }
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file} has no boxes of COCO ({describe_error(error)}); download it again") from None
        self.categories |= categories
        for number, entry in stream_json(file, "annotations.item"):
            try:
                self._add(entry, categories, images)
            except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
                name = entry.get("id") if isinstance(entry, dict) else None
                place = f"{file.name}:{f'annotations[{number}]' if name is None else name}"
                yield LeftOut("line", place, "not an object with a category and a box in its picture")
        self._order = None

    def number_of(self, identity: str) -> int:
        """The number of a photograph; for an identity without one, a negative number of its own."""
        number = identity.partition(":")[2]
        # An array of 64-bit integers holds the numbers.
        if number.isdecimal() and len(number) < 19:
            return int(number)
        return self._unnumbered.setdefault(identity, -1 - len(self._unnumbered))

    def _add(self, entry: dict, categories: Mapping[int, str], images: Mapping[Any, tuple[int, int, int]]) -> None:
        kind, (x, y, width, height) = entry["category_id"], entry["bbox"]
        picture, right, bottom = images[entry["image_id"]]
        x0, x1, y0, y1 = x / right, (x + width) / right, y / bottom, (y + height) / bottom
        box = (max(0, x0), max(0, y0), min(1, x1), min(1, y1))
        numbers = array("q", (entry["id"], picture, kind))  # TypeError if one is not a whole number
        if kind not in categories or not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"category {kind}, box {box}")
        self._kinds.append(kind)
        self._ids.append(numbers[0])
        self._pictures.append(numbers[1])
        self._crowds.append(bool(entry.get("iscrowd")))
        self._parts.append(len(self._part_names) - 1)
        self._boxes.extend(box)

    def of(self, picture: int, part: str | None = None) -> dict[str, Objects]:
        """Category -> its objects in a photograph. An object that two files have (2014 and 2017) counts once.

        picture: see `number_of`. part: only the objects of the file about this part.
        """
        if self._order is None:
            self._order = np.lexsort((np.asarray(self._ids), np.asarray(self._pictures)))
            self._sorted = np.asarray(self._pictures)[self._order]
        first, after = np.searchsorted(self._sorted, [picture, picture + 1])
        found: dict[str, Objects] = {}
        seen = set[int]()
        for place in self._order[first:after].tolist():
            if part is not None and self._part_names[self._parts[place]] != part:
                continue
            if self._ids[place] not in seen:
                seen.add(self._ids[place])
                name = self.categories[self._kinds[place]]
                left, top, right, bottom = self._boxes[4 * place : 4 * place + 4]
                before = found.get(name, Objects(()))
                boxes = (*before.boxes, (left, top, right, bottom))
                found[name] = Objects(boxes, before.crowded or bool(self._crowds[place]))
        return found


def add_regions(items: Iterator[Item], instances: Instances) -> Iterator[Item]:
    """The same items; captions of photographs with boxes have the regions of `find_regions`."""
    for item in items:
        if isinstance(item, Text):
            objects = instances.of(instances.number_of(item.identity), item.part)
            yield item._replace(regions=find_regions(item.text, objects))
        else:
            yield item


def find_regions(text: str, objects: Mapping[str, Objects]) -> tuple[Region, ...]:
    """A region for each noun of a caption that names all objects of a category.

    A word for one object needs exactly one box of its category, a word for several at least two or a crowd, and a
    number before it ("two dogs") as many as it says. If a caption has different words for one category ("a man and a
    woman"), none has a region: each of them means only some of the boxes.
    """
    words = split_words(text)
    found = list(find_names(words))
    spellings: dict[str, set[tuple[str, ...]]] = {}
    for start, end, name in found:
        spellings.setdefault(name.category, set()).add(tuple(word.text for word in words[start:end]))
    regions, last = [], 0
    for start, end, name in found:
        its, before = objects.get(name.category), words[max(last, start - NUMBER_WITHIN) : start]
        last = end
        if its and len(spellings[name.category]) == 1 and fits_number(before, name, its):
            regions.append(Region(words[start].start, words[end - 1].end, its.boxes))
    return tuple(regions)


def find_names(words: list[Word]) -> Iterator[tuple[int, int, Name]]:
    """(first word, word after the last, name) of each word or phrase for a category; of nested ones the longest."""
    names, modified = read_names()
    at = 0
    while at < len(words):
        for length in (3, 2, 1):
            spelled = tuple(word.text for word in words[at : at + length])
            if len(spelled) == length and spelled in names:
                following = words[at + length].text if at + length < len(words) else ""
                if following not in modified:
                    yield at, at + length, names[spelled]
                at += length - 1
                break
        at += 1


def fits_number(before: list[Word], name: Name, objects: Objects) -> bool:
    """Whether a noun must mean all objects of its category. before: up to NUMBER_WITHIN words before it."""
    count = len(objects.boxes)
    if name.one and count == 1 and not objects.crowded:
        return True
    said = [NUMBERS[word.text] for word in before if word.text in NUMBERS]
    if said:
        return name.many and said[-1] == count and not objects.crowded
    return name.many and (count > 1 or objects.crowded)


@cache
def read_names() -> tuple[dict[tuple[str, ...], Name], frozenset[str]]:
    """Words -> the category they name, and the words before which a noun only modifies another one."""
    content: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    names: dict[tuple[str, ...], Name] = {}
    for category, lists in content["categories"].items():
        one, many = (lists[key].split() for key in ("one", "many"))
        for spelled in dict.fromkeys((*one, *many)):
            words = tuple(spelled.split("_"))
            if words in names:
                raise ValueError(f"instances.toml: {spelled} is in {names[words].category} and in {category}")
            names[words] = Name(category, spelled in one, spelled in many)
    return names, frozenset(content["modifies"]["before"].split())
