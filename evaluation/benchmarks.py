"""External benchmarks: one reader per format, all giving claims about pictures and what people say of them.

A reader opens no picture and judges nothing. It never stops for a broken record: that becomes a `LeftOut` which says
what was wrong and where, with the number of claims that are lost, and the reader goes on; a record counts as a whole or
not at all, and one that is there twice counts twice. Only a file that is damaged as a whole, or of which not one record
fits, raises ValueError, and one that is not where its benchmark keeps it FileNotFoundError; both in one line.

`identity_of` and `PictureFinder` tell which photograph a name means, and where it lies.
"""

import contextlib
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, NamedTuple

from sources.readers import (
    NOTHING,
    PAIR_COLUMNS,
    LeftOut,
    coco_identity,
    find_file,
    flickr_identity,
    parse_json,
    read_lines,
    read_pair,
    read_table,
    stream_json,
)

Span = tuple[int, int]
Metric = Literal["pairwise", "ratings", "winoground", "labels"]

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
COCO_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:info|images|licenses|annotations|categories|type)"\s*:')
SUGARCREPE_FILES = tuple(f"{how}_{what}.json" for how in ("add", "replace", "swap") for what in ("obj", "att", "rel"))
NOT_PUBLISHED = {"add_rel.json", "swap_rel.json"}  # of these nine
TOKENS = "Flickr8k.token.txt"
ENDINGS = (".jpg", ".jpeg", ".png")
COCO_FOLDERS = ("", "val2017", "train2017", "val2014", "train2014")
COCO_SPELLINGS = ("{:012d}.jpg", "COCO_val2014_{:012d}.jpg", "COCO_train2014_{:012d}.jpg")
FOLDERS = ("images", "Flicker8k_Dataset", "flickr30k-images")  # the second as its authors spell it


class Claim(NamedTuple):
    """One text about one picture, and what people say of it."""

    picture: str
    """File name as the benchmark names it, below the folder of pictures; Winoground's has no ending."""
    text: str
    label: float
    """1: true of the picture, 0: false. Of ratings: what people gave, the higher the truer; see the reader."""
    subset: str
    """Part of the benchmark ("swap_obj"); "" where it has none."""
    unit: int
    """Claims that are compared with each other share it. Units are numbered through the whole benchmark."""
    changed: tuple[Span, ...] = ()
    """Characters of `text` that make it false, where the benchmark tells."""


class Benchmark(NamedTuple):
    """All claims of a benchmark, in the order of its files."""

    name: str
    metric: Metric
    """How its authors count.

    pairwise: of each unit every true claim must score above every false one; a unit without one of the two, which was
    left out, compares nothing. winoground: each unit has four claims, (picture 0, text 0), (1, 1), (0, 1), (1, 0), of
    which the first two are true. ratings: Kendall's tau with the labels. labels: true and false texts, each for itself.
    """
    claims: list[Claim]
    left_out: list[LeftOut]
    """Broken records, with where and why; `captions` is the number of claims lost with them."""
    tau: Literal["b", "c"] | None = None
    """Which tau its literature gives; of ratings only."""


def read_benchmark(spec: str) -> Benchmark:
    """The benchmark that NAME=PATH names; ValueError names the known ones."""
    name, _, place = spec.partition("=")
    if name not in READERS or not place:
        raise ValueError(f"{spec!r} is no NAME=PATH of a benchmark; known names: {', '.join(READERS)}")
    if not Path(place).exists():
        raise FileNotFoundError(f"{place} is not there; {name} expects {EXPECTED[name]}")
    try:
        return READERS[name](Path(place))
    except ValueError as error:  # a parser draws an arrow to the place, in lines of its own
        raise ValueError(" ".join(line.strip() for line in str(error).splitlines())) from None


EXPECTED = {
    "sugarcrepe": "a folder with swap_obj.json and the like, or one of them: records of filename, caption, "
    "negative_caption",
    "sugarcrepe++": "a folder of JSON files, or one of them: records of filename, caption, caption2, negative_caption",
    "foil": "foilv1.0_*.json, a JSON file of VALSE (records of image_file, caption, foil), or a folder of such files",
    "flickr8k-expert": f"ExpertAnnotations.txt with {TOKENS} beside it, or their folder: image, caption id and three "
    "scores of 1 to 4, separated by tabs",
    "flickr8k-cf": f"CrowdFlowerAnnotations.txt with {TOKENS} beside it, or their folder: image, caption id, share of "
    "yes and two counts, separated by tabs",
    "winoground": "a JSONL file with image_0, image_1, caption_0, caption_1",
    "pairs": "a CSV, TSV, JSONL or Parquet file with image, caption and optionally label and subset",
}


class _Reading:
    """What a reader has got so far."""

    def __init__(self, name: str, path: Path):
        self.name, self.path = name, path
        self.claims: list[Claim] = []
        self.left_out: list[LeftOut] = []
        self.units = itertools.count()

    @contextlib.contextmanager
    def record(self, where: str, claims: int) -> Iterator[None]:
        """A ValueError inside tells what is wrong with this record, which would have been so many claims."""
        try:
            yield
        except ValueError as error:
            self.left_out.append(LeftOut("line", where, str(error), captions=claims))

    def any_files(self) -> Iterator[Path]:
        """The JSON file, or those of a folder; one of them in which no record fits is told by one entry."""
        for file in _json_files(self.name, self.path):
            claims, told = len(self.claims), len(self.left_out)
            yield file
            if self.path.is_dir() and len(self.claims) == claims:
                reasons = [entry.reason for entry in self.left_out[told:]] or ["it is empty"]
                self.left_out[told:] = [LeftOut("collection", file.name, f"not one record fits: {reasons[0]}")]

    def finish(self, metric: Metric, tau: Literal["b", "c"] | None = None) -> Benchmark:
        if not self.claims:
            reason = f"{self.left_out[0].where}: {self.left_out[0].reason}" if self.left_out else "it is empty"
            raise ValueError(f"{self.path}: {self.name} expects {EXPECTED[self.name]}; not one record fits ({reason})")
        return Benchmark(self.name, metric, self.claims, self.left_out, tau)


# Benchmarks of true and false texts


def read_sugarcrepe(path: Path) -> Benchmark:
    """A caption of a COCO picture against one in which something was added, replaced or swapped. Hsieh et al. 2023."""
    files = [path]
    if path.is_dir():
        files = [path / name for name in SUGARCREPE_FILES if (path / name).is_file()]
        if not files:
            raise FileNotFoundError(f"no swap_obj.json in {path}; sugarcrepe expects {EXPECTED['sugarcrepe']}")
    found = _Reading("sugarcrepe", path)
    if path.is_dir():
        absent = {*SUGARCREPE_FILES} - NOT_PUBLISHED - {file.name for file in files}
        found.left_out += [LeftOut("collection", name, f"{name} is not in the folder") for name in sorted(absent)]
    return _read_sugarcrepe(found, files, ("caption",))


def read_sugarcrepe_pp(path: Path) -> Benchmark:
    """The same with a second caption in other words; both are to score above the false one. Dumpala et al. 2024."""
    found = _Reading("sugarcrepe++", path)
    return _read_sugarcrepe(found, found.any_files(), ("caption", "caption2"))


def _read_sugarcrepe(found: _Reading, files: Iterable[Path], true: tuple[str, ...]) -> Benchmark:
    for file in files:
        for place, record in _json_records(found.name, file):
            with found.record(f"{file.name}:{place}", len(true) + 1):
                picture, false = _text(record, "filename"), _text(record, "negative_caption")
                texts = [*((_text(record, key), 1.0) for key in true), (false, 0.0)]
                unit = next(found.units)
                found.claims += [Claim(picture, text, label, file.stem, unit) for text, label in texts]
    return found.finish("pairwise")


def read_foil(path: Path) -> Benchmark:
    """FOIL (Shekhar et al. 2017) or VALSE (Parcalabescu et al. 2022), told apart by how a file begins.

    In a folder each file is a subset. Of VALSE only those records count, as with its authors, of which at least two of
    three annotators found the caption true of the picture, and not the foil; the others are one entry of `left_out`.
    """
    found = _Reading("foil", path)
    for file in found.any_files():
        with file.open("rb") as stream:
            is_foil = COCO_HEAD.match(stream.read(4096))
        (_read_foil if is_foil else _read_valse)(found, file)
    return found.finish("pairwise")


class _Annotation(NamedTuple):
    """One caption of FOIL."""

    image: int
    text: str
    is_foil: bool
    word: object
    target: object
    """The word that was there before."""
    ids: dict[str, Hashable]


def _read_foil(found: _Reading, file: Path) -> None:
    """Read as a stream, since the file has 50 to 100 MB. A caption and its foils are one unit.

    What joins them is said in two ways: that they share `foil_id`, or (as programs that read the authors' file have it)
    `id`, which is that of COCO's caption. Whichever gives more foils their caption is taken.
    """
    names: dict[object, str] = {}
    kept: list[_Annotation] = []
    with contextlib.suppress(ValueError):  # no images; if the file is damaged, the next pass tells
        for _, image in stream_json(file, "images.item"):
            if isinstance(image, dict) and type(image.get("id")) is int and isinstance(image.get("file_name"), str):
                names[image["id"]] = image["file_name"]
    for number, annotation in stream_json(file, "annotations.item"):
        with found.record(f"{file.name}:annotations[{number}]", 1):
            text = _text(annotation, "caption")
            image_id, is_foil = annotation.get("image_id"), annotation.get("foil")
            _check(type(image_id) is int, "image_id is no number")
            _check(isinstance(is_foil, bool), "foil is neither true nor false")
            ids: dict[str, Hashable] = {}
            for way in ("foil_id", "id"):
                told = annotation.get(way)  # one that lacks it is joined to nothing
                ids[way] = (image_id, told) if isinstance(told, int | str) else number
            word, target = annotation.get("foil_word"), annotation.get("target_word")
            kept.append(_Annotation(image_id, text, is_foil, word, target, ids))
    joined, originals, most = "", dict[Hashable, str](), -1
    for way in ("foil_id", "id"):
        texts = {row.ids[way]: row.text for row in kept if not row.is_foil}
        foils = sum(row.is_foil and row.ids[way] in texts for row in kept)
        if foils > most:
            joined, originals, most = way, texts, foils
    units: dict[Hashable, int] = {}
    part = "train2014" if "train" in file.name.lower() else "val2014"
    subset = file.stem if found.path.is_dir() else ""
    for row in kept:
        key = row.ids[joined]
        if key not in units:
            units[key] = next(found.units)
        picture = names.get(row.image, f"COCO_{part}_{row.image:012d}.jpg")
        changed = _spans_of_word(row, originals.get(key)) if row.is_foil else ()
        found.claims.append(Claim(picture, row.text, float(not row.is_foil), subset, units[key], changed))


def _read_valse(found: _Reading, file: Path) -> None:
    """An object of records. Its first version has `foils`, a list, of which the first counts, and lists of captions."""
    refused = 0
    for place, record in _json_records("foil", file):
        with found.record(f"{file.name}:{place}", 2):
            picture, caption = _text(record, "image_file"), _text(record, "caption", of_list=True)
            foil = _text(record, "foils" if "foil" not in record and "foils" in record else "foil", of_list=True)
            if (votes := record.get("mturk")) is not None:
                _check(isinstance(votes, dict) and type(votes.get("caption")) is int, "mturk has no count of caption")
                if votes["caption"] < 2:
                    refused += 1
                    continue
            told = record.get("linguistic_phenomena")
            subset = file.stem if found.path.is_dir() else told.strip() if isinstance(told, str) else ""
            unit = next(found.units)
            found.claims.append(Claim(picture, caption, 1.0, subset, unit))
            found.claims.append(Claim(picture, foil, 0.0, subset, unit, _changed_part(caption, foil)))
    if refused:
        reason = f"{refused} records that fewer than two annotators confirmed"
        found.left_out.append(LeftOut("collection", f"{file.name}:mturk", reason, captions=2 * refused))


def _spans_of_word(foil: _Annotation, original: str | None) -> tuple[Span, ...]:
    """Where a foil has its false word, as whole words in any case; not where the original caption has it too."""
    words = [word.strip().lower() if isinstance(word, str) else "" for word in (foil.word, foil.target)]
    if not words[0]:
        return ()
    either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
    places = list(pattern.finditer(foil.text))
    spans = [place.span() for place in places if place[0].lower() == words[0]]
    before = [] if original is None else [word.lower() for word in pattern.findall(original)]
    if words[0] not in before:
        return tuple(spans)
    if len(before) == len(places):  # one word for one: the first place is the first in the original, and so on
        kept = {place.span() for place, word in zip(places, before) if word != words[0]}
        return tuple(span for span in spans if span in kept)
    changed = _changed_part(original or "", foil.text)
    return tuple(span for span in spans if any(start < span[1] and span[0] < end for start, end in changed))


def _changed_part(caption: str, foil: str) -> tuple[Span, ...]:
    """Characters of the foil between the words that both begin with and those that both end with, in any case."""
    words = list(WORD.finditer(foil))
    before, after = [w.casefold() for w in WORD.findall(caption)], [w[0].casefold() for w in words]
    start = _common(before, after)
    end = len(words) - _common(before[start:][::-1], after[start:][::-1])
    return ((words[start].start(), words[end - 1].end()),) if start < end else ()


def _common(first: list[str], second: list[str]) -> int:
    """How many words both begin with."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))


def read_winoground(path: Path) -> Benchmark:
    """Two pictures and two captions of the same words, a unit of four claims. Source: Thrush et al. 2022.

    The subset is `collapsed_tag`, or `tag` where there is none.
    """
    found = _Reading("winoground", path)
    for number, line in read_lines(_the_file("winoground", path)):
        with found.record(f"{path.name}:{number}", 4):
            record = _parsed(line)
            pictures, texts = ([_text(record, f"{kind}_{n}") for n in (0, 1)] for kind in ("image", "caption"))
            tags = [record.get(key) for key in ("collapsed_tag", "tag")]
            subset = next((tag.strip() for tag in tags if isinstance(tag, str) and tag.strip()), "")
            unit = next(found.units)
            pairs = ((0, 0), (1, 1), (0, 1), (1, 0))
            found.claims += [Claim(pictures[i], texts[j], float(i == j), subset, unit) for i, j in pairs]
    return found.finish("winoground")


def read_own_pairs(path: Path) -> Benchmark:
    """The user's own texts: image, caption and optionally label and subset; without a label a text counts as true.

    The unit is the number of the row, from 0.
    """
    found = _Reading("pairs", path)
    rows = read_table(_the_file("pairs", path), wanted=(*PAIR_COLUMNS, "subset"))
    for number, (place, row) in enumerate(rows):
        with found.record(f"{path.name}:{place}", 1):
            pair = row if isinstance(row, str) else read_pair(row)
            if isinstance(row, str) or isinstance(pair, str):
                raise ValueError(pair)
            picture, text, _, matches = pair
            _check(bool(text), "the caption is empty")
            subset = str(row.get("subset")).strip()
            subset = "" if subset.lower() in NOTHING else subset
            found.claims.append(Claim(picture, text, float(matches), subset, number))
    return found.finish("labels")


# Ratings


def read_flickr8k_expert(path: Path) -> Benchmark:
    """Three experts' scores of 1 (does not describe the picture at all) to 4 (does); each is a claim of its own.

    A pair is a unit. Pairs of a picture and one of its own captions are left out, as in the literature: 158 of 5,822,
    so that 16,992 judgements are left. Sources: Hodosh et al. 2013; Anderson et al. 2016 (SPICE), Hessel et al. 2021
    (CLIPScore).
    """

    def scores(fields: list[str]) -> list[float]:
        _check(all(re.fullmatch(r"[1-4]", field) for field in fields), f"scores are 1 to 4, got {fields}"[:120])
        return [float(field) for field in fields]

    return _read_judgements("flickr8k-expert", path, "ExpertAnnotations.txt", scores, "c", own=False)


def read_flickr8k_cf(path: Path) -> Benchmark:
    """The share, 0 to 1, of CrowdFlower's workers who said that the caption describes the picture; 47,830 pairs.

    Sources: Hodosh et al. 2013; Hessel et al. 2021.
    """

    def share(fields: list[str]) -> list[float]:
        value = float(fields[0]) if re.fullmatch(r"[0-9.eE+-]+", fields[0]) else math.nan
        _check(0 <= value <= 1, f"a share is 0 to 1, got {fields[0][:80]!r}")
        return [value]

    return _read_judgements("flickr8k-cf", path, "CrowdFlowerAnnotations.txt", share, "b", own=True)


def _read_judgements(
    name: str,
    path: Path,
    usual: str,
    ratings: Callable[[list[str]], list[float]],
    tau: Literal["b", "c"],
    own: bool,
) -> Benchmark:
    """Lines of image, caption id and three fields. own: whether a picture's own captions count."""
    found = _Reading(name, path)
    file = find_file(path, usual) if path.is_dir() else path
    if file is None:
        raise FileNotFoundError(f"{usual} is not in {path}; {name} expects {EXPECTED[name]}")
    captions = _read_tokens(found, file.with_name(TOKENS))
    claims, of_itself = 1 if own else 3, 0
    for number, line in read_lines(file):
        with found.record(f"{file.name}:{number}", claims):
            fields = [field.strip() for field in _decoded(line).split("\t")]
            _check(len(fields) == 5, f"expected five fields separated by tabs, got {len(fields)}")
            picture, key = fields[:2]
            _check(bool(picture), "the image is no file name")
            labels = ratings(fields[2:])
            # By identity, since the token file calls one picture 2258277193_586949ec62.jpg.1
            if not own and flickr_identity(picture) == flickr_identity(key.rpartition("#")[0]):
                of_itself += 1
                continue
            _check(key in captions, f"{TOKENS} has no caption {key[:80]!r}")
            unit = next(found.units)
            found.claims += [Claim(picture, captions[key], label, "", unit) for label in labels]
    if of_itself:
        reason = f"{of_itself} pairs of a picture and one of its own captions"
        found.left_out.append(LeftOut("collection", f"{file.name}:own captions", reason, captions=claims * of_itself))
    return found.finish("ratings", tau)


def _read_tokens(found: _Reading, file: Path) -> dict[str, str]:
    """Captions by id ("NAME.jpg#2"), of which `sources.readers.read_tokens` drops the number.

    A broken line costs no claim here, but each judgement of it.
    """
    if not file.is_file():
        raise FileNotFoundError(f"the captions are not there: {file}; {found.name} expects {EXPECTED[found.name]}")
    captions: dict[str, str] = {}
    for number, line in read_lines(file):
        with found.record(f"{file.name}:{number}", 0):
            key, _, text = (part.strip() for part in _decoded(line).partition("\t"))
            _check(
                bool(re.fullmatch(r".+#\d+", key) and text),
                f"expected name.jpg#number, a tab and a caption: {key[:80]!r}",
            )
            captions[key] = text
    return captions


# Raw access; a ValueError says what is wrong with one record


def _the_file(name: str, path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; {name} expects {EXPECTED[name]}")
    return path


def _json_files(name: str, path: Path) -> list[Path]:
    files = sorted(file for file in path.glob("*.json") if file.is_file()) if path.is_dir() else [_the_file(name, path)]
    if not files:
        raise FileNotFoundError(f"no *.json in {path}; {name} expects {EXPECTED[name]}")
    return files


def _json_records(name: str, file: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of the entries of a JSON object or list of at most a few MB.

    A byte that is not UTF-8 spoils the record that has it, not the file.
    """
    try:
        value = json.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}); {name} expects {EXPECTED[name]}") from None
    if isinstance(value, dict):
        yield from ((place.encode(errors="replace").decode()[:80], record) for place, record in value.items())
    elif isinstance(value, list):
        yield from ((f"[{number}]", record) for number, record in enumerate(value))


def _text(record: Any, key: str, of_list: bool = False) -> str:
    """A text of a JSON record; of_list: it may be a list, of which the first counts."""
    _check(isinstance(record, dict), "no JSON object")
    _check(key in record, f"lacks {key}")
    value = record[key]
    value = value[0] if of_list and isinstance(value, list) and value else value
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    _check(bool(value.strip()), f"{key} is empty")
    _check(not any("\ud800" <= character <= "\udfff" for character in value), f"{key} is not UTF-8")
    return value.strip()


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


READERS: dict[str, Callable[[Path], Benchmark]] = {
    "sugarcrepe": read_sugarcrepe,
    "sugarcrepe++": read_sugarcrepe_pp,
    "foil": read_foil,
    "flickr8k-expert": read_flickr8k_expert,
    "flickr8k-cf": read_flickr8k_cf,
    "winoground": read_winoground,
    "pairs": read_own_pairs,
}


# Photographs


def identity_of(name: str) -> str | None:
    """Identity of the photograph that a file name tells, as the `group` of a database has it; else None.

    "coco:85329" for "000000085329.jpg" and "COCO_val2014_000000085329.jpg", "flickr:1056338697" for
    "1056338697_4f7d7ce270.jpg". COCO's numbers have six digits after six zeros. A bare number of five to ten digits is
    taken for Flickr30k's (36979.jpg, 1000092795.jpg) if it is a JPEG.
    """
    last = PurePosixPath(name.strip().replace("\\", "/")).name
    if re.fullmatch(r"(?:COCO_(?:train|val|test)20\d\d_)?0{6}\d{6}(?:\.\w+)?", last, re.ASCII):
        return coco_identity(last)
    if re.match(r"[1-9][0-9]{4,10}_[0-9a-f]{10}\b", last) or re.fullmatch(r"[1-9][0-9]{4,9}\.(?:jpe?g|JPE?G)", last):
        return flickr_identity(last)
    return None


class PictureFinder:
    """Where the pictures of a benchmark lie below a folder. Each folder is listed once, at its first use."""

    def __init__(self, images: Path):
        self.images = images
        self._found: dict[str, Path | None] = {}
        self._listed: dict[PurePosixPath, frozenset[str]] = {}

    def find(self, name: str) -> Path | None:
        """The file that a name means, or None; never one outside of the folder.

        The name as it is; its last part; either with an ending; COCO's other spellings of the same number, here or in
        COCO's folders; the first three in other usual folders. The first that is there counts.
        """
        if name not in self._found:
            places = (place for place in self._places(name) if place.name in self._files(place.parent))
            place = next(places, None)
            self._found[name] = None if place is None else self.images / place
        return self._found[name]

    @staticmethod
    def _places(name: str) -> Iterator[PurePosixPath]:
        path = PurePosixPath(name.strip().replace("\\", "/"))
        is_outside = path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts
        if is_outside or not path.name:
            return
        plain = [path, PurePosixPath(path.name)]
        plain += [PurePosixPath(f"{stem}{ending}") for ending in ENDINGS for stem in plain]
        yield from plain
        if (identity := identity_of(name) or "").startswith("coco:"):
            number = int(identity.removeprefix("coco:"))
            for folder in COCO_FOLDERS:
                yield from (PurePosixPath(folder, spelling.format(number)) for spelling in COCO_SPELLINGS)
        for folder in FOLDERS:
            yield from (PurePosixPath(folder, place) for place in plain)

    def _files(self, folder: PurePosixPath) -> frozenset[str]:
        if folder not in self._listed:
            names: frozenset[str] = frozenset()
            # ValueError: a name with a zero byte, which no folder has.
            with contextlib.suppress(OSError, ValueError), os.scandir(self.images / folder) as entries:
                names = frozenset(entry.name for entry in entries if entry.is_file())
            self._listed[folder] = names
        return self._listed[folder]


def find_picture(images: Path, name: str) -> Path | None:
    """One picture; for many keep a `PictureFinder`."""
    return PictureFinder(images).find(name)
