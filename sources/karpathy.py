"""Read Karpathy's dataset_coco.json, dataset_flickr30k.json and dataset_flickr8k.json: captions with their splits."""

from collections.abc import Callable, Iterator
from pathlib import Path

from sources.files import describe_error, stream_json
from sources.items import SPLIT_NAMES, Item, LeftOut, Listed, Text


def read_karpathy(
    file: Path,
    identify: Callable[[dict], str],
    part_of: Callable[[str, dict], str | None] = lambda identity, image: None,
) -> Iterator[Item]:
    """Captions and splits of a dataset_*.json; `restval` is read as train. Source: Karpathy & Fei-Fei 2015.

    identify: an entry of "images" -> the identity of its photograph. part_of: (identity, entry) -> see `Text.part`.
    """
    for number, image in stream_json(file, "images.item"):
        try:
            split, identity = SPLIT_NAMES[image["split"]], identify(image)
            part = part_of(identity, image)
            sentences = [(s["raw"].strip(), s.get("sentid", f"images[{number}]")) for s in image["sentences"]]
        except (KeyError, TypeError, AttributeError) as error:
            listed = image.get("sentences") if isinstance(image, dict) else None
            lost = len(listed) if isinstance(listed, list) else 0
            reason = f"not a record of a Karpathy file: {describe_error(error)}"
            yield LeftOut("line", f"{file.name}:images[{number}]", reason, captions=lost)
            continue
        yield Listed(identity, split, f"{file.name}:images[{number}]", part)
        for text, place in sentences:
            yield Text(identity, text, "caption", f"{file.name}:{place}", part=part)
