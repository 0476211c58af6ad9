"""Localized Narratives: spoken descriptions of pictures of COCO, Flickr30k and ADE20K, transcribed.

Source: Pont-Tuset et al. 2020.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from sources.ade20k import ade20k_identity
from sources.coco import coco_identity
from sources.files import describe_error, parse_json, read_lines, unread_collections
from sources.flickr import flickr_identity
from sources.items import SPLIT_NAMES, Item, LeftOut, Listed, Source, Text

IDENTIFY: dict[str, Callable[[str], str]] = {  # first part of dataset_id -> identity of an image_id
    "mscoco": coco_identity,
    "flickr30k": flickr_identity,
    "ade20k": ade20k_identity,
}


def read_narratives(file: Path) -> Iterator[Item]:
    """Localized Narratives of COCO, Flickr30k and ADE20K, one JSON object per line.

    Narratives of another dataset (Open Images) are left out, with one entry for the dataset.
    """
    others = Counter[str]()
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            record = parse_json(line)
            dataset, image_id, caption = record["dataset_id"], str(record["image_id"]), record["caption"]
            name, _, part = dataset.lower().partition("_")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"not a record of Localized Narratives: {describe_error(error)}"
            yield LeftOut("line", where, reason, captions=1)
            continue
        if not isinstance(caption, str):
            yield LeftOut("line", where, "the caption is not a text", captions=1)
        elif name not in IDENTIFY:
            others[dataset] += 1
        else:
            identity = IDENTIFY[name](image_id)
            if name == "flickr30k" and part in SPLIT_NAMES:  # COCO and ADE20K have a folder for each split
                yield Listed(identity, SPLIT_NAMES[part], where)
            yield Text(identity, caption.strip(), "narrative", where)
    yield from unread_collections(file, others)


SOURCES = {"narratives": Source("file", lambda file, _: read_narratives(file))}
