"""SNLI-VE: texts that people wrote about captions of Flickr30k, labelled as entailed, neutral or contradicted.

A line is a JSON object: `Flickr30K_ID` is the number of the photograph, `sentence1` one of its captions, `sentence2`
the text, and `gold_label` says whether it follows from the caption. An entailed text is stored as a true text of the
photograph. The other two are stored as mismatches: a contradicted text is false, a neutral one can be true or false.

The captions themselves come from Flickr30k or Flickr8k. Sources: Bowman et al. 2015 (SNLI), Xie et al. 2019 (SNLI-VE).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sources.files import describe_error, parse_json, read_lines
from sources.flickr import flickr_identity
from sources.items import ENTAILED, NEUTRAL, Item, LeftOut, Source, Text

KINDS: dict[str, Literal["entailed", "contradicted", "neutral"]] = {  # gold_label -> kind of the text
    "entailment": ENTAILED,
    "contradiction": "contradicted",
    "neutral": NEUTRAL,
}
UNDECIDED = "-"  # the gold_label of a text whose annotators did not agree
ID_KEYS = ("Flickr30K_ID", "Flickr30kID", "Flikr30kID")  # the last one is the spelling of the first release


class Labelled(NamedTuple):
    """A text of SNLI-VE. `kind` is None if its annotators did not agree."""

    number: str
    """Number of the photograph at Flickr."""
    text: str
    kind: Literal["entailed", "contradicted", "neutral"] | None


def read_snli_ve(file: Path) -> Iterator[Item]:
    """The texts of a JSON Lines file of SNLI-VE. Texts whose annotators did not agree are left out, with one entry.

    A line that cannot be used is left out with its number and the reason. FileNotFoundError if there is no such file.
    """
    undecided = 0
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            found = labelled_text(line)
        except ValueError as error:
            yield LeftOut("line", where, str(error), captions=1)
            continue
        if found.kind is None:
            undecided += 1
        else:
            matches = found.kind == ENTAILED
            yield Text(flickr_identity(found.number), found.text, found.kind, where, matches)
    if undecided:
        reason = f'the annotators did not agree: gold_label "{UNDECIDED}"'
        yield LeftOut("collection", f"{file.name}:{UNDECIDED}", reason, captions=undecided)


def labelled_text(line: bytes) -> Labelled:
    """What a line says. ValueError if it is not a record of SNLI-VE, with the reason."""
    try:
        record = parse_json(line)
    except ValueError as error:
        raise ValueError(f"not a record of SNLI-VE: {describe_error(error)}") from None
    if not isinstance(record, dict):
        raise ValueError("not a record of SNLI-VE: not a JSON object")
    number = _photograph(record)
    text, label = record.get("sentence2"), record.get("gold_label")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("sentence2 is not a text" if "sentence2" in record else "it has no sentence2")
    if not isinstance(label, str) or label.strip() not in (*KINDS, UNDECIDED):
        raise ValueError(f"unknown gold_label {str(label)[:80]!r}; known: {', '.join((*KINDS, UNDECIDED))}")
    return Labelled(number, text.strip(), KINDS.get(label.strip()))


def _photograph(record: dict[str, Any]) -> str:
    value = next((record[key] for key in ID_KEYS if key in record), None)
    if value is None:
        raise ValueError(f"it has no {ID_KEYS[0]}")
    number = re.fullmatch(r"\s*([0-9]+)(\.jpg)?\s*", str(value), re.ASCII)
    if not number:
        raise ValueError(f"{ID_KEYS[0]} is not the number of a photograph: {str(value)[:80]!r}")
    return number[1]


SOURCES = {"snli_ve": Source("file", lambda file, _: read_snli_ve(file))}
