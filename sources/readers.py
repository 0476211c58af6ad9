"""Raw datasets: one reader per format, all yielding the same few kinds of item.

A reader says what its files say and joins nothing: a picture, a text, a split, each with the *identity* of the
photograph it belongs to ("coco:9" in COCO 2014 and 2017, in Karpathy's file, in Localized Narratives and ShareGPT4V;
"flickr:1000268201" in both Flickr sets). `sources.intake` joins the items of all sources by that identity.

A reader never changes its folder and never stops for a bad line: it yields a `LeftOut` which says what was wrong and
where, and goes on. Large files are read as streams. Only a folder that is not what its name promises raises
FileNotFoundError, and only a file that is damaged as a whole ValueError.
"""

import csv
import hashlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, NamedTuple

import ijson
import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from common.jobs import progress
from Config import DatabaseConfig
from sources.scenes import make_scene, write_captions

SPLIT_NAMES = {
    **{"train": "train", "training": "train", "restval": "train"},
    **{"val": "validation", "validation": "validation", "dev": "validation", "valid": "validation"},
    **{"test": "test", "testing": "test"},
}
LABELS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "match"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "mismatch"), False),
}
NOTHING = {"", "none", "nan", "null"}  # how files and libraries write an empty field
PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
SEEDS_PER_DATABASE = 1_000_000  # scenes of --seed 1 start where those of --seed 0 can never reach

COCO_PARTS = {"train2017": "train", "val2017": "validation", "train2014": "train", "val2014": "validation"}
ADE20K_PARTS = {"training": "train", "validation": "validation"}
FLICKR8K_LISTS = {
    "Flickr_8k.trainImages.txt": "train",
    "Flickr_8k.devImages.txt": "validation",
    "Flickr_8k.testImages.txt": "test",
}


class Picture(NamedTuple):
    """A picture file, or a drawn scene."""

    identity: str
    """Identity of the photograph, the same in every dataset that holds it."""
    image_id: str
    """Its name in this dataset."""
    path: Path | None
    split: str | None = None
    """Official split by its place: one of SPLITS, or None."""
    scene: dict | None = None
    """What is to be drawn, where there is no file."""


class Text(NamedTuple):
    """A text about a photograph."""

    identity: str
    text: str
    kind: Literal["caption", "narrative", "dense"]
    where: str
    """FILE:PLACE; the same on every machine."""
    matches: bool = True
    """False: its owner says that it is *not* true of the photograph."""


class Listed(NamedTuple):
    """An official list names the split of a photograph."""

    identity: str
    split: str
    where: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was seen and is not in the database."""

    what: Literal["picture", "caption", "line", "copy", "collection"]
    """copy: an unusable file of a photograph that is stored from another file; collection: many at once."""
    where: str
    reason: str
    captions: int = 0
    """Captions lost with it, so that seen = stored + left out can be checked."""
    photographs: int = 0


class Note(NamedTuple):
    """A decision which a user of the database should know."""

    text: str


Item = Picture | Text | Listed | LeftOut | Note


def open_sources(settings: DatabaseConfig) -> dict[str, Iterator[Item]]:
    """The readers of all sources that the settings name, in the order in which the first of equals counts."""
    files = {"pairs": settings.pairs, "hold-out": settings.hold_out}
    named = [(flag, file) for flag, file in files.items() if file is not None]
    named += [(flag, file) for flag in ("narratives", "sharegpt4v") for file in getattr(settings, flag)]
    for flag, file in named:  # before the first source is read, which may take minutes
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file} is not there; --{flag} expects a file")
    sources: dict[str, Iterator[Item]] = {}
    for name, reader in (
        ("coco", read_coco),
        ("flickr30k", read_flickr30k),
        ("flickr8k", read_flickr8k),
        ("ade20k", read_ade20k),
    ):
        if (folder := getattr(settings, name)) is not None:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f"{folder} is no folder; --{name} expects one")
            sources[name] = reader(Path(folder).absolute())
    if settings.pairs is not None:
        images = Path(settings.images) if settings.images is not None else Path(settings.pairs).parent
        sources["pairs"] = read_pairs(Path(settings.pairs), images.absolute())
    if settings.narratives:
        sources["narratives"] = itertools.chain.from_iterable(read_narratives(Path(f)) for f in settings.narratives)
    if settings.sharegpt4v:
        sources["sharegpt4v"] = itertools.chain.from_iterable(read_sharegpt4v(Path(f)) for f in settings.sharegpt4v)
    return sources or {"scenes": read_scenes(settings.scenes, settings.seed)}


# Datasets with pictures


def read_coco(folder: Path) -> Iterator[Item]:
    """COCO as it is downloaded: {train,val}{2017,2014}/ with annotations/captions_*.json, whichever of them is there.

    A Karpathy dataset_coco.json in the folder gives captions and splits instead. Source: Lin et al. 2014.
    """
    parts = {name: found for name in COCO_PARTS if (found := find_folder(folder, name)) is not None}
    karpathy = find_file(folder, "dataset_coco.json")
    captions = {part: file for part in parts if (file := find_file(folder, f"captions_{part}.json"))}
    expected = "a folder with train2017/ or val2017/ (or those of 2014) and annotations/captions_*.json"
    if not parts:
        raise FileNotFoundError(f"no pictures in {folder}; --coco expects {expected}")
    if not captions and karpathy is None:
        raise FileNotFoundError(f"no captions in {folder}; --coco expects {expected}, or dataset_coco.json")
    for name, pictures in parts.items():
        for path in picture_files(pictures):
            split = None if karpathy else COCO_PARTS[name]
            yield Picture(coco_identity(path.name), path.name, path, split)
    if karpathy:
        if captions:
            unread = ", ".join(file.name for file in captions.values())
            yield Note(f"coco: captions and splits come from {karpathy.name}; {unread} was not read")
        yield from read_karpathy(karpathy, lambda image: coco_identity(image["cocoid"]))
        return
    for part in (part for part in parts if part not in captions):
        yield Note(f"coco: {part}/ has no captions_{part}.json; its pictures are used if another file describes them")
    for file in captions.values():
        for number, annotation in stream_json(file, "annotations.item"):
            annotation = annotation if isinstance(annotation, dict) else {}
            place = f"{file.name}:{annotation.get('id', f'annotations[{number}]')}"
            image, caption = annotation.get("image_id"), annotation.get("caption")
            if image is not None and isinstance(caption, str):
                yield Text(coco_identity(image), caption.strip(), "caption", place)
            else:
                yield LeftOut("line", place, "the annotation lacks image_id or caption", captions=1)


def coco_identity(name: object) -> str:
    """Identity of a COCO photograph: 9, "000000000009.jpg" and "COCO_train2014_000000000009.jpg" are the same one."""
    digits = re.fullmatch(r"(?:COCO_\w+_)?0*([0-9]+)", Path(str(name)).stem)
    return f"coco:{digits[1]}" if digits else f"coco:{name}"


def read_flickr8k(folder: Path) -> Iterator[Item]:
    """Flickr8k as its authors distribute it, as Kaggle does (captions.txt), or with Karpathy's dataset_flickr8k.json.

    Source: Hodosh et al. 2013.
    """
    pictures = find_folder(folder, "Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")  # the first as its
    # authors spell it
    readers: dict[str, Callable[[Path], Iterator[Item]]] = {
        "dataset_flickr8k.json": lambda file: read_karpathy(file, lambda image: flickr_identity(image["filename"])),
        "Flickr8k.token.txt": read_tokens,
        "captions.txt": read_kaggle_csv,
    }
    yield from _read_flickr(folder, "flickr8k", pictures, "Flicker8k_Dataset", readers)
    if find_file(folder, "dataset_flickr8k.json"):
        return  # its split rules
    lists = {file: split for name, split in FLICKR8K_LISTS.items() if (file := find_file(folder, name))}
    for file, split in lists.items():
        for number, line in read_lines(file):
            yield Listed(flickr_identity(line.decode(errors="replace").strip()), split, f"{file.name}:{number}")
    if not lists:
        yield Note("flickr8k: no official lists; splits as in other datasets, else by a hash of the photograph")


def read_flickr30k(folder: Path) -> Iterator[Item]:
    """Flickr30k as its authors distribute it, as Kaggle does (results.csv), or with Karpathy's dataset_flickr30k.json.

    Source: Young et al. 2014.
    """
    pictures = find_folder(folder, "flickr30k-images", "flickr30k_images", "Images", "images")
    readers: dict[str, Callable[[Path], Iterator[Item]]] = {
        "dataset_flickr30k.json": lambda file: read_karpathy(file, lambda image: flickr_identity(image["filename"])),
        "results_20130124.token": read_tokens,
        "results.csv": read_kaggle_bars,
    }
    yield from _read_flickr(folder, "flickr30k", pictures, "flickr30k-images", readers)
    if not find_file(folder, "dataset_flickr30k.json"):
        yield Note("flickr30k: no official lists; splits as in other datasets, else by a hash of the photograph")


def _read_flickr(
    folder: Path,
    source: str,
    pictures: Path | None,
    usual: str,
    readers: Mapping[str, Callable[[Path], Iterator[Item]]],
) -> Iterator[Item]:
    """All pictures, then the captions of the first file of `readers` that is there."""
    files = {name: file for name in readers if (file := find_file(folder, name))}
    for part, is_there in ((f"{usual}/", pictures), (" or ".join(readers), files)):
        if not is_there:
            raise FileNotFoundError(
                f"{part} is not in {folder}; --{source} expects a folder with {usual}/ and {' or '.join(readers)}"
            )
    assert pictures is not None
    for path in picture_files(pictures):
        yield Picture(flickr_identity(path.name), path.name, path)
    name, *others = files
    if others:
        yield Note(f"{source}: captions and splits come from {name}; {', '.join(others)} was not read")
    yield from readers[name](files[name])


def flickr_identity(name: str) -> str:
    """Identity of a Flickr photograph: "1000268201_693b08cb0e.jpg" and "1000268201.jpg" are the same one."""
    # Ten hex digits follow the number of a Flickr photograph; "20210304_123456.jpg" is named by a phone, with its day.
    number = re.match(r"([0-9]+)_[0-9a-f]{10}\b", name)
    return f"flickr:{number[1] if number else Path(name).stem}"


def read_ade20k(folder: Path) -> Iterator[Item]:
    """Pictures of ADE20K: images/{training,validation}/ or images/ADE/ (2021), with or without folders by scene.

    Its captions come from Localized Narratives. Source: Zhou et al. 2017.
    """
    images = next((path for path in (folder / "images" / "ADE", folder / "images") if path.is_dir()), folder)
    parts = {name: found for name in ADE20K_PARTS if (found := find_folder(images, name)) is not None}
    if not parts:
        expected = "a folder with images/training/ or images/validation/"
        raise FileNotFoundError(f"no pictures in {folder}; --ade20k expects {expected}")
    for name, pictures in parts.items():
        for path in picture_files(pictures, recursive=True):
            if path.suffix.lower() in (".jpg", ".jpeg"):  # the PNG files are segmentations
                yield Picture(f"ade20k:{path.stem}", path.name, path, ADE20K_PARTS[name])


def read_pairs(file: Path, images: Path) -> Iterator[Item]:
    """The user's own pairs: CSV, TSV, JSONL or Parquet with image and caption, and optionally label and split.

    `image` is a path below `images`. label 0 (false, no, mismatch) marks a text that is not true of its picture.
    """
    if not images.is_dir():
        raise FileNotFoundError(f"{images} is no folder; give the folder of the pictures with --images DIR")
    names = Counter[bool]()
    for place, row in read_table(file):
        where = f"{file.name}:{place}"
        pair = row if isinstance(row, str) else read_pair(row)
        if isinstance(pair, str):
            yield LeftOut("line", where, pair, captions=1)
            continue
        name, text, split, matches = pair
        found = os.path.isfile(images / name)  # noqa: PTH113 - Path.is_file raises if a name is too long
        names[found] += 1
        if found:
            yield Picture(f"pairs:{name}", name, images / name)
        if split is not None:
            yield Listed(f"pairs:{name}", split, where)
        yield Text(f"pairs:{name}", text, "caption", where, matches)
    if names[False] and not names[True]:
        raise FileNotFoundError(f"not one image of {file} is below {images}; give their folder with --images DIR")


def read_pair(row: Mapping[str, Any]) -> tuple[str, str, str | None, bool] | str:
    """Image, caption, split and label of one row, or what is wrong with it."""
    image, caption = row.get("image"), row.get("caption")
    try:
        path = path_below(image)
    except ValueError as error:
        return str(error)
    if not isinstance(caption, str):
        return "the caption is no text"
    split, label = (str(row.get(key)).strip().lower() for key in ("split", "label"))
    if split not in SPLIT_NAMES and split not in NOTHING:
        return f"unknown split {split!r}; known: {', '.join(SPLIT_NAMES)}"
    if label not in LABELS and label not in NOTHING:
        return f"unknown label {label!r}; known: {', '.join(LABELS)}"
    return str(path), caption.strip(), SPLIT_NAMES.get(split), LABELS.get(label, True)


def path_below(image: Any) -> PurePosixPath:
    """The path of a row's image below the folder of images. ValueError if it is none, or would leave that folder."""
    if not isinstance(image, str) or not image.strip():
        raise ValueError("the image is no file name")
    path = PurePosixPath(image.strip().replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(image.strip()).drive or ".." in path.parts:
        raise ValueError(f"the image {image!r} is outside of --images")
    return path


def read_scenes(count: int, seed: int) -> Iterator[Item]:
    """Make `count` different drawn scenes with their captions; the same seed gives the same scenes."""
    seen: set[bytes] = set()
    bar = progress(None, "scenes", " scenes", count)
    for scene_seed in range(seed * SEEDS_PER_DATABASE, (seed + 1) * SEEDS_PER_DATABASE):
        if len(seen) == count:
            bar.close()
            return
        scene = make_scene(scene_seed)
        # A twin in another split would be a leak, and within one it would make a true caption a "negative".
        digest = hashlib.blake2b(json.dumps(scene, sort_keys=True).encode(), digest_size=16).digest()
        if digest in seen:
            continue
        seen.add(digest)
        bar.update()
        image_id = f"scene-{scene_seed:06d}"
        yield Picture(image_id, image_id, None, scene=scene)
        for number, caption in enumerate(write_captions(scene, scene_seed)):
            yield Text(image_id, caption, "caption", f"{image_id}:{number}")
    if len(seen) < count:
        raise ValueError(f"{count} different scenes wanted, seed {seed} gives {len(seen)}; ask for fewer scenes")


# Texts about pictures of other datasets


def read_narratives(file: Path) -> Iterator[Item]:
    """Localized Narratives of COCO, Flickr30k and ADE20K, a JSON object a line. Source: Pont-Tuset et al. 2020.

    Those of other datasets (Open Images) are counted as one entry for each.
    """
    identify: dict[str, Callable[[str], str]] = {
        "mscoco": coco_identity,
        "flickr30k": flickr_identity,
        "ade20k": lambda name: f"ade20k:{Path(name).stem}",
    }
    others = Counter[str]()
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            record = parse_json(line)
            dataset, image_id, caption = record["dataset_id"], str(record["image_id"]), record["caption"]
            name, _, part = dataset.lower().partition("_")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield LeftOut("line", where, f"no Localized Narrative: {_told(error)}", captions=1)
            continue
        if not isinstance(caption, str):
            yield LeftOut("line", where, "the caption is no text", captions=1)
        elif name not in identify:
            others[dataset] += 1
        else:
            identity = identify[name](image_id)
            if name == "flickr30k" and part in SPLIT_NAMES:  # the pictures of the other two tell their split by folder
                yield Listed(identity, SPLIT_NAMES[part], where)
            yield Text(identity, caption.strip(), "narrative", where)
    yield from _collections(file, others)


def read_sharegpt4v(file: Path) -> Iterator[Item]:
    """Captions that GPT-4V or Share-Captioner wrote for COCO pictures; one JSON list. Source: Chen et al. 2023.

    Of 1.2 million records most describe pictures of other collections (llava, sam, ...): one entry for each of those.
    """
    others = Counter[str]()
    for number, record in stream_json(file, "item"):
        where = f"{file.name}:[{number}]"
        try:
            image, turns = record["image"], record["conversations"]
            answers = [turn["value"] for turn in turns if turn["from"] == "gpt"]
            collection, _, rest = image.partition("/")
        except (KeyError, TypeError, AttributeError) as error:
            yield LeftOut("line", where, f"no ShareGPT4V record: {_told(error)}", captions=1)
            continue
        if len(answers) != 1 or not isinstance(answers[0], str):
            yield LeftOut("line", where, f"a conversation with {len(answers)} answers is no caption", captions=1)
        elif collection != "coco":
            others[collection] += 1
        else:
            yield Text(coco_identity(rest), answers[0].strip(), "dense", where)
    yield from _collections(file, others)


def _collections(file: Path, counts: Counter[str]) -> Iterator[LeftOut]:
    for name, n in sorted(counts.items()):
        yield LeftOut("collection", f"{file.name}:{name}", "describes pictures of a dataset that is not read", n, n)


# Files of captions that several datasets share


def read_karpathy(file: Path, identify: Callable[[dict], str]) -> Iterator[Item]:
    """Captions and splits of a dataset_*.json; `restval` counts as train. Source: Karpathy & Fei-Fei 2015."""
    for number, image in stream_json(file, "images.item"):
        try:
            identity, split = identify(image), SPLIT_NAMES[image["split"]]
            sentences = [(s["raw"].strip(), s.get("sentid", f"images[{number}]")) for s in image["sentences"]]
        except (KeyError, TypeError, AttributeError) as error:
            told = image.get("sentences") if isinstance(image, dict) else None
            lost = len(told) if isinstance(told, list) else 0
            yield LeftOut("line", f"{file.name}:images[{number}]", f"no Karpathy record: {_told(error)}", captions=lost)
            continue
        yield Listed(identity, split, f"{file.name}:images[{number}]")
        for text, place in sentences:
            yield Text(identity, text, "caption", f"{file.name}:{place}")


def read_tokens(file: Path) -> Iterator[Item]:
    """Lines of `name.jpg#k<TAB>caption`."""
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            key, tab, text = line.decode().partition("\t")
        except UnicodeDecodeError as error:
            yield LeftOut("line", where, _not_utf8(line, error), captions=1)
            continue
        match = re.fullmatch(r"\s*(.+)#\d+\s*", key)
        if not tab:
            yield LeftOut("line", where, "no tab between file name and caption", captions=1)
        elif not match:
            reason = f"expected name.jpg#number before the tab, got {key[:80]!r}"
            yield LeftOut("line", where, reason, captions=1)
        else:
            yield Text(flickr_identity(match[1]), text.strip(), "caption", where)


def read_kaggle_bars(file: Path) -> Iterator[Item]:
    """Kaggle's Flickr30k: `name.jpg| number| caption`. Rows that lack the second bar are mended, and counted."""
    mended = 0
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            yield LeftOut("line", where, _not_utf8(line, error), captions=1)
            continue
        if text.replace(" ", "") == "image_name|comment_number|comment":
            continue
        match = re.fullmatch(r"([^|]+?)\s*\|\s*(\d+)(\s*\||\s+|$)\s*(.*)", text)
        if not match:
            yield LeftOut("line", where, f"expected name.jpg| number| caption, got {text[:80]!r}", captions=1)
            continue
        mended += "|" not in match[3] and bool(match[4])
        yield Text(flickr_identity(match[1]), match[4], "caption", where)
    if mended:
        yield Note(f"{file.name}: {mended} rows without the second bar were mended")


def read_kaggle_csv(file: Path) -> Iterator[Item]:
    """Kaggle's Flickr8k: CSV with the columns image and caption."""
    for place, row in read_table(file, ending=".csv"):
        where = f"{file.name}:{place}"
        if isinstance(row, str):
            yield LeftOut("line", where, row, captions=1)
        elif not row.get("image") or row.get("caption") is None:
            yield LeftOut("line", where, "the row lacks image or caption", captions=1)
        else:
            yield Text(flickr_identity(row["image"]), row["caption"].strip(), "caption", where)


# Raw access

PAIR_COLUMNS = ("image", "caption", "label", "split")  # what is known of the user's own pairs


def read_table(
    file: Path, ending: str | None = None, wanted: Container[str] | None = PAIR_COLUMNS
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yield (place, row) of a CSV, TSV, JSONL or Parquet file; instead of a bad row what is wrong with it.

    wanted: the columns of a Parquet file that are read, None for all; the other formats give all they have.
    Raises ValueError if the file has not the columns image and caption, or is none of these formats.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    ending = ending or file.suffix.lower()
    columns: Sequence[str] = ()
    if ending in (".csv", ".tsv"):
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            delimiter = "\t" if ending == ".tsv" else ","
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            try:
                columns = [name.strip() for name in next(reader, ())]
            except csv.Error as error:
                raise ValueError(f"{file} is no table: {error}") from None
            _require_columns(file, columns)
            while True:
                start = reader.line_num + 1
                place = str(start)
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield place, str(error)
                    continue
                if not row:
                    continue
                broken = any("\udc80" <= c <= "\udcff" for value in row for c in value)
                too_long = "more fields than columns" if len(row) > len(columns) else None
                if ending == ".tsv" and any("\n" in field and "\t" in field for field in row):
                    # Most TSV files are written without quoting; there a quote at the start of a caption means nothing.
                    for number in range(start, reader.line_num + 1):
                        yield str(number), f"a quote joins the lines {start} to {reader.line_num}"
                    continue
                yield place, "not UTF-8" if broken else too_long or dict(zip(columns, row))
    elif ending in (".jsonl", ".ndjson"):
        for number, line in read_lines(file):
            try:
                record = parse_json(line)
            except ValueError as error:
                yield str(number), f"not JSON: {error}"
                continue
            if isinstance(record, dict):
                columns = list(dict.fromkeys((*columns, *list(record)[:20])))
            yield str(number), record if isinstance(record, dict) else "no JSON object"
        _require_columns(file, columns)
    elif ending == ".parquet":
        try:
            table = pyarrow.parquet.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{file} is no Parquet file: {error}") from None
        _require_columns(file, table.schema_arrow.names)
        names = [name for name in table.schema_arrow.names if wanted is None or name in wanted]
        batches = table.iter_batches(batch_size=1024, columns=names)
        numbers = itertools.count()
        while True:
            try:
                rows = next(batches).to_pylist()
            except StopIteration:
                return
            except (OSError, ValueError) as error:  # a block that does not unpack; text that is not UTF-8
                raise ValueError(f"{file} is damaged: {error}") from None
            for row in rows:
                yield f"[{next(numbers)}]", row
    else:
        raise ValueError(f"{file}: pairs are read from .csv, .tsv, .jsonl or .parquet")


def _require_columns(file: Path, columns: Sequence[str]) -> None:
    if absent := {"image", "caption"} - set(columns):
        raise ValueError(f"{file} lacks {' and '.join(sorted(absent))}; its columns are: {', '.join(columns)}")
    if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        raise ValueError(f"{file} has more than one column {twice[0]!r}; rename one")


def stream_json(file: Path, prefix: str) -> Iterator[tuple[int, Any]]:
    """Number and value of the entries of a list in a JSON file, however large, in the memory of one entry.

    Raises FileNotFoundError, or ValueError if the file is cut off, no JSON, or has no such list.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    with file.open("rb") as raw, _bytes_of(file) as bar:
        stream = CallbackIOWrapper(bar.update, raw, "read")
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        number = -1
        try:
            for number, value in enumerate(ijson.items(stream, prefix, use_float=True)):
                yield number, value
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is damaged or cut off ({_told(error)}); get it again") from None
    if number < 0:
        raise ValueError(f"{file} has no entries at {prefix!r}; is it another kind of file?")


def parse_json(line: bytes) -> Any:
    """The value of one line of JSON. ValueError also for half a character ("\\ud83d" alone), which no file can hold."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank, as bytes: one badly encoded line must not spoil the others."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    with file.open("rb") as stream, _bytes_of(file) as bar:
        for number, line in enumerate(stream, start=1):
            bar.update(len(line))
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def _bytes_of(file: Path) -> tqdm:
    return progress(None, file.name, "B", file.stat().st_size, unit_scale=True)


def find_file(folder: Path, name: str) -> Path | None:
    """A file in a folder or in a folder directly below it (annotations/, Flickr8k_text/, ...)."""
    places = (folder / name, *sorted(folder.glob(f"*/{name}")))
    return next((path for path in places if path.is_file()), None)


def find_folder(folder: Path, *names: str) -> Path | None:
    """The first of these folders that is there, here or below images/; of folders within each other the innermost.

    Unzipping makes flickr30k_images/flickr30k_images/ and Flickr8k_Dataset/Flicker8k_Dataset/.
    """
    for name in names:
        for path in (folder / name, folder / "images" / name):
            if path.is_dir():
                return find_folder(path, *names) or path
    return None


def picture_files(folder: Path, recursive: bool = False) -> Iterator[Path]:
    """Files of a folder that may be pictures, in the order of their names."""
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    for name in progress(names, f"{folder.name}/", " files"):
        path = folder / name
        if path.suffix.lower() in PICTURE_ENDINGS:
            yield path
        elif recursive and path.is_dir():
            yield from picture_files(path, recursive)


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
