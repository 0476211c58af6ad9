"""Localized Narratives: spoken descriptions of pictures of COCO, Flickr30k and ADE20K, transcribed.

While they spoke, the annotators moved the mouse over what they named. The trace of an utterance is a region: a database
stores boxes, so its box is that of the convex hull of the trace, which is the box of the trace itself.

Source: Pont-Tuset et al. 2020.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.regions import Region
from sources.ade20k import ade20k_identity
from sources.coco import coco_identity
from sources.files import describe_error, parse_json, read_lines, unread_collections
from sources.flickr import flickr_identity
from sources.items import SPLIT_NAMES, Item, LeftOut, Listed, Note, Source, Text

IDENTIFY: dict[str, Callable[[str], str]] = {  # first part of dataset_id -> identity of an image_id
    "mscoco": coco_identity,
    "flickr30k": flickr_identity,
    "ade20k": ade20k_identity,
}


def read_narratives(file: Path) -> Iterator[Item]:
    """Localized Narratives of COCO, Flickr30k and ADE20K, one JSON object per line.

    Narratives of another dataset (Open Images) are left out, with one entry for the dataset.
    """
    others, unreadable = Counter[str](), 0
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
            text = caption.strip()
            try:
                regions = read_traces(text, record)
            except ValueError:
                regions, unreadable = (), unreadable + 1
            yield Text(identity, text, "narrative", where, regions=regions)
    yield from unread_collections(file, others)
    if unreadable:
        yield Note(f"{file.name}: {unreadable:,} narratives have traces that cannot be read; stored without boxes")


def read_traces(text: str, record: Mapping[str, Any]) -> tuple[Region, ...]:
    """The region of each utterance of a narrative: the box of the mouse while it was spoken, clipped to the picture.

    record: with `timed_caption` (utterance, start_time, end_time) and `traces` (lists of points x, y in fractions of
    the picture, at the time t). An utterance has no region if the text does not contain it after the last one, if its
    times are reversed, or if the mouse did not move inside the picture. ValueError if a value has another form.
    """
    if "traces" not in record or "timed_caption" not in record:
        return ()
    try:
        points = sorted(
            (float(one["t"]), float(one["x"]), float(one["y"])) for trace in record["traces"] for one in trace
        )
        timed = record["timed_caption"]
        spoken = [(one["utterance"].strip(), float(one["start_time"]), float(one["end_time"])) for one in timed]
    except (KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(describe_error(error)) from None
    if not math.isfinite(sum(map(sum, points))):
        raise ValueError("a place or time is not a number")
    regions, at = [], 0
    times = [point[0] for point in points]
    for utterance, begin, end in spoken:
        start = text.find(utterance, at)
        if not utterance or start < 0:
            continue
        at = start + len(utterance)
        if during := points[bisect_left(times, begin) : bisect_right(times, end)]:
            _, across, down = zip(*during)
            box = (max(0.0, min(across)), max(0.0, min(down)), min(1.0, max(across)), min(1.0, max(down)))
            if box[0] < box[2] and box[1] < box[3]:
                regions.append(Region(start, at, (box,)))
    return tuple(regions)


SOURCES = {"narratives": Source("file", lambda file, _: read_narratives(file))}
