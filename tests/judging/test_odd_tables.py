"""Tables as spreadsheets, other programs and accidents make them: nothing is merged, swallowed or half said."""

import csv
import datetime
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, run_script
from PIL import Image

from judging import table
from judging.judge import Judge
from judging.page import summarise, write_report
from judging.table import Job, score_file

MODEL = str(ROOT / "Models" / "scenes-small")
MOST = 64  # words that it reads


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, colour in enumerate(("red", "green", "blue", "yellow"), start=1):
        Image.new("RGB", (64, 64), colour).save(folder / f"p{number}.jpg")
    return folder


def score(source, images, out, **options):
    return score_file(Job(source, images, out, MODEL, "cpu", **options))


def rows_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_open_quote_is_told_for_every_line_and_raw_fields_stay(images, tmp_path):
    lines = [f"p{1 + n % 4}.jpg,A ball in picture {n}." for n in range(30)]
    lines[3] = 'p4.jpg,"A ball in picture 3.'
    (tmp_path / "pairs.csv").write_text("image,caption\n" + "\n".join(lines) + "\n")
    said = score(tmp_path / "pairs.csv", images, tmp_path / "out.csv")
    assert said.startswith(f"{tmp_path / 'out.csv'}: 30 rows") and "27 without a score" in said
    rows = rows_of(tmp_path / "out.csv")
    assert [row["image"] for row in rows] == [line.partition(",")[0] for line in lines]
    assert [row["caption"] for row in rows] == [f"A ball in picture {n}." for n in range(30)]
    assert [bool(row["score"]) for row in rows] == [True] * 3 + [False] * 27
    assert rows[9]["error"] == "row 11: a quotation mark that opens in line 5 is not closed"


def test_columns_are_found_in_any_case_and_keep_their_names(images, tmp_path):
    (tmp_path / "pairs.csv").write_text("\ufeffIMAGE, Caption ,Label\np1.jpg,A ball.,1\n", encoding="utf-8")
    score(tmp_path / "pairs.csv", images, tmp_path / "out.csv")
    (row,) = rows_of(tmp_path / "out.csv")
    assert list(row)[:3] == ["IMAGE", "Caption", "Label"] and row["score"] and not row["error"]
    assert summarise(tmp_path / "out.csv", 5, 0.0).suspects[0].caption == "A ball."
    pq.write_table(pa.table({"Image": ["p1.jpg"], "CAPTION": ["A ball."]}), tmp_path / "pairs.parquet")
    score(tmp_path / "pairs.parquet", images, tmp_path / "out.parquet")
    (row,) = rows_of(tmp_path / "out.parquet")
    assert (row["CAPTION"], row["error"]) == ("A ball.", None)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_odd_value_leaves_the_others_as_they_are(images, tmp_path, ending):
    odd = ['{"image": "p3.jpg", "caption": 5}', '{"image": "p4.jpg", "caption": NaN, "x": [NaN, 1]}']
    lines = [f'{{"image": "p{n}.jpg", "caption": "A ball.", "x": "\\"q\\""}}' for n in (1, 2)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines + odd) + "\n")
    score(tmp_path / "pairs.jsonl", images, tmp_path / f"out.{ending}")
    rows = rows_of(tmp_path / f"out.{ending}")
    five = 5 if ending == "jsonl" else "5"
    assert [row["caption"] or None for row in rows] == ["A ball.", "A ball.", five, None]
    listed = [None, 1] if ending == "jsonl" else "[null, 1]"
    assert [row["x"] or None for row in rows] == ['"q"', '"q"', None, listed]
    assert [bool(row["error"]) for row in rows] == [False, False, True, True]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_fraction_leaves_whole_numbers_whole(images, tmp_path, ending):
    ids = ["1", "2", "0.5", "null", "1e999"]
    lines = [f'{{"image": "p1.jpg", "caption": "A ball.", "id": {value}}}\n' for value in ids]
    (tmp_path / "pairs.jsonl").write_text("".join(lines))
    score(tmp_path / "pairs.jsonl", images, tmp_path / f"out.{ending}")
    found = [row["id"] for row in rows_of(tmp_path / f"out.{ending}")]
    expected = {"csv": ["1", "2", "0.5", "", ""], "jsonl": [1, 2, 0.5, None, None]}
    if ending == "parquet":
        assert (
            found == [1.0, 2.0, 0.5, None, None]
            and pq.read_schema(tmp_path / "out.parquet").field("id").type == "double"
        )
    else:
        assert found == expected[ending] and [type(value) for value in found[:3]] == [
            type(v) for v in expected[ending][:3]
        ]


def test_a_row_with_a_raw_surrogate_is_refused_alone(images, tmp_path):
    lines = [b'{"image": "p1.jpg", "caption": "A ball %s."}' % odd for odd in (b"a", b"\xed\xa0\x80", b"b")]
    (tmp_path / "pairs.jsonl").write_bytes(b"\n".join(lines))
    score(tmp_path / "pairs.jsonl", images, tmp_path / "out.jsonl")
    errors = [row["error"] for row in rows_of(tmp_path / "out.jsonl")]
    assert errors == [None, "row 2: not UTF-8: byte 0xed at position 39", None]


def test_names_behind_many_other_keys_are_found(images, tmp_path):
    row = {**{f"meta_{n}": n for n in range(30)}, "caption": "A ball.", "image": "p1.jpg"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    score(tmp_path / "pairs.jsonl", images, tmp_path / "out.jsonl")
    assert rows_of(tmp_path / "out.jsonl")[0]["score"] is not None


def test_words_that_were_not_read_are_counted(images, tmp_path, monkeypatch):
    text = "a red ball on white and " * 11 + "a green elephant"
    lines = ["image,caption", f"p1.jpg,{text}", "p1.jpg,A ball.", "p9.jpg,A ball."]
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    said = score(tmp_path / "pairs.csv", images, tmp_path / "out.csv")
    assert "1 text longer than the model reads (see the column unread_words)" in said
    unread = str(len(text.split()) - MOST)
    assert [row["unread_words"] for row in rows_of(tmp_path / "out.csv")] == [unread, "0", ""]
    judge = Judge.load(MODEL, "cpu")
    write_report(tmp_path / "report.html", judge, tmp_path / "out.csv", images, 5, False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 text longer than the model reads: the last words were not judged." in page
    assert f"The last {unread} words were not read: the model reads {MOST}." in page
    assert judge.check(images / "p1.jpg", text).as_dict()["unread"] == int(unread)


def test_a_table_that_was_scored_without_unread_words_is_scored_again(images, tmp_path):
    earlier = {name: "" for name in table.RESULTS if name != "unread_words"}
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "caption", *earlier])
        writer.writeheader()
        writer.writerow({"image": "p1.jpg", "caption": "A ball.", **earlier})
    score(tmp_path / "pairs.csv", images, tmp_path / "out.csv")
    assert rows_of(tmp_path / "out.csv")[0]["unread_words"] == "0"


def test_a_caption_over_64_kib_is_refused_alone(images, tmp_path):
    rows = [{"image": "p1.jpg", "caption": text} for text in ("A ball.", "ä " * 30_000)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(tmp_path / "pairs.jsonl", images, tmp_path / "out.jsonl")
    errors = [row["error"] for row in rows_of(tmp_path / "out.jsonl")]
    assert errors == [None, "the caption has 90,000 bytes; the limit is 65,536"]


SPECTATORS = {
    "far": pa.array([2**30, None], pa.date32()),
    "exact": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns")),
    "span": pa.array([3, None], pa.duration("ns")),
    "many": pa.array([[2**30], None], pa.list_(pa.date32())),
    "day": pa.array([datetime.date(2020, 1, 2), None]),
    "half": pa.array([0.5, math.nan]),
}


def test_columns_of_parquet_that_python_cannot_hold_pass_untouched(images, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROWS", 3)
    pairs = pa.table({"image": ["p1.jpg", "p2.jpg"], "caption": ["A ball."] * 2, **SPECTATORS})
    pairs = pa.concat_tables([pairs] * 4)
    pq.write_table(pairs, tmp_path / "pairs.parquet", row_group_size=2)
    for ending in ("parquet", "csv", "jsonl"):
        score(tmp_path / "pairs.parquet", images, tmp_path / f"out.{ending}")
    kept = pq.read_table(tmp_path / "out.parquet")
    assert kept.select(pairs.schema.names).cast(pairs.schema).drop_columns("half").equals(pairs.drop_columns("half"))
    assert kept["error"].null_count == 8
    for ending in ("csv", "jsonl"):
        rows = rows_of(tmp_path / f"out.{ending}")
        assert len(rows) == 8 and rows[6]["exact"] == "2023-11-14 22:13:20.000000001"
        assert (rows[6]["day"], str(rows[6]["half"])) == ("2020-01-02", "0.5") and all(rows[0].values()) is False
        assert rows[6]["far"] and rows[6]["span"] and rows[6]["many"]
        assert not any(rows[7][name] for name in SPECTATORS)
    score(tmp_path / "out.parquet", images, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").drop_columns("half").equals(kept.drop_columns("half"))


def test_absolute_paths_below_the_folder_of_images_are_accepted(images, tmp_path):
    (tmp_path / "link").symlink_to(images)
    paths = [images / "p1.jpg", tmp_path / "link" / "p1.jpg", tmp_path / "p1.jpg", images / ".." / "p1.jpg"]
    (tmp_path / "pairs.csv").write_text("image,caption\n" + "".join(f"{path},A ball.\n" for path in paths))
    score(tmp_path / "pairs.csv", tmp_path / "link", tmp_path / "out.csv")
    assert [row["error"] for row in rows_of(tmp_path / "out.csv")] == [
        *("", ""),
        *(f"the image {str(path)!r} is outside the folder --images" for path in paths[2:]),
    ]


def test_pictures_far_down_a_table_are_found(images, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROWS", 2)
    names = ["absent.jpg"] * 5 + ["p1.jpg"]
    (tmp_path / "pairs.csv").write_text("image,caption\n" + "".join(f"{name},A ball.\n" for name in names))
    assert "5 without a score" in score(tmp_path / "pairs.csv", images, tmp_path / "out.csv")


def test_no_row_with_a_score_is_an_error(images, tmp_path):
    (tmp_path / "pairs.csv").write_text("image,caption\np1.jpg,?!\np2.jpg,...\n")
    flags = ("--pairs", tmp_path / "pairs.csv", "--images", images, "--out", tmp_path / "out.csv")
    done = run_script("Predict.py", *flags, "--model", MODEL, "--device", "cpu", status=2)
    why = "none of 2 rows has a score; the first: the caption has no words (see the column error)"
    assert done.stderr.strip().endswith(f"error: {tmp_path / 'out.csv'}: {why}")
    assert len(rows_of(tmp_path / "out.csv")) == 2
