"""Units: lemmas that are remembered are those that spaCy finds, and what is parsed before changes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from negatives.text import Parse
from sources import units
from sources.scenes import make_scene, write_captions
from sources.units import DATABASE_SCHEMA, PARSE_FORMAT, CaptionParser, database_features, find_pipeline

TRICKY = [
    "He ain't gonna run .",
    "They're gonna jump and gotta go",
    "Let's go to Bob's left .",
    "let 's see",
    "C'mon , y'all",
    "There is a dog and there are cats .",
    "There's a man who is there",
    "The dog's being washed ; it has been left .",
    "He left his glasses and got left behind .",
    "Two men saw a saw , they ca n't wo n't",
    "I'd say she'd gone, he's here; it's his",
    "  two   spaces \n\n and a line ",
    "DOGS Running RUNNING runs",
    "",
]


def plain_parses(parser: CaptionParser, texts: list[str]) -> list[Parse]:
    return [Parse.from_doc(doc) for doc in parser.nlp.pipe(texts)]


@pytest.fixture(scope="module")
def parser() -> CaptionParser:
    return CaptionParser(find_pipeline())


def test_remembered_lemmas_are_those_of_spacy(parser):
    texts = TRICKY + [caption for seed in range(40) for caption in write_captions(make_scene(seed), seed)]
    expected = plain_parses(parser, texts)
    assert parser.parse(texts) == expected
    remembered = len(parser.lemmas)
    assert remembered > 200
    assert parser.parse(texts[::-1]) == expected[::-1], "now all are remembered"
    assert len(parser.lemmas) == remembered


def test_the_memory_of_lemmas_is_bounded(parser, monkeypatch):
    monkeypatch.setattr(CaptionParser, "MOST_REMEMBERED", 10)
    parser.parse(["A brown dog runs over the green grass with a ball in its mouth ."])
    assert len(parser.lemmas) > 10
    parser.parse(["A cat ."])
    assert len(parser.lemmas) == 3


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr8k/, coco/, ade20k/")
def test_remembered_lemmas_of_real_captions(parser):
    root = Path(os.environ["TIC_PHOTOS"])
    lines = (root / "flickr8k" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines[:2000]]
    narratives = root / "ade20k" / "ade20k_validation_localized_narratives.jsonl"
    texts += [json.loads(line)["caption"] for line in narratives.read_text(encoding="utf-8").splitlines()]
    coco = json.loads((root / "coco" / "annotations" / "captions_val2017.json").read_text(encoding="utf-8"))
    texts += [annotation["caption"] for annotation in coco["annotations"]]
    assert parser.parse(texts) == plain_parses(parser, texts)


def test_columns_are_the_same_for_arrow_and_datasets():
    schema = database_features().arrow_schema
    assert (
        schema.names
        == DATABASE_SCHEMA.names
        == [*("image", "image_id", "source", "split", "group", "captions", "mismatches", "scene")]
    )
    assert schema.field("image").type == DATABASE_SCHEMA.field("image").type
    rows = [{"captions": [{"text": "a", "kind": "caption", "source": "x", "parse": {"start": [0], "lemma": ["a"]}}]}]
    import pyarrow as pa

    made = pa.Table.from_pylist(rows, DATABASE_SCHEMA)
    assert made.cast(schema).to_pylist() == made.to_pylist()


# Formats, and what a unit depends on

REPOSITORY = Path(__file__).parent.parent.parent
PARSE_FIELDS = {1: ("text", "start", "end", "lemma", "tag", "head", "dep")}


def test_another_parse_has_another_format():
    """With other fields PARSE_FORMAT goes up, so that databases of the old ones are parsed anew."""
    assert Parse._fields == PARSE_FIELDS[PARSE_FORMAT]
    stored = DATABASE_SCHEMA.field("captions").type.value_type.field("parse").type
    assert ("text", *(field.name for field in stored)) == Parse._fields


def test_what_the_first_format_stores(parser):
    """If the same spaCy document gives another parse, PARSE_FORMAT goes up too."""
    text = "Two dogs\n run ."
    (doc,) = parser.nlp.pipe([text])
    for token, tag, dep, head in zip(
        doc, ("CD", "NNS", "_SP", "VBP", "."), ("nummod", "nsubj", "dep", "ROOT", "punct"), (1, 3, 1, 3, 2)
    ):
        token.tag_, token.dep_ = tag, dep
        token.head = doc[head]
    assert Parse.from_doc(doc) == Parse(
        text,
        start=(0, 4, 10, 14),
        end=(3, 8, 13, 15),
        lemma=("two", "dog", "run", "."),
        tag=("CD", "NNS", "VBP", "."),
        head=(1, 2, 2, 3),  # that of the full stop is white space
        dep=("nummod", "nsubj", "ROOT", "punct"),
    )
    assert PARSE_FORMAT == 1


def test_readers_and_writers_of_a_database_agree_about_its_formats():
    """There is one number for both, in common.storage."""
    import DataBase_functions
    from common import storage
    from sources import manifest

    for module in (DataBase_functions, manifest):
        assert module.DATABASE_FORMAT is storage.DATABASE_FORMAT
        assert module.PARSE_FORMAT is storage.PARSE_FORMAT
    assert units.PARSE_FORMAT is storage.PARSE_FORMAT


KEYS = """
from pathlib import Path
from Config import DatabaseConfig
from sources.intake import Photograph, StoredText
from sources.items import Picture
from sources.units import PictureUnit, TextUnit, find_pipeline
texts = (StoredText("A dog runs.", "caption", "pairs", True),)
photograph = Photograph(1, (Picture("1", "1.jpg", Path("1.jpg")),), ("pairs",), texts)
print(PictureUnit.of(Path(), [photograph], DatabaseConfig()).path, TextUnit.of(Path(), [texts], find_pipeline()).path)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A copy of the program that may be changed."""
    folder = tmp_path_factory.mktemp("program")
    for path in REPOSITORY.glob("*.py"):
        shutil.copy(path, folder)
    for wing in ("common", "negatives", "sources"):
        shutil.copytree(REPOSITORY / wing, folder / wing, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def keys(program: Path) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", KEYS], cwd=program, capture_output=True, text=True, check=True)
    pictures, texts = done.stdout.split()
    return pictures, texts


@pytest.mark.parametrize(
    ("module", "pictures_change", "texts_change"),
    [
        ("negatives/slots.py", False, False),
        ("negatives/vocabulary.py", False, False),
        ("common/pictures.py", True, False),
        ("sources/scenes/drawing.py", True, False),
        ("sources/scenes/drawings.py", True, False),
        ("sources/coco.py", False, False),
        ("sources/units.py", True, True),
    ],
)
def test_units_depend_on_the_code_that_makes_them_and_on_no_other(program, module, pictures_change, texts_change):
    pictures, texts = keys(program)
    source = (program / module).read_text(encoding="utf-8")
    (program / module).write_text(source + "# changed\n", encoding="utf-8")
    try:
        other_pictures, other_texts = keys(program)
    finally:
        (program / module).write_text(source, encoding="utf-8")
    assert (other_pictures != pictures, other_texts != texts) == (pictures_change, texts_change)


def test_another_parse_format_makes_other_units_of_texts(tmp_path, monkeypatch):
    unit = units.TextUnit.of(tmp_path, [()], find_pipeline())
    monkeypatch.setattr(units, "PARSE_FORMAT", PARSE_FORMAT + 1)
    assert units.TextUnit.of(tmp_path, [()], find_pipeline()).path != unit.path
