"""Files of datasets as their authors write them, for the tests of the readers."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sources.items import Item, LeftOut, Text
from sources.pairs import read_pairs

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


NO_LISTS = (
    "there are no official split lists; a photograph gets its split from another dataset that has it, "
    "or by a hash of its identity"
)


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Write files below a folder: bytes and text unchanged, other values as JSON, None as a picture (an empty file)."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            text = "" if content is None else content if isinstance(content, str) else json.dumps(content)
            content = text.encode()
        path.write_bytes(content)
    return folder


def of_type(kind: type, items: Iterable[Item]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


def coco_captions(*annotations: Any) -> dict[str, Any]:
    """captions_*.json with all keys of COCO's files; annotations: (image_id, id, caption), or any other value."""
    return {
        "info": {
            "description": "COCO 2017 Dataset",
            "url": "http://cocodataset.org",
            "version": "1.0",
            "year": 2017,
            "contributor": "COCO Consortium",
            "date_created": "2017/09/01",
        },
        "licenses": [{"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "id": 1, "name": "BY-NC-SA"}],
        "images": [
            {
                "license": 4,
                "file_name": "000000397133.jpg",
                "coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg",
                "height": 427,
                "width": 640,
                "date_captured": "2013-11-14 17:02:52",
                "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
                "id": 397133,
            }
        ],
        "annotations": [
            {"image_id": a[0], "id": a[1], "caption": a[2]} if isinstance(a, tuple) else a for a in annotations
        ],
    }


def karpathy(dataset: str, *images: dict) -> dict[str, Any]:
    return {"images": list(images), "dataset": dataset}


def sentence(raw: str, sentid: int) -> dict[str, Any]:
    return {"tokens": raw.lower().rstrip(". ").split(), "raw": raw, "imgid": 0, "sentid": sentid}


def coco_image(number: int, folder: str, split: str, *sentences: dict) -> dict[str, Any]:
    """An image of dataset_coco.json, with all its keys."""
    return {
        "filepath": folder,
        "sentids": [s["sentid"] for s in sentences],
        "filename": f"COCO_{folder}_{number:012}.jpg",
        "imgid": 0,
        "split": split,
        "sentences": list(sentences),
        "cocoid": number,
    }


def narrative(dataset: str, image: str, caption: Any = "In this image I can see a dog. ") -> dict[str, Any]:
    """A record with all its keys."""
    return {
        "dataset_id": dataset,
        "image_id": image,
        "annotator_id": 93,
        "caption": caption,
        "timed_caption": [{"utterance": "In this image", "start_time": 0.0, "end_time": 0.9}],
        "traces": [[{"x": 0.2086, "y": -0.0533, "t": 0.022}, {"x": 0.2129, "y": -0.0428, "t": 0.038}]],
        "voice_recording": f"{dataset}/{dataset}_{image}_93.ogg",
    }


def hypothesis_line(label: Any, text: Any, number: Any = "7", **more: Any) -> dict[str, Any]:
    """A record of SNLI-VE with all its keys."""
    return {
        "Flickr30K_ID": number,
        "gold_label": label,
        "sentence1": "A dog runs .",
        "sentence2": text,
        "captionID": f"{number}.jpg#0",
        "pairID": f"{number}.jpg#0r1e",
        **more,
    }


def conversation(image: str, *answers: str) -> dict[str, Any]:
    turns = []
    for number, answer in enumerate(answers):
        question = "What is in this picture?" + ("\n<image>" if number == 0 else "")
        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": Path(image).stem, "image": image, "conversations": turns}


def accounted(items: Iterable[Item]) -> int:
    return sum(item.captions if isinstance(item, LeftOut) else isinstance(item, Text) for item in items)


def almost(*keys: str) -> st.SearchStrategy:
    """JSON values that are nearly records with these keys: some keys are absent, some values have a wrong type."""
    names = st.sampled_from(["mscoco_val2017", "open_images_train", "coco/1.jpg", "1.jpg", "val", "gpt", "9", "A dog."])
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), st.text(), names)
    turn = st.fixed_dictionaries({}, optional=dict.fromkeys(("from", "value", "raw", "sentid"), names | scalars))
    values = st.one_of(scalars, st.lists(turn, max_size=3), st.dictionaries(st.text(max_size=3), scalars, max_size=2))
    record = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values))
    likely = st.fixed_dictionaries(dict.fromkeys(keys, names | st.lists(turn, max_size=3)))
    return st.one_of(likely, record, values)


Row = dict[str, Any]


def as_table(rows: list[Row], delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    keys = dict.fromkeys(key for row in rows for key in row)
    pyarrow.parquet.write_table(pa.table({key: [row.get(key) for row in rows] for key in keys}), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: as_table(rows, ","),
    "tsv": lambda rows: as_table(rows, "\t"),
    "jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    "ndjson": lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows).encode(),
    "parquet": as_parquet,
}


def pairs_of(folder: Path, content: bytes, ending: str = "csv") -> list[Item]:
    """Items of a file of pairs whose images are below images/: a.jpg and sub/b.jpg."""
    write(folder, {"images/a.jpg": None, "images/sub/b.jpg": None, f"pairs.{ending}": content})
    return list(read_pairs(folder / f"pairs.{ending}", folder / "images"))


def entity(x0: int | None, y0: int | None, x1: int | None, y1: int | None, *chains: str) -> str:
    """An object of an Annotations/*.xml of Flickr30k Entities; without numbers it has no box."""
    sides = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides.items() if value is not None)
    place = f"<bndbox>{box}</bndbox>" if box else "<scene>0</scene><nobndbox>1</nobndbox>"
    return f"<object>{''.join(f'<name>{chain}</name>' for chain in chains)}{place}</object>"


NAMELESS = entity(1, 1, 5, None)


def entities(width: object, height: object, *objects: str) -> str:
    """An Annotations/*.xml of Flickr30k Entities."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>7.jpg</filename>{size}{''.join(objects)}</annotation>"
