"""FOIL and VALSE: a caption of a picture and a foil, which is the same caption with a false part.

Sources: Shekhar et al. 2017 (FOIL), Parcalabescu et al. 2022 (VALSE).
"""

import contextlib
import itertools
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.benchmarks.figures import Claim, Span, pairwise_figures
from evaluation.benchmarks.reading import Benchmark, Contents, check, text_of
from sources.files import stream_json
from sources.items import LeftOut

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
# The beginning of a file in COCO's format; a file of FOIL has 50 to 100 MB
FOIL_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:info|images|licenses|annotations|categories|type)"\s*:')
JOINED_BY = ("foil_id", "id")  # keys that join a foil to its caption


def _read(contents: Contents) -> None:
    """Read either format; a file of FOIL has annotations. In a folder each file is a subset.

    As its authors do, count a record of VALSE only if at least two of three annotators chose the caption and not the
    foil. The other records are one entry of `left_out`.
    """
    for file in contents.json_files():
        (_read_foil if _is_foil(file) else _read_valse)(contents, file)


def _is_foil(file: Path) -> bool:
    """Whether a file has the format of FOIL, which is that of COCO. Its beginning decides, if it is a key of COCO."""
    with file.open("rb") as stream:
        if FOIL_HEAD.match(stream.read(4096)):
            return True
    with contextlib.suppress(ValueError):  # it has no annotations
        return next(stream_json(file, "annotations.item"), None) is not None
    return False


class _Annotation(NamedTuple):
    """A caption or a foil in a file of FOIL."""

    image: int
    text: str
    is_foil: bool
    word: object
    """The false word of a foil."""
    target: object
    """The word of the caption that it replaces."""
    ids: dict[str, Hashable]
    """Values of the keys JOINED_BY."""


def _read_foil(contents: Contents, file: Path) -> None:
    """Read FOIL as a stream, since the file has 50 to 100 MB. A caption and its foils are a unit."""
    names: dict[object, str] = {}
    with contextlib.suppress(ValueError):  # a file without images; in a damaged file the next pass raises
        for _, image in stream_json(file, "images.item"):
            if isinstance(image, dict) and type(image.get("id")) is int and isinstance(image.get("file_name"), str):
                names[image["id"]] = image["file_name"]
    annotations: list[_Annotation] = []
    for number, record in stream_json(file, "annotations.item"):
        with contents.record(f"{file.name}:annotations[{number}]", 1):
            annotations.append(_annotation(record, number))
    joined_by, originals = _join(annotations)
    units: dict[Hashable, int] = {}
    part = "train2014" if "train" in file.name.lower() else "val2014"
    subset = file.stem if contents.path.is_dir() else ""
    for each in annotations:
        key = each.ids[joined_by]
        if key not in units:
            units[key] = next(contents.units)
        picture = names.get(each.image, f"COCO_{part}_{each.image:012d}.jpg")
        changed = _spans_of_word(each, originals.get(key)) if each.is_foil else ()
        contents.add(Claim(picture, each.text, float(not each.is_foil), subset, units[key], changed))


def _annotation(record: Any, number: int) -> _Annotation:
    """Check a record of FOIL. ValueError says what is broken."""
    text = text_of(record, "caption")
    image, is_foil = record.get("image_id"), record.get("foil")
    check(type(image) is int, "image_id is not a number")
    check(isinstance(is_foil, bool), "foil is neither true nor false")
    ids: dict[str, Hashable] = {}
    for key in JOINED_BY:
        value = record.get(key)  # a caption without the key has no foil
        ids[key] = (image, value) if isinstance(value, int | str) else number
    return _Annotation(image, text, is_foil, record.get("foil_word"), record.get("target_word"), ids)


def _join(annotations: list[_Annotation]) -> tuple[str, dict[Hashable, str]]:
    """The key by which most foils have a caption, and the captions by their value of this key.

    Descriptions of the format disagree on the key that a caption and its foils share: `foil_id`, or `id`, the id of the
    caption in COCO, which programs for the authors' file use.
    """
    best, most = ("", dict[Hashable, str]()), -1
    for key in JOINED_BY:
        captions = {each.ids[key]: each.text for each in annotations if not each.is_foil}
        foils = sum(each.is_foil and each.ids[key] in captions for each in annotations)
        if foils > most:
            best, most = (key, captions), foils
    return best


def _read_valse(contents: Contents, file: Path) -> None:
    """Read VALSE, an object of records. Its first version has lists `caption` and `foils`; the first of each counts."""
    refused = 0
    for place, record in contents.json_records(file):
        with contents.record(f"{file.name}:{place}", 2):
            picture, caption = text_of(record, "image_file"), text_of(record, "caption", of_list=True)
            foil = text_of(record, "foils" if "foil" not in record and "foils" in record else "foil", of_list=True)
            if (votes := record.get("mturk")) is not None:
                check(isinstance(votes, dict) and type(votes.get("caption")) is int, "mturk has no count of caption")
                if votes["caption"] < 2:
                    refused += 1
                    continue
            phenomenon = record.get("linguistic_phenomena")
            named = phenomenon.strip() if isinstance(phenomenon, str) else ""
            subset = file.stem if contents.path.is_dir() else named
            unit = next(contents.units)
            contents.add(Claim(picture, caption, 1.0, subset, unit))
            contents.add(Claim(picture, foil, 0.0, subset, unit, _changed_part(caption, foil)))
    if refused:
        reason = f"{refused} records that fewer than two annotators confirmed"
        contents.left_out.append(LeftOut("collection", f"{file.name}:mturk", reason, captions=2 * refused))


def _spans_of_word(foil: _Annotation, original: str | None) -> tuple[Span, ...]:
    """Spans of the false word in a foil: whole words, in any case, without those that the caption has too."""
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
    if len(before) == len(places):  # one word replaces one: the places correspond
        kept = {place.span() for place, word in zip(places, before) if word != words[0]}
        return tuple(span for span in spans if span in kept)
    changed = _changed_part(original or "", foil.text)
    return tuple(span for span in spans if any(start < span[1] and span[0] < end for start, end in changed))


def _changed_part(caption: str, foil: str) -> tuple[Span, ...]:
    """The characters of the foil between the first words and the last words that both texts share, in any case."""
    words = list(WORD.finditer(foil))
    before, after = [w.casefold() for w in WORD.findall(caption)], [w[0].casefold() for w in words]
    start = _common(before, after)
    end = len(words) - _common(before[start:][::-1], after[start:][::-1])
    return ((words[start].start(), words[end - 1].end()),) if start < end else ()


def _common(first: list[str], second: list[str]) -> int:
    """The number of words at the beginning that both lists share."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))


FOIL = Benchmark(
    "foil",
    "foilv1.0_*.json, a JSON file of VALSE (records of image_file, caption, foil), or a folder of such files",
    _read,
    pairwise_figures,
)
