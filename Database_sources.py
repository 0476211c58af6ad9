"""Raw datasets: one reader per format, each yielding the same record, and the one way to read a raw picture.

A reader never changes its folder and never stops for a bad line: it yields a `LeftOut` which says what was wrong
and where, and goes on. Only a folder that is not what its name promises raises FileNotFoundError.
Splits go by the photograph's identity (its group), never by row: see `assign_splits`.
"""

import dataclasses
import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageOps

from Config import DatabaseConfig
from Scenes_lib import make_scene, write_captions
from Tokenizer_lib import split_words

SPLITS = ("train", "validation", "test")  # from the laxest to the strictest
SHARES = (0.75, 0.15, 0.10)  # of SPLITS, where no official list decides
LONGEST_CAPTION = 10_000  # characters; human narratives stay below 3,000, and spaCy refuses texts from 1,000,000
SEEDS_PER_DATABASE = 1_000_000  # scenes of --seed 1 start where those of --seed 0 can never reach

PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")  # Pillow reads more; EPS starts Ghostscript
MOST_PIXELS = 100_000_000  # 300 MB when decoded; photographs of caption datasets have less than a tenth
MOST_STRETCHED = 10  # long side / short side; squeezed into 224 x 224 the short side keeps 22 pixels
SMALLEST_SIDE = 32  # pixels; what is smaller is a place holder
ORIENTATION = 0x0112  # EXIF tag; 1 is upright, 2 to 8 are mirrored or turned, 5 to 8 lie on their side


@dataclass(frozen=True, slots=True)
class Record:
    """One picture and its captions, from whatever dataset."""

    image_id: str
    source: str
    split: str | None
    """Official split: one of SPLITS, or None where the dataset has none."""
    group: str
    """Identity of the photograph: the same in every dataset that holds it."""
    captions: tuple[tuple[str, str], ...]
    """(text, kind); the kind is "caption", "narrative" or "dense"."""
    path: Path | None = None
    """File of a photograph."""
    scene: dict | None = None
    """Description of a drawn scene."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that a reader saw and did not hand on."""

    what: Literal["picture", "caption", "line"]
    where: str
    reason: str
    captions: int = 0
    """Captions lost with it, so that seen = stored + left out can be checked."""


@dataclass(frozen=True, slots=True)
class Note:
    """A decision of the reader which a user of the database should know."""

    text: str


class FlickrLayout(NamedTuple):
    """Where a Flickr dataset keeps its parts."""

    pictures: str
    captions: str
    lists: Mapping[str, str]


FLICKR_LAYOUTS = {
    "flickr8k": FlickrLayout(
        "Flicker8k_Dataset",  # spelt so by its authors
        "Flickr8k.token.txt",
        {
            "train": "Flickr_8k.trainImages.txt",
            "validation": "Flickr_8k.devImages.txt",
            "test": "Flickr_8k.testImages.txt",
        },
    ),
    "flickr30k": FlickrLayout("flickr30k-images", "results_20130124.token", {}),
}


def read_flickr(folder: Path, source: str) -> Iterator[Record | LeftOut | Note]:
    """Read Flickr8k or Flickr30k as their authors distribute them; `source` is a key of FLICKR_LAYOUTS.

    Records come in the order of their file names, captions in the order of their lines. A photograph in several
    official lists goes to the strictest. Raises FileNotFoundError if the pictures or the captions are not there.
    """
    layout = FLICKR_LAYOUTS[source]
    pictures, tokens = folder / layout.pictures, folder / layout.captions
    for part, is_there in ((pictures, pictures.is_dir()), (tokens, tokens.is_file())):
        if not is_there:
            raise FileNotFoundError(
                f"{part} is not there; --{source} expects a folder with {layout.pictures}/ and {layout.captions}"
            )
    present = {entry.name for entry in pictures.iterdir() if entry.is_file() and not entry.name.startswith(".")}
    captions: dict[str, list[tuple[str, str]]] = {}
    lines: dict[str, list[int]] = {}
    for number, line in _read_lines(tokens):
        where = f"{layout.captions}:{number}"
        parsed = _parse_token_line(line)
        if isinstance(parsed, str):
            yield LeftOut("line", where, parsed, captions=1)
            continue
        name, text = parsed
        problem = caption_problem(text)
        if problem and name in present:
            yield LeftOut("caption", where, problem, captions=1)
        else:
            lines.setdefault(name, []).append(number)
            captions.setdefault(name, []).append((text, "caption"))

    listed = {split: _read_list(folder / name) for split, name in layout.lists.items()}
    splits, notes = _official_splits(source, listed, present)
    yield from notes
    for name in sorted(present | captions.keys() | splits.keys()):
        if name not in present:
            where = f"{layout.captions}:{lines[name][0]}" if name in lines else layout.lists[splits[name]]
            yield LeftOut("picture", where, f"{name} is not in {layout.pictures}/", len(lines.get(name, ())))
        elif name not in captions:
            yield LeftOut("picture", f"{layout.pictures}/{name}", f"no usable caption in {layout.captions}")
        else:
            yield Record(name, source, splits.get(name), flickr_group(name), tuple(captions[name]), pictures / name)


def flickr_group(name: str) -> str:
    """Identity of a Flickr photograph: "1000268201_693b08cb0e.jpg" and "1000268201.jpg" are the same one."""
    return f"flickr:{Path(name).stem.split('_')[0]}"


def read_scenes(count: int, seed: int) -> Iterator[Record]:
    """Make `count` different drawn scenes with their captions; the same seed gives the same scenes."""
    seen: set[str] = set()
    for scene_seed in range(seed * SEEDS_PER_DATABASE, (seed + 1) * SEEDS_PER_DATABASE):
        if len(seen) == count:
            return
        scene = make_scene(scene_seed)
        # A twin in another split would be a leak, and within one it would make a true caption a "negative".
        text = json.dumps(scene, sort_keys=True)
        if text in seen:
            continue
        seen.add(text)
        captions = tuple((caption, "caption") for caption in write_captions(scene, scene_seed))
        image_id = f"scene-{scene_seed:06d}"
        yield Record(image_id, "scenes", None, image_id, captions, scene=scene)
    if len(seen) < count:
        raise ValueError(f"{count} different scenes wanted, seed {seed} gives {len(seen)}; ask for fewer scenes")


def caption_problem(text: str) -> str | None:
    """Why a caption cannot be used, or None."""
    if not text:
        return "the caption is empty"
    if len(text) > LONGEST_CAPTION:
        return f"the caption has {len(text):,} characters; at most {LONGEST_CAPTION:,} are read"
    return None if split_words(text) else f"the caption {text!r} holds no word"


def hash_split(group: str) -> str:
    """Split of a photograph that no official list names: its group alone decides.

    So adding or removing other photographs never moves it from one split to another.
    """
    share = int.from_bytes(hashlib.sha1(group.encode()).digest()[:8]) / 2**64
    return SPLITS[0] if share < SHARES[0] else SPLITS[1] if share < SHARES[0] + SHARES[1] else SPLITS[2]


def assign_splits(records: Sequence[Record]) -> list[Record]:
    """Give every record a split, one for all records of a group.

    The strictest official split of the group decides, over all datasets: a Flickr30k photograph that Flickr8k
    tests on must not be trained on. Where no list names the group, its hash decides.
    """
    official: dict[str, str] = {}
    for record in records:
        if record.split is not None:
            official[record.group] = max(record.split, official.get(record.group, record.split), key=SPLITS.index)
    return [dataclasses.replace(r, split=official.get(r.group) or hash_split(r.group)) for r in records]


def stored_picture(path: Path, short_side: int, quality: int) -> bytes:
    """The JPEG that the database stores for a picture; an exception says why there is none.

    A JPEG that fits comes back byte for byte, after a full decode has shown that it is whole.
    """
    data = path.read_bytes()
    with _open(data) as image:
        upright = image.getexif().get(ORIENTATION, 1) == 1
        if image.format == "JPEG" and image.mode == "RGB" and upright and min(image.size) <= short_side:
            image.load()
            return data
    return encode_jpeg(decode_picture(data, short_side), quality)


def open_picture(path: Path, short_side: int = DatabaseConfig.short_side) -> Image.Image:
    """A picture file as training saw pictures: as the database stores it, but for the JPEG.

    Raises OSError if the file cannot be read, and ValueError with its path if it is no usable picture.
    """
    data = path.read_bytes()
    try:
        return decode_picture(data, short_side)
    except Exception as error:  # decoders raise anything on damaged files, and then without the path
        raise ValueError(f"{path}: {error}") from error


def decode_picture(data: bytes, short_side: int) -> Image.Image:
    """A raw picture file as upright 8-bit RGB, its short side reduced to at most `short_side`.

    Training and prediction both read pictures here, so that a model never sees another kind of picture in use.
    Raises whatever the decoder does for a file that is no picture, is not whole, or shows nothing.
    """
    with _open(data) as image:
        scale = min(1, short_side / min(image.size))
        width, height = (max(1, round(side * scale)) for side in image.size)
        lies_on_its_side = image.getexif().get(ORIENTATION) in (5, 6, 7, 8)
        # A JPEG decodes itself at 1/2, 1/4 or 1/8 for a fraction of the cost; LANCZOS does what is left.
        image.draft(None, (2 * width, 2 * height))
        picture = to_rgb(ImageOps.exif_transpose(image))
    size = (height, width) if lies_on_its_side else (width, height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _open(data: bytes) -> Image.Image:
    """Open a picture and check its header: nothing is decoded that would exhaust memory or show nothing."""
    if not data:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is firmer
        try:
            image = Image.open(io.BytesIO(data), formats=PICTURE_FORMATS)
        except Image.UnidentifiedImageError:
            known = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"
            raise ValueError(f"the file is no picture in {known} format") from None
        except Image.DecompressionBombError as error:  # above 179 megapixels Pillow refuses by itself
            raise ValueError(str(error)) from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels: more than {MOST_PIXELS // 1_000_000} megapixels")
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise ValueError(f"{width} x {height} pixels: one side is over {MOST_STRETCHED} times the other")
    if min(width, height) < SMALLEST_SIDE:
        raise ValueError(f"{width} x {height} pixels: a side is under {SMALLEST_SIDE}")
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """The first frame as 8-bit RGB: 16 bits scaled, not clipped; transparency over white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):  # convert("RGB") would clip: all above 255 of 65,535 would be white
        image = image.convert("I")
        darkest, brightest = image.getextrema()
        if darkest < 0 or brightest > 65535:  # type: ignore[operator]
            raise ValueError(f"32-bit pixels from {darkest} to {brightest}, whose range is unknown")
        return image.point(lambda value: value * (255 / 65535) + 0.5).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def encode_jpeg(image: Image.Image, quality: int, full_colour: bool = False) -> bytes:
    """JPEG bytes; `full_colour` keeps colour at full resolution (4:4:4), which thin drawn lines need."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling="4:4:4" if full_colour else "4:2:0")
    return file.getvalue()


def _official_splits(
    source: str, listed: Mapping[str, Sequence[str]], present: set[str]
) -> tuple[dict[str, str], list[Note]]:
    """Split of each listed photograph, and what was decided about the lists."""
    notes: list[Note] = []
    if not any(listed.values()):
        return {}, [Note(f"{source}: no official lists; splits as in other datasets, else by a hash of the photograph")]
    splits = {name: split for split in SPLITS for name in listed[split]}  # later, that is stricter, ones win
    twice = sum(len(set(names)) for names in listed.values()) - len(splits)
    if twice:
        notes.append(Note(f"{source}: {twice} entries of photographs in several lists; the strictest list counts"))
    if listed["validation"] and present.isdisjoint(listed["test"]):
        # Ordered by a hash, since the official list may be ordered by something the pictures show.
        names = [name for name, split in splits.items() if split == "validation"]
        names.sort(key=lambda name: (hashlib.sha1(flickr_group(name).encode()).digest(), name))
        half = len(names) // 2
        splits |= dict.fromkeys(names[half:], "test")
        notes.append(
            Note(
                f"{source}: the official test photographs are absent; the {len(names):,} of the dev list were "
                f"divided into {half:,} for validation and {len(names) - half:,} for test, by the order of the "
                "sha1 of their group"
            )
        )
    return splits, notes


def _read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank, as bytes: one badly encoded line must not spoil the others."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.removeprefix(b"\xef\xbb\xbf")


def _read_list(path: Path) -> list[str]:
    """File names of an official list; none if the list is not there."""
    if not path.is_file():
        return []
    return [line.decode(errors="replace").strip() for _, line in _read_lines(path)]


def _parse_token_line(line: bytes) -> tuple[str, str] | str:
    """File name and caption of `name.jpg#k<TAB>caption`, or what is wrong with the line."""
    try:
        key, tab, text = line.decode().partition("\t")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}"
    if not tab:
        return "no tab between file name and caption"
    match = re.fullmatch(r"\s*(.+)#\d+\s*", key)
    if not match:
        return f"expected name.jpg#number before the tab, got {key[:80]!r}"
    return match[1], text.strip()
