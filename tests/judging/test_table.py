"""Scores of a data set: every row in its order, also broken ones, and interrupted runs that are resumed."""

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from forks import Forked
from judges import with_score
from PIL import Image

from evaluation import scoring
from judging import table
from judging.doubt import FUNCTION_WORDS
from judging.judge import Judge
from judging.picture_cache import PictureCache
from judging.table import Job, score_file
from sources.scenes import draw, make_scene, write_captions


@pytest.fixture(scope="module")
def model(trained):
    return str(trained / "Models" / "small")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Six scenes, and a file that is not a picture."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(6):
        draw(make_scene(seed)).save(folder / f"{seed}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


ROWS = [
    {"image": f"{seed}.png", "caption": caption, "id": str(number)}
    for number, (seed, caption) in enumerate(
        (seed, caption) for seed in range(6) for caption in write_captions(make_scene(seed), seed)
    )
]


def write(path, rows):
    """Write rows to a file in the format of its ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def score(source, images, out, model, **options):
    return score_file(Job(source, images, out, model, "cpu", **options))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_scores_of_the_judge(ending, model, images, tmp_path):
    out = tmp_path / f"scored.{ending}"
    message = score(write(tmp_path / f"pairs.{ending}", ROWS), images, out, model)
    assert message.startswith(f"{out}: 30 rows")
    found = read(out)
    assert [{name: row[name] for name in ROWS[0]} for row in found] == ROWS
    judge = Judge.load(model, "cpu")
    expected = judge.pairs([images / row["image"] for row in ROWS], [row["caption"] for row in ROWS])
    assert [float(row["score"]) for row in found] == pytest.approx(expected, abs=2e-6)
    match = [str(row["match"]).lower() == "true" for row in found]
    assert match == [bool(value >= judge.threshold) for value in expected]
    assert [float(row["probability"]) for row in found] == pytest.approx(judge.probability(expected), abs=2e-6)
    assert not any(row["error"] for row in found)
    assert not list(tmp_path.glob(".*"))  # the parts are gone


@pytest.mark.parametrize("given", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("wanted", ["csv", "jsonl", "parquet"])
def test_any_format_becomes_any_other(given, wanted, model, images, tmp_path):
    out = tmp_path / f"scored.{wanted}"
    score(write(tmp_path / f"pairs.{given}", ROWS[:3]), images, out, model)
    assert [row["id"] for row in read(out)] == ["0", "1", "2"]


def test_the_worst_word_is_that_of_the_verdict(model, images, tmp_path):
    out = tmp_path / "scored.jsonl"
    score(write(tmp_path / "pairs.jsonl", ROWS), images, out, model)
    judge = Judge.load(model, "cpu")
    for row in read(out)[:6]:
        words = judge.check(images / row["image"], row["caption"]).words
        named = [word for word in words if word.known and word.text.lower() not in FUNCTION_WORDS]
        assert row["worst_score"] == pytest.approx(min(word.score for word in named), abs=1e-4)
        assert row["worst_word"] in [word.text for word in named]


def test_what_cannot_be_judged_is_marked_and_keeps_its_place(model, images, tmp_path):
    lines = [
        "image,caption,note",
        '0.png,"a ball, red",first',
        "absent.png,a ball,",
        "broken.png,a ball,x",
        "0.png,?!,",
        ",a ball,",
        "../0.png,a ball,",
        "/etc/passwd,a ball,",
        "0.png,a ball,x,too many",
        "1.png,a tree,last",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    message = score(tmp_path / "pairs.csv", images, tmp_path / "out.csv", model)
    rows = read(tmp_path / "out.csv")
    assert message.endswith("7 without a score (see the column error)") and len(rows) == 9
    assert [bool(row["score"]) for row in rows] == [True, *[False] * 7, True]
    assert [row["error"] for row in rows[1:8]] == [
        "picture: No such file or directory",
        "picture: the file is not a picture in JPEG, PNG, GIF, BMP, WEBP or TIFF format",
        "the caption has no words",
        "the image is not a file name",
        "the image '../0.png' is outside the folder --images",
        "the image '/etc/passwd' is outside the folder --images",
        "row 9: more fields than columns",
    ]
    assert [row["note"] for row in rows] == ["first", "", "x", "", "", "", "", "x,too many", "last"]


def test_types_and_nested_values_are_kept(model, images, tmp_path):
    rows = [
        {"image": "0.png", "caption": "a ball", "n": 1, "x": 0.5, "ok": True, "tags": ["a", {"b": 1}], "mixed": 1},
        {"image": "1.png", "caption": "a tree", "n": 2, "x": 1, "ok": False, "tags": None, "mixed": "two"},
        {"image": "2.png", "caption": "a dog", "late": "only here"},
    ]
    score(write(tmp_path / "pairs.jsonl", rows), images, tmp_path / "out.jsonl", model)
    found = read(tmp_path / "out.jsonl")
    for row, kept in zip(rows, found):
        assert {name: kept[name] for name in row} == row
    score(tmp_path / "pairs.jsonl", images, tmp_path / "out.parquet", model)
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert (schema.field("n").type, schema.field("ok").type) == (pa.int64(), pa.bool_())
    assert schema.field("score").type == pa.float64() and schema.field("match").type == pa.bool_()
    assert json.loads(pq.read_table(tmp_path / "out.parquet")["tags"][0].as_py()) == ["a", {"b": 1}]


def test_a_file_that_was_scored_may_be_scored_again(model, images, tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    score(write(tmp_path / "pairs.csv", ROWS[:4]), images, first, model)
    score(first, images, second, model)
    assert second.read_bytes() == first.read_bytes()


def test_an_existing_file_is_replaced_only_with_overwrite(model, images, tmp_path):
    source = write(tmp_path / "pairs.csv", ROWS[:2])
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="replace it with --overwrite"):
        score(source, images, tmp_path / "out.csv", model)
    assert (tmp_path / "out.csv").read_text() == "mine"
    score(source, images, tmp_path / "out.csv", model, overwrite=True)
    assert len(read(tmp_path / "out.csv")) == 2
    with pytest.raises(ValueError, match="would replace the file of --pairs"):
        score(source, images, source, model, overwrite=True)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_odd_values_come_back_as_they_were(ending, model, images, tmp_path):
    odd = ["a\rb", "a\nb", 'a "b"', " a ", "a,b", "ä ü 🙂", "a\r\nb", "'"]
    rows = [{"image": "0.png", "caption": f"a ball {text}", "note": text} for text in odd]
    score(write(tmp_path / "pairs.jsonl", rows), images, tmp_path / f"out.{ending}", model)
    assert [row["note"] for row in read(tmp_path / f"out.{ending}")] == odd


def test_large_numbers_are_kept(model, images, tmp_path):
    numbers = [1, 2**53 + 1, 2**63, -(2**70)]
    rows = [{"image": "0.png", "caption": "a ball", "id": n, "small": n % 7, "half": 0.5} for n in numbers]
    rows[0]["half"] = 2**53 + 1
    for ending in ("jsonl", "parquet"):
        score(write(tmp_path / "pairs.jsonl", rows), images, tmp_path / f"out.{ending}", model)
    found = read(tmp_path / "out.jsonl")
    assert [(row["id"], row["half"]) for row in found] == [(row["id"], row["half"]) for row in rows]
    kinds = pq.read_schema(tmp_path / "out.parquet")
    assert (kinds.field("id").type, kinds.field("small").type) == (pa.string(), pa.int64())


def test_a_table_that_an_earlier_version_scored_is_scored_again(model, images, tmp_path):
    earlier = {name: "" for name in table.RESULTS if name not in table.ADDED}
    source = write(tmp_path / "pairs.csv", [{**ROWS[0], **earlier, "score": "7"}])
    score(source, images, tmp_path / "out.csv", model)
    (found,) = read(tmp_path / "out.csv")
    assert found["score"] != "7" and found["verdict"] in ("match", "mismatch", "unsure")


def test_another_risk_is_another_job(model, images, tmp_path, monkeypatch):
    judge = Judge.load(model, "cpu")
    assert table.identity_of(judge) == table.identity_of(Judge(judge.loaded, judge.name))
    judge.risk = 0.1
    assert table.identity_of(judge) != table.identity_of(Judge(judge.loaded, judge.name))


def test_the_users_own_columns_are_not_replaced(model, images, tmp_path):
    source = write(tmp_path / "pairs.csv", [{**ROWS[0], "score": "0.3"}])
    with pytest.raises(ValueError, match="has a column 'score', which --out would replace by a result; rename it"):
        score(source, images, tmp_path / "out.csv", model)
    (tmp_path / "twice.csv").write_text("image,caption,note,note\n0.png,a ball,1,2\n")
    with pytest.raises(ValueError, match="more than one column 'note'"):
        score(tmp_path / "twice.csv", images, tmp_path / "out.csv", model)


def test_a_wrong_folder_of_images_is_refused_before_anything_is_written(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the 30 images .* --images DIR"):
        score(write(tmp_path / "pairs.csv", ROWS), tmp_path, tmp_path / "out.csv", model)
    assert {path.name for path in tmp_path.iterdir()} == {"pairs.csv"}


def test_one_file_is_written_by_one_process(model, images, tmp_path):
    source = write(tmp_path / "pairs.csv", ROWS)
    folder = tmp_path / ".out.csv.parts"
    folder.mkdir()
    with filelock.FileLock(folder / "lock"), pytest.raises(ValueError, match="another process is writing"):
        score(source, images, tmp_path / "out.csv", model)
    score(source, images, tmp_path / "out.csv", model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,text\na.png,b\n", "has no column caption"),
        ("image,caption\n", "has no rows"),
        (None, "there is no file"),
    ],
)
def test_a_file_without_pairs_is_refused(content, message, model, images, tmp_path):
    if content is not None:
        (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        score(tmp_path / "pairs.csv", images, tmp_path / "out.csv", model)
    with pytest.raises(FileNotFoundError, match="--images DIR"):
        score(tmp_path / "pairs.csv", tmp_path / "none", tmp_path / "out.csv", model)


# Interruption


def test_an_interrupted_run_is_resumed(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "ROWS", 4)
    source = write(tmp_path / "pairs.csv", ROWS)
    score(source, images, tmp_path / "whole.csv", model)
    run, done = table.Part.run, []

    def interrupted(part):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(part.path.name)
        return run(part)

    monkeypatch.setattr(table.Part, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score(source, images, tmp_path / "out.csv", model)
    assert not (tmp_path / "out.csv").exists()
    monkeypatch.setattr(table.Part, "run", lambda part: (done.append(part.path.name), run(part))[1])
    score(source, images, tmp_path / "out.csv", model)
    assert "resuming, 12 of 30 rows are already scored" in capsys.readouterr().out
    assert done == [f"{number:08d}.parquet" for number in range(8)]  # no part was scored twice
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("other", ["rows", "model"])
def test_parts_of_another_file_or_model_are_not_used(other, model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "ROWS", 4)
    run = table.Part.run

    def only_first(part):
        if part.path.name != "00000000.parquet":
            raise KeyboardInterrupt
        return run(part)

    monkeypatch.setattr(table.Part, "run", only_first)
    source = write(tmp_path / "pairs.csv", ROWS)
    with pytest.raises(KeyboardInterrupt):
        score(source, images, tmp_path / "out.csv", model)
    monkeypatch.setattr(table.Part, "run", run)
    rows = ROWS
    if other == "rows":
        rows = ROWS[::-1] + ROWS[:1]
        write(source, rows)
    else:
        copy = tmp_path / "other"
        shutil.copytree(model, copy)
        threshold = json.loads((copy / "threshold.json").read_text())
        (copy / "threshold.json").write_text(json.dumps({**threshold, "threshold": -1.0}))
        model = str(copy)
    score(source, images, tmp_path / "out.csv", model)
    assert "resuming" not in capsys.readouterr().out
    found = read(tmp_path / "out.csv")
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert other == "rows" or all(row["match"] == "true" for row in found)


def test_kill_minus_nine_loses_no_part(model, images, tmp_path):
    source, out = write(tmp_path / "pairs.csv", ROWS * 40), tmp_path / "out.csv"
    program = (
        "import sys, Predict; from judging import table; table.ROWS = 40; "
        f"Predict.main(['--pairs', {str(source)!r}, '--images', {str(images)!r}, '--out', {str(out)!r}, "
        f"'--model', {model!r}, '--device', 'cpu'])"
    )
    parts = tmp_path / ".out.csv.parts"
    written: dict[str, int] = {}
    for wanted in (2, 6):
        process = Forked(["-c", program], 1, 2)
        deadline = time.monotonic() + 600
        while len(list(parts.glob("*.parquet"))) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "it was done too early to be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
        assert len(found) >= wanted and written.items() <= found.items()  # no part was written again
        written = found
    assert Forked(["-c", program], 1, 2).wait() == 0
    rows = read(tmp_path / "out.csv")
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS * 40]
    whole = score_rows_at_once(model, images)
    assert [float(row["score"]) for row in rows[:30]] == pytest.approx(whole, abs=1e-4)


def score_rows_at_once(model, images):
    return Judge.load(model, "cpu").pairs([images / row["image"] for row in ROWS], [row["caption"] for row in ROWS])


def test_memory_does_not_grow_with_the_rows(model, images, tmp_path, monkeypatch):
    """The pictures of only one part are in memory at the same time, however long the table is."""
    monkeypatch.setattr(table, "ROWS", 5)
    held = []
    encode = scoring.encode_and_measure

    def watched(loaded, pictures, count, *rest):
        held.append(count)
        return encode(loaded, pictures, count, *rest)

    monkeypatch.setattr(scoring, "encode_and_measure", watched)
    table.cache_of.cache_clear()  # of earlier tests with the same pictures
    score(write(tmp_path / "pairs.csv", ROWS), images, tmp_path / "out.csv", model)
    assert held == [1] * 6  # five captions of one picture are a part, and it is encoded once


def test_a_picture_of_several_parts_is_encoded_once(model, images, tmp_path, monkeypatch):
    """In random order as in sorted order, with the scores of a run that keeps no pictures."""
    monkeypatch.setattr(table, "ROWS", 8)
    encoded = []
    prepare_files = scoring.prepare_files

    def watched(loaded, places, errors):
        encoded.extend(places)
        return prepare_files(loaded, places, errors)

    monkeypatch.setattr(scoring, "prepare_files", watched)
    shuffled = [ROWS[i] for i in np.random.default_rng(0).permutation(len(ROWS))]
    source = write(tmp_path / "pairs.csv", [*shuffled, {"image": "broken.png", "caption": "A tree.", "id": "x"}])
    table.cache_of.cache_clear()
    score(source, images, tmp_path / "kept.csv", model)
    assert sorted(encoded) == sorted({*encoded}) and len(encoded) == 7
    table.cache_of.cache_clear()
    monkeypatch.setattr(PictureCache.__init__, "__defaults__", (0,))
    score(source, images, tmp_path / "not_kept.csv", model)
    assert len(encoded) > 20
    kept, other = ([*csv.DictReader((tmp_path / name).open(newline=""))] for name in ("kept.csv", "not_kept.csv"))
    assert len(kept) == len(shuffled) + 1
    for row, again in zip(kept, other, strict=True):
        for name in ("score", "probability", "worst_score"):  # a batch of another size can move a sum's last digit
            assert float(row.pop(name) or 0) == pytest.approx(float(again.pop(name) or 0), abs=1e-5)
        assert row == again
    table.cache_of.cache_clear()


def test_the_picture_cache_forgets_what_was_used_first_and_what_has_changed(model, tmp_path):
    places = {str(seed): tmp_path / f"{seed}.png" for seed in range(3)}
    for seed, path in enumerate(places.values()):
        draw(make_scene(seed)).save(path)
    loaded = Judge.load(model, "cpu").loaded
    size = PictureCache(loaded).encode(places, {}).vectors[0].nbytes
    cache = PictureCache(loaded, 2 * size)
    first = cache.encode({"0": places["0"], "1": places["1"]}, {}).vectors[0]
    assert torch.equal(cache.encode({"0": places["0"]}, {}).vectors[0], first)
    cache.encode({"2": places["2"]}, {})
    assert [Path(key[0]).name for key in cache.kept] == ["0.png", "2.png"] and cache.bytes == 2 * size
    draw(make_scene(7)).save(places["0"])
    assert not torch.equal(cache.encode({"0": places["0"]}, {}).vectors[0], first)


def test_a_model_with_the_pooled_score_alone_names_no_word(trained, images, tmp_path):
    judge = with_score(Judge.load(trained / "Models" / "small", "cpu"), "pooled")
    found = table.score_rows(judge, [("1", ROWS[0])], images)
    assert "score" in found[0] and "worst_word" not in found[0]


def test_large_and_small_pictures_go_together(model, tmp_path):
    Image.effect_noise((900, 300), 60).save(tmp_path / "a.png")
    Image.effect_noise((40, 40), 60).save(tmp_path / "b.png")
    rows = [("1", {"image": "a.png", "caption": "a ball"}), ("2", {"image": "b.png", "caption": "a ball"})]
    found = table.score_rows(Judge.load(model, "cpu"), rows, tmp_path)
    assert np.isfinite([row["score"] for row in found]).all()
