"""Units: their inputs decide their names, and an unusable picture costs only itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pictures import photograph

from common.regions import Region
from Config import DatabaseConfig
from negatives.text import Parse
from sources import units
from sources.intake import Photograph, StoredText
from sources.items import Picture
from sources.parser import CaptionParser, find_pipeline
from sources.units import (
    DATABASE_SCHEMA,
    PARSE_FORMAT,
    PictureUnit,
    TextUnit,
    database_features,
    is_temporary,
    read_arrow,
    stored_texts,
    why_left_out,
)


@pytest.fixture(scope="module")
def parser() -> CaptionParser:
    return CaptionParser(find_pipeline())


def test_columns_are_the_same_for_arrow_and_datasets():
    schema = database_features().arrow_schema
    assert (
        schema.names
        == DATABASE_SCHEMA.names
        == [*("image", "image_id", "source", "split", "group", "captions", "mismatches", "scene")]
    )
    assert schema.field("image").type == DATABASE_SCHEMA.field("image").type
    rows = [{"captions": [{"text": "a", "kind": "caption", "source": "x", "parse": {"start": [0], "lemma": ["a"]}}]}]
    made = pa.Table.from_pylist(rows, DATABASE_SCHEMA)
    assert made.cast(schema).to_pylist() == made.to_pylist()


# Formats, and what a unit depends on

REPOSITORY = Path(__file__).parent.parent.parent
PARSE_FIELDS = {1: ("text", "start", "end", "lemma", "tag", "head", "dep")}


def test_another_parse_has_another_format():
    """With other fields PARSE_FORMAT goes up, so that databases of the old ones are parsed again."""
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
    from common import storage
    from sources import manifest, stored

    for module in (stored, manifest):
        assert module.DATABASE_FORMAT is storage.DATABASE_FORMAT
        assert module.PARSE_FORMAT is storage.PARSE_FORMAT
    assert units.PARSE_FORMAT is storage.PARSE_FORMAT


KEYS = """
from pathlib import Path
from Config import DatabaseConfig
from sources.intake import Photograph, StoredText
from sources.items import Picture
from sources.parser import find_pipeline
from sources.units import PictureUnit, TextUnit
texts = (StoredText("A dog runs.", "caption", "pairs", True),)
photograph = Photograph(1, (Picture("1", "1.jpg", Path("1.jpg")),), ("pairs",), texts)
print(PictureUnit.of(Path(), [photograph], DatabaseConfig()).path, TextUnit.of(Path(), [texts], find_pipeline()).path)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A copy of the program that tests can change."""
    folder = tmp_path_factory.mktemp("program")
    for path in REPOSITORY.glob("*.py"):
        shutil.copy(path, folder)
    for wing in ("common", "negatives", "sources"):
        shutil.copytree(REPOSITORY / wing, folder / wing, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


MODULES = {  # -> whether units of pictures and of texts depend on it
    "negatives/slots.py": (False, False),
    "negatives/vocabulary.py": (False, False),
    "common/pictures.py": (True, False),
    "sources/scenes/drawing.py": (True, False),
    "sources/scenes/drawings.py": (True, False),
    "sources/coco.py": (False, False),
    "sources/units.py": (True, True),
    "sources/parser.py": (False, True),
}

# The libraries are imported once; a forked process imports the program as it is at that time.
EACH = f"""
import os, sys
from pathlib import Path
import datasets, numpy, PIL.Image, pyarrow, spacy
sys.path.insert(0, os.getcwd())
for module in (None, *sys.argv[1:]):
    source = module and Path(module).read_text(encoding="utf-8")
    if module:
        Path(module).write_text(source + "# changed\\n", encoding="utf-8")
    if not (process := os.fork()):
        exec({KEYS!r})
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, module
    if module:
        Path(module).write_text(source, encoding="utf-8")
"""


@pytest.fixture(scope="module")
def keys(program) -> dict[str | None, tuple[str, str]]:
    """The names of a unit of pictures and of one of texts, by the module that was changed; None: no module."""
    command = [sys.executable, "-c", EACH, *MODULES]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [tuple(line.split()) for line in done.stdout.splitlines()]
    return dict(zip((None, *MODULES), lines, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("module", MODULES)
def test_units_depend_on_the_code_that_makes_them_and_on_no_other(keys, module):
    (pictures, texts), (other_pictures, other_texts) = keys[None], keys[module]
    assert (other_pictures != pictures, other_texts != texts) == MODULES[module]


def test_another_parse_format_makes_other_units_of_texts(tmp_path, monkeypatch):
    unit = units.TextUnit.of(tmp_path, [()], find_pipeline())
    monkeypatch.setattr(units, "PARSE_FORMAT", PARSE_FORMAT + 1)
    assert units.TextUnit.of(tmp_path, [()], find_pipeline()).path != unit.path


def test_a_removed_file_and_a_failing_decoder_cost_one_picture_each(tmp_path, monkeypatch):
    photograph(64, 48).save(tmp_path / "1.jpg")
    photograph(64, 48).save(tmp_path / "2.png")
    photographs = [
        Photograph(rank, (Picture(name, name, tmp_path / name),), ("flickr8k",), ())
        for rank, name in enumerate(("1.jpg", "2.png", "3.jpg"), start=1)
    ]

    def breaks(image):
        raise IndexError("a damaged table")

    monkeypatch.setattr("common.pictures.to_rgb", breaks)
    rows = PictureUnit.of(tmp_path, photographs, DatabaseConfig()).make().to_pylist()
    assert [row["image_id"] for row in rows] == ["1.jpg", None, None]
    assert [[problem["reason"] for problem in row["problems"]] for row in rows] == [
        [],
        ["IndexError: a damaged table"],
        ["the file no longer exists"],
    ]
    assert rows[1]["problems"][0]["where"] == f"{tmp_path.name}/2.png"
    assert "Permission" in why_left_out(PermissionError(13, "Permission denied"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied", "/home/me/1.jpg"), "Permission denied"),
        (OSError("image file is truncated"), "image file is truncated"),
        (OSError(5, "Input/output error"), None),
        (OSError(24, "Too many open files"), None),
        (MemoryError(), None),
    ],
)
def test_a_temporary_error_ends_the_build_instead_of_costing_pictures(tmp_path, monkeypatch, error, reason):
    """A finished unit is never made again, so a picture that a second build could read must not be left out."""

    def fails(*arguments):
        raise error

    monkeypatch.setattr("sources.units.stored_picture", fails)
    unit = PictureUnit.of(
        tmp_path, [Photograph(1, (Picture("1", "1.jpg", Path("1.jpg")),), ("x",), ())], DatabaseConfig()
    )
    assert is_temporary(error) == (reason is None)
    if reason is None:
        with pytest.raises(type(error)):
            unit.make()
    else:
        assert unit.make().to_pylist()[0]["problems"][0]["reason"] == reason


def test_a_unit_is_made_once_and_again_if_its_input_changes(tmp_path):
    picture = tmp_path / "1.jpg"
    photograph(64, 48).save(picture)
    one = [Photograph(1, (Picture("1", "1.jpg", picture),), ("flickr8k",), ())]
    unit = PictureUnit.of(tmp_path, one, DatabaseConfig())
    unit.run()
    made = unit.path.stat().st_mtime_ns
    unit.run()
    assert unit.path.stat().st_mtime_ns == made
    assert PictureUnit.of(tmp_path, one, DatabaseConfig()).path == unit.path
    assert PictureUnit.of(tmp_path, one, DatabaseConfig(short_side=64)).path != unit.path
    listed = [Photograph(1, (Picture("1", "1.jpg", picture, "test"),), ("flickr8k",), ())]
    assert PictureUnit.of(tmp_path, listed, DatabaseConfig()).path == unit.path, "a split changes no picture"
    os.utime(picture, ns=(0, 0))
    assert PictureUnit.of(tmp_path, one, DatabaseConfig()).path != unit.path
    assert read_arrow(unit.path).num_rows == 1


def test_an_error_while_writing_leaves_no_half_written_unit(tmp_path, monkeypatch):
    unit = TextUnit.of(tmp_path, [()], find_pipeline())

    class FullDisk:
        def __enter__(self):
            raise OSError(28, "No space left on device")

        def __exit__(self, *error):
            pass

    monkeypatch.setattr("sources.units.pa.ipc.new_stream", lambda path, schema: Path(path).touch() or FullDisk())
    with pytest.raises(OSError, match="No space left"):
        unit.run()
    assert list(tmp_path.iterdir()) == []


def test_regions_are_stored_beside_their_text_and_read_back(tmp_path):
    """Boxes are stored in single precision; what is read back is stored as the same bytes again (--reparse)."""
    regions = (Region(2, 5, ((0.1, 0.2, 0.3, 1 / 3), (0.0, 0.0, 1.0, 1.0))), Region(0, 10, ((0.5, 0.5, 0.75, 1.0),)))
    rows = [(StoredText("A dog runs.", "caption", "x", True, regions), StoredText("A cat.", "dense", "y", True)), ()]
    rows.append((StoredText("Two dogs.", "caption", "x", True, regions[1:]),))
    batch = TextUnit.of(tmp_path, rows, find_pipeline()).make()
    table = pa.Table.from_batches([batch])
    read = list(stored_texts(table))
    assert [[(t.text, t.kind, t.source) for t in texts] for texts in read] == [
        [(t.text, t.kind, t.source) for t in texts] for texts in rows
    ]
    for text, stored in zip((*rows[0], *rows[2]), (*read[0], *read[2])):
        assert [(r.start, r.end, len(r.boxes)) for r in stored.regions] == [
            (r.start, r.end, len(r.boxes)) for r in text.regions
        ]
        for region, its in zip(text.regions, stored.regions):
            assert [pytest.approx(box, abs=1e-7) for box in region.boxes] == list(its.boxes)
    assert list(stored_texts(table.slice(2))) == read[2:]
    assert TextUnit.of(tmp_path, read, find_pipeline()).make().equals(batch)


def test_other_regions_make_another_unit(tmp_path):
    texts = [(StoredText("A dog.", "caption", "x", True, regions),) for regions in ((), (Region(2, 5, ()),))]
    assert len({TextUnit.of(tmp_path, [one], find_pipeline()).path for one in texts}) == 2


def test_texts_that_are_not_true_are_kept_apart_and_unparsed(tmp_path):
    texts = tuple(
        StoredText(text, "caption", "pairs", matches)
        for text, matches in (("A dog runs.", True), ("A cat runs.", False), ("Two dogs run.", True))
    )
    (row,) = TextUnit.of(tmp_path, [texts], find_pipeline()).make().to_pylist()
    assert [(c["text"], c["parse"]["lemma"][1]) for c in row["captions"]] == [
        ("A dog runs.", "dog"),
        ("Two dogs run.", "dog"),
    ]
    assert row["mismatches"] == [{"text": "A cat runs.", "kind": "caption", "source": "pairs"}]


def test_a_damaged_unit_is_made_again(tmp_path, capsys):
    """After a crash of the machine a file can have its name and not its content."""
    unit = PictureUnit.of(tmp_path, [], DatabaseConfig())
    unit.run()
    assert unit.is_finished
    whole = unit.path.read_bytes()
    other = TextUnit(tmp_path / "texts.arrow", 0, (), find_pipeline())
    for damaged in (b"", whole[:40], bytes(len(whole)), pa.schema([]).serialize().to_pybytes()):
        unit.path.write_bytes(damaged)
        assert not unit.is_finished and not unit.path.exists()
        assert f"{unit.path} is damaged and is made again" in capsys.readouterr().err
    with pa.ipc.new_stream(str(unit.path), other.schema):
        pass
    assert not unit.is_finished
    unit.run()
    assert unit.path.read_bytes() == whole
