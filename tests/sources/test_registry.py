"""The sources that settings name, in their order."""

import importlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from raw_files import coco_captions, conversation, narrative, of_type, write

import sources
from Config import DatabaseConfig, source
from sources.items import LeftOut, Listed, Picture, Text
from sources.registry import SOURCES, open_sources, sources_of


def test_the_sources_are_those_of_the_settings_in_the_order_of_their_precedence(tmp_path):
    write(
        tmp_path,
        {
            "coco/val2017/9.jpg": None,
            "coco/captions_val2017.json": coco_captions((9, 1, "A meal.")),
            "f30k/images/7.jpg": None,
            "f30k/results.csv": "7.jpg| 0| A dog .",
            "f8k/Images/7_0123456789.jpg": None,
            "f8k/Flickr8k.token.txt": "7_0123456789.jpg#0\tA dog .",
            "ade/validation/ADE_val_1.jpg": None,
            "own/pairs.csv": "image,caption\na.jpg,A cat.\n",
            "own/a.jpg": None,
            **{
                f"{part}.jsonl": json.dumps(narrative(f"mscoco_{part}", "9", part)) for part in ("val2017", "train2017")
            },
            "one.json": [conversation("coco/val2017/9.jpg", "One.")],
            "two.json": [conversation("coco/val2017/9.jpg", "Two.")],
        },
    )
    sources = open_sources(
        DatabaseConfig(
            name="photos",
            sharegpt4v=tuple(str(tmp_path / f"{name}.json") for name in ("one", "two")),
            narratives=tuple(str(tmp_path / f"{name}.jsonl") for name in ("val2017", "train2017")),
            pairs=str(tmp_path / "own" / "pairs.csv"),
            ade20k=str(tmp_path / "ade"),
            flickr8k=str(tmp_path / "f8k"),
            flickr30k=str(tmp_path / "f30k"),
            coco=str(tmp_path / "coco"),
        )
    )
    assert list(sources) == ["coco", "flickr30k", "flickr8k", "ade20k", "pairs", "narratives", "sharegpt4v"]
    items = {source: list(items) for source, items in sources.items()}
    assert [item.text for item in items["narratives"]] == ["val2017", "train2017"]
    assert [item.text for item in items["sharegpt4v"]] == ["One.", "Two."]
    assert {source: [item.identity for item in of_type(Picture, found)] for source, found in items.items()} == {
        "coco": ["coco:9"],
        "flickr30k": ["flickr:7"],
        "flickr8k": ["flickr:7"],
        "ade20k": ["ade20k:ADE_val_1"],
        "pairs": ["pairs:a.jpg"],
        "narratives": [],
        "sharegpt4v": [],
    }


def test_folders_given_relative_to_here_give_absolute_paths(tmp_path, monkeypatch):
    """Workers can run in other folders."""
    write(
        tmp_path,
        {"f8k/Images/7_0123456789.jpg": None, "f8k/Flickr8k.token.txt": "", "own.csv": "image,caption\nb.jpg,A\n"},
    )
    write(tmp_path, {"pictures/b.jpg": None})
    monkeypatch.chdir(tmp_path)
    chosen = DatabaseConfig(name="photos", flickr8k="f8k", pairs="own.csv", images="pictures")
    paths = [item.path for items in open_sources(chosen).values() for item in of_type(Picture, items)]
    assert paths == [tmp_path / "f8k" / "Images" / "7_0123456789.jpg", tmp_path / "pictures" / "b.jpg"]


def test_without_photographs_scenes_are_drawn():
    (source, items), *others = open_sources(DatabaseConfig(scenes=12, seed=3)).items()
    assert (source, others) == ("scenes", [])
    assert next(item.identity for item in of_type(Picture, items)) == "scene-3000000"


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder of photographs")
def test_real_files_are_read_whole():
    root = Path(os.environ["TIC_PHOTOS"])
    chosen = DatabaseConfig(
        name="photos",
        **{source: str(root / source) for source in ("coco", "flickr30k", "flickr8k", "ade20k")},
        narratives=(str(root / "ade20k" / "ade20k_validation_localized_narratives.jsonl"),),
    )
    counts, identities = {}, {}
    for name, found in open_sources(chosen).items():
        items = list(found)
        counts[name] = {kind.__name__: len(of_type(kind, items)) for kind in (Picture, Text, Listed, LeftOut)}
        identities[name] = {item.identity for item in of_type(Picture, items)}
        if name not in ("ade20k", "narratives"):
            assert {item.identity for item in of_type(Text, items)} == identities[name]
    assert counts == {
        "coco": {"Picture": 100, "Text": 500, "Listed": 0, "LeftOut": 0},
        "flickr30k": {"Picture": 300, "Text": 1500, "Listed": 0, "LeftOut": 0},
        "flickr8k": {"Picture": 7000, "Text": 35_000, "Listed": 7000, "LeftOut": 0},
        "ade20k": {"Picture": 300, "Text": 0, "Listed": 0, "LeftOut": 0},
        "narratives": {"Picture": 0, "Text": 300, "Listed": 0, "LeftOut": 0},
    }
    assert identities["flickr30k"] <= identities["flickr8k"]


def test_every_source_is_selected_by_a_field_of_the_settings():
    """A file with SOURCES that no field names could never be read; the table has no other names."""
    folder = Path(sources.__file__).parent
    modules = [path for path in folder.glob("*.py") if re.search("^SOURCES = {", path.read_text(), re.M)]
    written = {name for path in modules for name in importlib.import_module(f"sources.{path.stem}").SOURCES}
    assert written | {"scenes"} == set(SOURCES) == set(DatabaseConfig.sources())
    for name, facts in DatabaseConfig.sources().items():
        assert (SOURCES[name].collection is None) == bool(facts.about), f"{name} has pictures, or only texts"


def test_a_field_without_its_source_is_refused():
    @dataclass(frozen=True)
    class Wrong(DatabaseConfig):
        flickr31k: str | None = source("flickr")

    with pytest.raises(AssertionError, match=r"sources\.flickr .*flickr31k"):
        sources_of(Wrong)


def test_an_empty_name_of_a_folder_is_the_current_folder():
    """Scenes must not be drawn instead."""
    assert list(open_sources(DatabaseConfig(name="photos", coco=""))) == ["coco"]
