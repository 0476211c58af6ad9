"""Flickr30k Entities: the boxes of what the captions of Flickr30k name. Source: Plummer et al. 2015.

Sentences/NUMBER.txt has the captions of a photograph, one a line; in "[/EN#18/people A child] runs ." the words
"A child" name chain 18. Annotations/NUMBER.xml has the boxes of the chains, in pixels of the original picture. The
captions themselves come from Flickr30k or Flickr8k.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from common.jobs import progress
from common.regions import Box, Region
from sources.files import describe_error, find_folder, not_utf8
from sources.flickr import flickr_identity
from sources.items import Grounded, Item, LeftOut, Source

_PHRASE = re.compile(r"\[/EN#(\d+)(?:/[^\s\]]*)?\s+([^\[\]]*)\]")


def read_entities(folder: Path) -> Iterator[Item]:
    """The sentences of Flickr30k Entities with their regions. A phrase of a chain without a box has no region."""
    sentences, annotations = find_folder(folder, "Sentences"), find_folder(folder, "Annotations")
    if sentences is None or annotations is None:
        expected = "the folder of Flickr30k Entities with Sentences/ and Annotations/"
        missing = "Sentences/" if sentences is None else "Annotations/"
        raise FileNotFoundError(f"--entities {folder} has no {missing}; it must be {expected}")
    files = {path.stem: path for path in sentences.glob("*.txt")}
    boxes = {path.stem: path for path in annotations.glob("*.xml")}
    for name in progress(sorted(files.keys() | boxes.keys()), "Flickr30k Entities", " files"):
        yield from _read_photograph(name, files.get(name), boxes.get(name))


def _read_photograph(name: str, sentences: Path | None, annotation: Path | None) -> Iterator[Item]:
    if sentences is None:
        yield LeftOut("file", f"Annotations/{name}.xml", f"there is no Sentences/{name}.txt")
        return
    where = f"Sentences/{sentences.name}"
    content = sentences.read_bytes()
    try:
        lines = [line for line in content.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        yield LeftOut("file", where, not_utf8(content, error))
        return
    if annotation is None:
        yield LeftOut("file", where, f"there is no Annotations/{name}.xml", captions=len(lines))
        return
    try:
        boxes = read_boxes(annotation)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        place = f"Annotations/{annotation.name}"
        yield LeftOut("file", place, f"not a file of boxes: {describe_error(error)}", captions=len(lines))
        return
    for number, line in enumerate(lines, start=1):
        text, regions = read_sentence(line, boxes)
        if "/EN#" in text:
            yield LeftOut("line", f"{where}:{number}", f"unreadable brackets: {line[:80]!r}", captions=1)
        else:
            yield Grounded(flickr_identity(name), text, regions, f"{where}:{number}")


def read_sentence(line: str, boxes: Mapping[str, Sequence[Box]]) -> tuple[str, tuple[Region, ...]]:
    """The text of a line without its brackets, and a region for each phrase whose chain has boxes.

    boxes: chain -> boxes. Chain 0 is of phrases that name nothing visible.
    """
    text, end, regions = "", 0, []
    line = line.strip()
    for match in _PHRASE.finditer(line):
        text += line[end : match.start()]
        end = match.end()
        if found := boxes.get(match[1]):
            regions.append(Region(len(text), len(text) + len(match[2]), tuple(found)))
        text += match[2]
    return text + line[end:], tuple(regions)


def read_boxes(file: Path) -> dict[str, list[Box]]:
    """Chain -> its boxes, in fractions of the picture.

    A chain that also has an object without a box, or a box without area, is left out: not all that it names has boxes.
    ValueError, LookupError or ParseError if the file is damaged.
    """
    root = ElementTree.parse(file).getroot()
    width, height = (_number(root, f"size/{side}") for side in ("width", "height"))
    if min(width, height) <= 0:
        raise ValueError(f"the picture has {width:g} x {height:g} pixels")
    boxes, incomplete = defaultdict[str, list[Box]](list), set[str]()
    for item in root.iter("object"):
        chains = [name.text or "" for name in item.iter("name")]
        box = None
        if item.find("bndbox") is not None:
            x0, y0, x1, y1 = (_number(item, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
            # As in PASCAL VOC, the first pixel is number 1, and the last one belongs to the box.
            box = (max(0, x0 - 1) / width, max(0, y0 - 1) / height, min(1, x1 / width), min(1, y1 / height))
        for chain in chains:
            if box and box[0] < box[2] and box[1] < box[3]:
                boxes[chain].append(box)
            else:
                incomplete.add(chain)
    return {chain: found for chain, found in boxes.items() if chain not in incomplete}


def _number(element: ElementTree.Element, path: str) -> float:
    found = element.findtext(path)
    if found is None:
        raise LookupError(f"no {path}")
    return float(found)


SOURCES = {"entities": Source("folder", lambda folder, _: read_entities(folder))}
