"""Adding a source takes one file in `sources` and one field of DatabaseConfig: a toy with three pictures, built."""

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pictures import scenery
from scripts import run_jobs_here

import Database_create
import sources
from common import jobs
from Config import DatabaseConfig, source
from sources.units import read_arrow

TOY_SOURCE = """
from sources.files import picture_files
from sources.items import Picture, Source, Text


def read(folder):
    for path in picture_files(folder):
        yield Picture(f"toy:{path.stem}", path.name, path, "test" if path.stem == "3" else None)
        yield Text(f"toy:{path.stem}", path.with_suffix(".txt").read_text().strip(), "caption", f"{path.stem}.txt:1")


SOURCES = {"toy": Source("folder", lambda folder, _: read(folder), collection="toy")}
"""


@dataclass(frozen=True)
class ToyConfig(DatabaseConfig):
    toy: str | None = source("toy")
    """Folder with pictures, and a caption in a .txt file beside each."""


@pytest.fixture
def toy_folder(tmp_path, monkeypatch) -> Path:
    """A folder in the toy's format; the toy is a file in a folder where `sources` is looked for, and a field."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "toy.py").write_text(TOY_SOURCE)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path / "program")])
    monkeypatch.setattr(Database_create, "DatabaseConfig", ToyConfig)
    importlib.invalidate_caches()
    folder = tmp_path / "toy"
    folder.mkdir()
    for number, caption in enumerate(["A dog runs.", "Two cats sleep.", "A red car."], start=1):
        scenery(number).save(folder / f"{number}.jpg")
        (folder / f"{number}.txt").write_text(caption)
    yield folder
    sys.modules.pop("sources.toy", None)


def build(root: Path, *flags: object) -> None:
    Database_create.main([*map(str, ("--root", root, "--name", "photos", "--workers", 1, "--no-negatives", *flags))])


def test_a_toy_source_becomes_a_database(toy_folder, tmp_path, capsys):
    build(tmp_path / "Database", "--toy", toy_folder)
    database = tmp_path / "Database" / "photos"
    rows = read_arrow(database / "data-00000-of-00001.arrow").to_pylist()
    assert [(row["group"], row["source"], row["captions"][0]["text"]) for row in rows] == [
        ("toy:1", "toy", "A dog runs."),
        ("toy:2", "toy", "Two cats sleep."),
        ("toy:3", "toy", "A red car."),
    ]
    assert [row["captions"][0]["parse"]["lemma"][1] for row in rows] == ["dog", "cat", "red"]
    assert rows[2]["split"] == "test"
    manifest = json.loads((database / "manifest.json").read_text())
    assert manifest["sources"]["toy"]["photographs"] == {"seen": 3, "stored": 3, "left_out": 0}
    assert manifest["settings"]["toy"] == str(toy_folder)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines if line[:1] == ["toy"]] == ["3", "3"], "photographs and captions"


def test_a_toy_source_joins_others_and_is_held_out_by_file_name(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "run_locally", run_jobs_here)  # the test above has a worker
    (tmp_path / "pairs.csv").write_text("image,caption\ntoy/1.jpg,A brown dog.\n")
    (tmp_path / "list.txt").write_text("2.jpg\n")
    build(tmp_path, "--toy", toy_folder, "--pairs", tmp_path / "pairs.csv", "--hold-out", tmp_path / "list.txt")
    rows = read_arrow(tmp_path / "photos" / "data-00000-of-00001.arrow").to_pylist()
    texts = {row["group"]: [caption["text"] for caption in row["captions"]] for row in rows}
    assert sorted(map(sorted, texts.values())) == [["A brown dog.", "A dog runs."], ["A red car."], ["Two cats sleep."]]
    assert {row["image_id"]: row["split"] for row in rows}["2.jpg"] == "test"


def test_the_settings_know_the_toy(toy_folder, tmp_path, capsys):
    assert ToyConfig(name="photos", toy="x").has_photographs and not ToyConfig().has_photographs
    assert "--toy)" in ToyConfig.how_to_build(Path("Database/photos"))
    with pytest.raises(ValueError, match="photographs need a name"):
        ToyConfig(toy="x")
    with pytest.raises(SystemExit):
        build(tmp_path, "--toy", tmp_path / "absent")
    assert f"--toy {tmp_path / 'absent'}: it does not exist; give a folder" in capsys.readouterr().err
