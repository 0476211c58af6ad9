"""ShareGPT4V: long captions that GPT-4V or Share-Captioner wrote for pictures of COCO. Source: Chen et al. 2023."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sources.coco import coco_identity
from sources.files import describe_error, stream_json, unread_collections
from sources.items import Item, LeftOut, Source, Text


def read_sharegpt4v(file: Path) -> Iterator[Item]:
    """Captions of COCO pictures, from a JSON list of conversations.

    Most of the 1.2 million records describe pictures of other collections (llava, sam, ...). They are left out, with
    one entry for each collection.
    """
    others = Counter[str]()
    for number, record in stream_json(file, "item"):
        where = f"{file.name}:[{number}]"
        try:
            image, turns = record["image"], record["conversations"]
            answers = [turn["value"] for turn in turns if turn["from"] == "gpt"]
            collection, _, rest = image.partition("/")
        except (KeyError, TypeError, AttributeError) as error:
            yield LeftOut("line", where, f"not a ShareGPT4V record: {describe_error(error)}", captions=1)
            continue
        if len(answers) != 1 or not isinstance(answers[0], str):
            reason = f"expected one answer with a text in the conversation, got {len(answers)} answers"
            yield LeftOut("line", where, reason, captions=1)
        elif collection != "coco":
            others[collection] += 1
        else:
            yield Text(coco_identity(rest), answers[0].strip(), "dense", where)
    yield from unread_collections(file, others)


SOURCES = {"sharegpt4v": Source("file", lambda file, _: read_sharegpt4v(file))}
