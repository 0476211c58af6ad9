"""A database whose files are damaged: one line names the file and the command that fixes it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import run_script

from DataBase_functions import Database

BUILD = "python Database_create.py --name tiny --flickr8k DIR --overwrite"
DEEP = "[" * 100_000
SHARD = "data-00000-of-00001.arrow"


@pytest.fixture
def copy(databases, tmp_path) -> Path:
    # A test of the evaluation can have put the scores of the blind judges beside the plan.
    return shutil.copytree(databases / "tiny", tmp_path / "tiny", ignore=shutil.ignore_patterns("blind_*"))


def changed(path: Path, *keys: str, to: object = None) -> None:
    """Set a value of a JSON file, or delete it."""
    values = part = json.loads(path.read_text())
    for key in keys[:-1]:
        part = part[key]
    if to is None:
        del part[keys[-1]]
    else:
        part[keys[-1]] = to
    path.write_text(json.dumps(values))


def refused(folder: Path) -> str:
    """What is said about a database that is opened and used."""
    with pytest.raises((ValueError, OSError)) as error:
        database = Database(folder)
        assert database.has_regions and database.word_counts and database.plan.text(0)
    message = str(error.value)
    assert "\n" not in message and str(folder) in message and len(message) < 700
    return message


@pytest.mark.parametrize(
    "content", ["null", "[]", "5", "", '{"format": 3, ', "NaN", DEEP, "\ud83d", '{"format": "3"}', "{}"]
)
@pytest.mark.parametrize("name", ["state.json", "manifest.json", "word_counts.json"])
def test_a_file_of_json_that_is_another_thing_is_named(copy, name, content):
    if (name, content) == ("word_counts.json", "{}"):
        content = '{"a": 0}'
    (copy / name).write_text(content, errors="surrogatepass")
    message = refused(copy)
    assert (name in message or "database format 1" in message) and BUILD in message


@pytest.mark.parametrize(
    ("name", "keys", "to", "shown"),
    [
        ("state.json", ("fingerprint",), None, "has no fingerprint"),
        ("state.json", ("fingerprint",), 5, "fingerprint is 5, not a string"),
        ("state.json", ("picture_fingerprint",), [], "picture_fingerprint is a list"),
        ("state.json", ("_data_files",), None, "has no _data_files"),
        ("state.json", ("_data_files",), [], "does not name the files of the rows"),
        ("state.json", ("_data_files",), [{"filename": "../x"}], "does not name the files of the rows"),
        ("state.json", ("_data_files",), [{"filename": "x"}], "name other files of rows"),
        ("state.json", ("parse_format",), True, "parse_format is"),
        ("manifest.json", ("sources",), None, "has no sources"),
        ("manifest.json", ("sources", "scenes"), 5, "sources.scenes holds 5"),
        (
            "manifest.json",
            ("sources", "scenes", "splits"),
            {"train": 1},
            "sources.scenes.splits has no validation, test",
        ),
        ("manifest.json", ("sources", "scenes", "regions", "words"), "7", 'words is "7"'),
        ("manifest.json", ("files", SHARD), {}, f"files.{SHARD} has no rows, bytes"),
        ("manifest.json", ("files", SHARD, "bytes"), 7, f"{SHARD} is damaged: it has"),
        ("word_counts.json", ("red",), -1, "a count of a word is no whole number above 0"),
        ("word_counts.json", ("\ud83d",), 1, "half of a character"),
    ],
)
def test_a_wrong_value_is_named(copy, name, keys, to, shown):
    changed(copy / name, *keys, to=to)
    message = refused(copy)
    assert shown in message and BUILD in message


def grown(path: Path) -> None:
    """Let the manifest agree with the size of a shard that was changed."""
    changed(path.parent / "manifest.json", "files", path.name, "bytes", to=path.stat().st_size)


def test_a_damaged_shard_is_named(copy):
    shard = copy / SHARD
    data = shard.read_bytes()
    for damaged in (data[:-100_000], b"", data[:50], b"\0" * len(data), data[:4] + b"\xff" * 60 + data[64:]):
        shard.write_bytes(damaged)
        grown(shard)
        assert f"{SHARD} is damaged" in (message := refused(copy)) and BUILD in message
    table = pa.table({"image_id": ["1"]})
    with pa.ipc.new_stream(str(shard), table.schema) as stream:
        stream.write_table(table)
    grown(shard)
    assert "has no column image of the right type" in refused(copy)
    shard.unlink()
    assert f"{SHARD} is not there" in refused(copy)


def test_a_damaged_plan_is_named(copy):
    assert len(Database(copy).plan)
    (plan,) = copy.glob("negatives/*/plan.json")
    for file in sorted(plan.parent.iterdir()):
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 3] if file != plan else b"[")
        assert "delete this folder, and it is made again" in refused(copy), file.name
        file.write_bytes(data)
    (plan.parent / "swap.arrow").unlink()
    assert "is damaged" in refused(copy)
    shutil.rmtree(copy / "negatives")
    assert Database(copy).plan.text(0)


def test_a_flipped_bit_in_the_offsets_of_a_plan_is_named(copy):
    """Arrow aborts the process when it reads such a string."""
    assert len(Database(copy).plan)
    (file,) = copy.glob("negatives/*/swap_strings.arrow")
    with pa.ipc.open_file(str(file)) as source:
        batch = source.get_batch(0)
    _, offsets, data = batch.column(0).buffers()
    changed = np.frombuffer(offsets, np.int32).copy()
    changed[1] ^= 1 << 30
    strings = pa.StringArray.from_buffers(len(batch), pa.py_buffer(changed), data)
    with pa.ipc.new_file(str(file), batch.schema) as target:
        target.write_batch(pa.record_batch([strings], schema=batch.schema))
    message = refused(copy)
    assert str(file.parent) in message and "delete this folder, and it is made again" in message


def test_a_plan_of_other_captions_is_named(copy, tmp_path):
    (plan,) = copy.glob("negatives/*/plan.json")
    folder = plan.parent
    captions = pa.ipc.open_file(str(folder / "captions.arrow")).read_all()
    with pa.ipc.new_file(str(folder / "captions.arrow.part"), captions.schema) as file:
        file.write_table(captions[:-3].combine_chunks())
    (folder / "captions.arrow.part").replace(folder / "captions.arrow")
    assert f"it has {len(captions) - 3} captions, the database {len(captions)}" in refused(copy)


SCRIPTS = {
    "Database_create.py": ["--root", "ROOT", "--name", "tiny", "--reparse"],
    "Main_train.py": ["--data.root", "ROOT", "--data.name", "tiny", "--models", "ROOT/M", "--plots", "ROOT/P"],
    "Evaluate_test.py": ["--model", "Models/scenes-small", "--database", "ROOT/tiny"],
    "Miscellaneous_scripts/View_dataset.py": ["--root", "ROOT", "--name", "tiny", "--plots", "ROOT/P"],
    "Miscellaneous_scripts/Dump_negatives.py": ["--root", "ROOT", "--name", "tiny", "--out", "ROOT/x.csv"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_says_it_in_one_line(copy, script):
    (copy / "manifest.json").write_text("[]")
    done = run_script(script, *(flag.replace("ROOT", str(copy.parent)) for flag in SCRIPTS[script]), status=2)
    assert done.stderr.count("\n") == 1 and f"{copy / 'manifest.json'} holds a list" in done.stderr


def test_a_shard_of_another_length_is_not_parsed_again(copy):
    changed(copy / "manifest.json", "files", SHARD, "rows", to=47)
    done = run_script(
        "Database_create.py", *SCRIPTS["Database_create.py"][:1], copy.parent, "--name", "tiny", "--reparse", status=2
    )
    assert done.stderr.count("\n") == 1 and f"{SHARD} is damaged: it has 48 rows, not 47" in done.stderr
