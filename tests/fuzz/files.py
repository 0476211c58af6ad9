"""Annotation files and tables of every reader, with mutated bytes and mutated values."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from .mutations import CAPTIONS, mutate_bytes, mutate_json, odd_text, odd_value
from .pictures import picture, share_the_judge, shipped, the_judge
from .running import Case, Kind

PLAIN = "A dog runs across the grass."


def prepare(folder: Path) -> None:
    """The folder of each data set, in which one file is mutated in each case."""
    from sources.parser import find_pipeline, load_parser

    the_judge()
    load_parser(find_pipeline())
    for number in range(8):
        file = io.BytesIO()
        picture(Random(number), "RGB", (48, 40)).save(file, "PNG")
        (folder / f"{number}.png").write_bytes(file.getvalue())


def lay(case: Case, folder: str, *names: str) -> None:
    """Pictures of these names in a folder of the case."""
    for number, name in enumerate(names):
        place = case.folder / folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(case.base / f"{number % 8}.png", place)


def put(case: Case, name: str, value: Any, mutated: bool = True) -> Path:
    """Write a file of the case: JSON of a value, or bytes or text; usually mutated."""
    path, rng = case.folder / name, case.rng
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (
        value if isinstance(value, bytes) else value.encode(errors="surrogatepass") if isinstance(value, str) else None
    )
    whole = json.dumps(value).encode() if data is None else data
    if not mutated or rng.random() < 0.05:
        data = whole
    elif data is None and rng.random() < 0.7:
        data = mutate_json(rng, value)
    else:
        data = mutate_bytes(rng, whole)
    path.write_bytes(data)
    return path


def lines(rng: Random, rows: list[Any]) -> bytes:
    """JSON Lines, one of them with a mutated value."""
    odd = rng.randrange(len(rows))
    return b"".join(
        (mutate_json(rng, row) if number == odd else json.dumps(row).encode()) + b"\n"
        for number, row in enumerate(rows)
    )


def some(case: Case, *names: str) -> str:
    """Which of several files is mutated."""
    return case.rng.choice(names)


# The data sets. Each function returns flags of Database_create.py.


def coco(case: Case) -> list[object]:
    from raw_files import coco_captions

    lay(case, "coco/train2017", "000000000001.jpg", "000000000002.jpg")
    lay(case, "coco/val2017", "000000000003.jpg")
    bad = some(case, "train", "train", "boxes")
    put(
        case,
        "coco/annotations/captions_train2017.json",
        coco_captions((1, 7, PLAIN), (2, 8, CAPTIONS[1])),
        bad == "train",
    )
    put(case, "coco/annotations/captions_val2017.json", coco_captions((3, 9, CAPTIONS[2])), False)
    box = {"image_id": 1, "category_id": 18, "bbox": [1.0, 2.0, 20.5, 30.0], "iscrowd": 0, "id": 1, "area": 5.0}
    image = {"id": 1, "file_name": "000000000001.jpg", "width": 48, "height": 40}
    boxes = {
        "images": [image],
        "annotations": [box, box],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
    }
    put(case, "coco/annotations/instances_train2017.json", boxes, bad == "boxes")
    return ["--coco", case.folder / "coco"]


def karpathy(case: Case) -> list[object]:
    from raw_files import coco_image, karpathy, sentence

    if case.rng.random() < 0.5:
        lay(case, "coco/train2014", "COCO_train2014_000000000001.jpg", "COCO_train2014_000000000002.jpg")
        images = [coco_image(n, "train2014", split, sentence(PLAIN, n)) for n, split in ((1, "train"), (2, "test"))]
        put(case, "coco/dataset_coco.json", karpathy("coco", *images))
        return ["--coco", case.folder / "coco"]
    name = case.rng.choice(("flickr8k", "flickr30k"))
    lay(case, f"{name}/Images", "1_a.jpg", "2_b.jpg")
    images = [
        {"filename": f, "split": s, "imgid": 0, "sentids": [0], "sentences": [sentence(PLAIN, 1)]}
        for f, s in (("1_a.jpg", "train"), ("2_b.jpg", "val"))
    ]
    put(case, f"{name}/dataset_{name}.json", karpathy(name, *images))
    return [f"--{name}", case.folder / name]


def flickr(case: Case) -> list[object]:
    name = case.rng.choice(("flickr8k", "flickr30k"))
    folder = {"flickr8k": "Flicker8k_Dataset", "flickr30k": "flickr30k-images"}[name]
    lay(case, f"{name}/{folder}", "1000_a.jpg", "1001_b.jpg", "1002_c.jpg")
    names = ("1000_a.jpg", "1001_b.jpg", "1002_c.jpg")
    tokens = "".join(f"{one}#{n}\t{text}\n" for one in names for n, text in enumerate(CAPTIONS[:2]))
    files = {
        "flickr8k": ("Flickr8k.token.txt", "captions.txt"),
        "flickr30k": ("results_20130124.token", "results.csv"),
    }[name]
    chosen = case.rng.choice(files)
    if chosen == "captions.txt":
        tokens = "image,caption\n" + "".join(f"{one},{text}\n" for one in names for text in (PLAIN, f'"{CAPTIONS[1]}"'))
    if chosen == "results.csv":
        tokens = "image_name| comment_number| comment\n" + "".join(f"{one}| 0| {PLAIN}\n" for one in names)
    put(case, f"{name}/{chosen}", tokens)
    if name == "flickr8k":
        put(case, f"{name}/Flickr_8k.trainImages.txt", "1000_a.jpg\n1001_b.jpg\n", case.rng.random() < 0.3)
        put(case, f"{name}/Flickr_8k.testImages.txt", "1002_c.jpg\n", False)
    return [f"--{name}", case.folder / name]


def entities(case: Case) -> list[object]:
    from raw_files import entities, entity

    flags = ["--flickr30k", case.folder / "flickr30k"]
    lay(case, "flickr30k/flickr30k-images", "1000.jpg", "1001.jpg")
    (case.folder / "flickr30k/results_20130124.token").write_text(f"1000.jpg#0\t{PLAIN}\n1001.jpg#0\t{PLAIN}\n")
    bad = some(case, "sentence", "boxes", "boxes")
    words = "[/EN#1/animals A dog] runs across [/EN#2/scene the grass] .\n"
    put(case, "entities/Sentences/1000.txt", words, bad == "sentence")
    put(
        case,
        "entities/Annotations/1000.xml",
        entities(48, 40, entity(1, 1, 5, 6, "1"), entity(2, 2, 9, 9, "2", "3")),
        bad == "boxes",
    )
    return [*flags, "--entities", case.folder / "entities"]


def narratives(case: Case) -> list[object]:
    from raw_files import narrative

    lay(case, "flickr30k/flickr30k-images", "1000.jpg", "1001.jpg")
    (case.folder / "flickr30k/results_20130124.token").write_text(f"1000.jpg#0\t{PLAIN}\n1001.jpg#0\t{PLAIN}\n")
    rows = [narrative("flickr30k", "1000"), narrative("Flickr30k", "1001"), narrative("mscoco_val2017", "7")]
    file = put(case, "narratives.jsonl", lines(case.rng, rows), case.rng.random() < 0.5)
    return ["--flickr30k", case.folder / "flickr30k", "--narratives", file]


def snli_ve(case: Case) -> list[object]:
    from raw_files import hypothesis_line

    lay(case, "flickr30k/flickr30k-images", "1000.jpg", "1001.jpg")
    (case.folder / "flickr30k/results_20130124.token").write_text(f"1000.jpg#0\t{PLAIN}\n1001.jpg#0\t{PLAIN}\n")
    rows = [
        hypothesis_line(label, "A dog is outside.", n)
        for label, n in (("entailment", "1000"), ("neutral", "1001"), ("contradiction", "1000"))
    ]
    file = put(case, "snli_ve.jsonl", lines(case.rng, rows), case.rng.random() < 0.5)
    if case.rng.random() < 0.3:
        return ["BENCHMARK", f"snli-ve={file}"]
    return ["--flickr30k", case.folder / "flickr30k", "--snli-ve", file]


def sharegpt4v(case: Case) -> list[object]:
    from raw_files import coco_captions, conversation

    lay(case, "coco/train2017", "000000000001.jpg", "000000000002.jpg")
    put(case, "coco/annotations/captions_train2017.json", coco_captions((1, 7, PLAIN), (2, 8, PLAIN)), False)
    talks = [
        conversation("coco/train2017/000000000001.jpg", PLAIN),
        conversation("coco/train2017/000000000002.jpg", PLAIN, CAPTIONS[1]),
    ]
    return ["--coco", case.folder / "coco", "--sharegpt4v", put(case, "share.json", talks)]


def ade20k(case: Case) -> list[object]:
    from raw_files import narrative

    lay(case, "ade/images/training", "ADE_train_00000001.jpg", "ADE_train_00000002.jpg")
    lay(case, "ade/images/validation", "ADE_val_00000001.jpg")
    rows = [narrative("ADE20k", f"ADE_train_0000000{n}") for n in (1, 2)]
    return [
        "--ade20k",
        case.folder / "ade",
        "--narratives",
        put(case, "narratives.jsonl", lines(case.rng, rows), case.rng.random() < 0.5),
    ]


def table(case: Case) -> tuple[Path, str]:
    """A table of pairs in one of the formats, some of its values odd."""
    from raw_files import FORMATS

    rng = case.rng
    lay(case, "images", "a.png", "sub/b.png", "é c.png")
    columns = ("image", "caption", "label", "split")
    values = (
        ("a.png", PLAIN, "1", "train"),
        ("sub/b.png", CAPTIONS[1], "0", "val"),
        ("é c.png", CAPTIONS[2], "", "test"),
    )
    rows: list[dict[str, Any]] = [dict(zip(columns, row)) for row in values]
    for _ in range(rng.randint(0, 3)):
        row, key = rng.choice(rows), rng.choice(("image", "caption", "label", "split", "other"))
        row[key] = odd_text(rng) if rng.random() < 0.6 else odd_value(rng)
    ending = rng.choice(tuple(FORMATS))
    try:
        if ending in ("csv", "tsv"):
            rows = [
                {key: value if isinstance(value, str) else str(value) for key, value in row.items()} for row in rows
            ]
        data = FORMATS[ending](rows)
    except (ValueError, TypeError, OverflowError, OSError, ArithmeticError):  # what Arrow and CSV cannot hold
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        ending = "jsonl"
    return put(case, f"pairs.{ending}", data, rng.random() < 0.6), ending


def pairs(case: Case) -> list[object]:
    return ["--pairs", table(case)[0], "--images", case.folder / "images"]


def hold_out(case: Case) -> list[object]:
    flags = flickr(case)
    return [*flags, "--hold-out", put(case, "hold_out.txt", "1000_a.jpg\n1001\n\n# x\n")]


def benchmark(case: Case) -> list[object]:
    """A benchmark of Evaluate_test.py, which are readers too."""
    rng = case.rng
    name = rng.choice(("foil", "winoground", "sugarcrepe", "flickr8k", "pairs"))
    if name == "pairs":
        return ["BENCHMARK", f"pairs={table(case)[0]}"]
    if name == "foil":
        one = {
            "image_id": 1,
            "id": 1,
            "foil_id": 1,
            "foil": False,
            "caption": PLAIN,
            "target_word": "ORIG",
            "foil_word": "ORIG",
        }
        value: Any = {
            "images": [{"id": 1, "file_name": "COCO_val2014_000000000001.jpg"}],
            "annotations": [
                one,
                one | {"foil": True, "caption": "A cat runs.", "foil_word": "cat", "target_word": "dog"},
            ],
        }
        return ["BENCHMARK", f"foil={put(case, 'foil.json', value)}"]
    if name == "winoground":
        one = {
            "id": 0,
            "image_0": "ex_0_img_0",
            "image_1": "ex_0_img_1",
            "caption_0": PLAIN,
            "caption_1": "The grass runs.",
            "tag": "Object",
        }
        return [
            "BENCHMARK",
            f"winoground={put(case, 'examples.jsonl', lines(rng, [one, one | {'id': 1}]), rng.random() < 0.5)}",
        ]
    if name == "sugarcrepe":
        value = {"0": {"filename": "000000000001.jpg", "caption": PLAIN, "negative_caption": "A cat runs."}}
        return ["BENCHMARK", f"sugarcrepe={put(case, 'swap_obj.json', value)}"]
    lay(case, "f/Flicker8k_Dataset", "1000_a.jpg")
    put(case, "f/Flickr8k.token.txt", f"1000_a.jpg#0\t{PLAIN}\n", False)
    put(case, "f/ExpertAnnotations.txt", "1000_a.jpg\t1000_a.jpg#0\t1\t2\t4\n")
    put(case, "f/CrowdFlowerAnnotations.txt", "1000_a.jpg\t1000_a.jpg#0\t0.33\t1\t2\n", False)
    return ["BENCHMARK", f"flickr8k={case.folder / 'f'}"]


DATA_SETS: tuple[Callable[[Case], list[object]], ...] = (
    *(
        coco,
        karpathy,
        flickr,
        entities,
        narratives,
        snli_ve,
        sharegpt4v,
        ade20k,
        pairs,
        pairs,
        pairs,
        hold_out,
        benchmark,
    ),
    benchmark,
)


class Enough(Exception):
    """The sources were read."""


def run(case: Case) -> None:
    from scripts import run_jobs_here

    import Database_create
    from common import jobs

    share_the_judge()
    if case.rng.random() < 0.2:  # the table of Predict.py
        file, ending = table(case)
        case.about = f"--pairs {ending}"
        out = case.folder / f"out.{case.rng.choice(('csv', 'jsonl', 'parquet'))}"
        case.call(
            "Predict.py",
            "--pairs",
            file,
            "--images",
            case.folder / "images",
            "--out",
            out,
            "--model",
            shipped(),
            "--device",
            "cpu",
        )
        return
    build = case.rng.choice(DATA_SETS)
    flags = build(case)
    case.about = build.__name__
    if flags[0] == "BENCHMARK":
        from Evaluate_test import read_benchmark

        with case.printed():
            try:
                read_benchmark(str(flags[1]))
            except (ValueError, OSError) as error:
                case.refuse(error)
        return

    def only_read(building: Path, settings: Any, pipeline: str) -> None:
        with Database_create.contextlib.closing(Database_create.Intake(building / "intake.sqlite")) as intake:
            Database_create.read_sources(intake, settings)
        raise SystemExit(0)

    flags += ["--name", "fuzzed", "--root", case.folder / "Database", "--workers", 1, "--no-negatives"]
    with mock.patch.object(jobs, "run_locally", run_jobs_here):
        if case.rng.random() < 0.8:  # the whole build takes ten times as long
            with mock.patch.object(Database_create, "build", only_read):
                case.call("Database_create.py", *flags)
        else:
            case.call("Database_create.py", *flags)


FILES = Kind("files", 2, prepare, run)
