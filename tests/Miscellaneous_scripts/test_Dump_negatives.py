"""Dump_negatives: it writes the negatives of the plan, the same in every format and in every run."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run_process, run_script

from DataBase_functions import Database
from Miscellaneous_scripts import Dump_negatives as dump
from Negative_map import KINDS
from Tokenizer_lib import split_words

SCRIPT = "Miscellaneous_scripts/Dump_negatives.py"
FIELDS = ["image_id", "source", "kind", "category", "positive", "negative", "changed"]


@pytest.fixture(scope="module")
def run(databases):
    """Run the script on the database `tiny`."""
    return lambda *flags, **options: run_script(SCRIPT, "--name", "tiny", "--root", databases, *flags, **options)


@pytest.fixture(scope="module")
def database(databases):
    return Database(databases / "tiny")


def read(path):
    """The records of a file, read with the standard libraries."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return [{**line, "changed": json.loads(line["changed"])} for line in csv.DictReader(file)]
        return [json.loads(line) for line in file]


def records_of(database, **settings):
    """The records that a run would write."""
    return list(dump.Negatives(database, dump.DumpConfig(out="x.jsonl", split="train", **settings)))


def test_each_format_holds_the_same_records(run, tmp_path):
    files = [tmp_path / "new" / f"negatives{ending}" for ending in (".jsonl", ".csv", ".parquet")]
    for file in files:
        printed = run("--split", "train", "--count", 300, "--seed", 3, "--out", file).stdout
        assert f"written: {file} (" in printed and "can have a negative" in printed
    records = read(files[0])
    assert len(records) == 300
    assert all(list(record) == FIELDS for record in records)
    assert read(files[1]) == read(files[2]) == records
    assert pq.read_schema(files[2]).field("changed").type == pa.list_(pa.list_(pa.int32()))
    assert sorted((tmp_path / "new").iterdir()) == sorted(files)  # no .part is left


def test_characters_that_csv_and_json_must_quote_are_read_back(tmp_path):
    text = 'A "sign", 5 €\nsays: a\tb, «è» \u2028 \\n'
    record = dict(zip(FIELDS, ("1", "pairs", "swap", "object", text, text + "\r", [[0, 1], [3, 7]])))
    for ending, writer in dump.WRITERS.items():
        with writer(tmp_path / f"x{ending}") as add:
            add(record)
        assert read(tmp_path / f"x{ending}") == [record]


def test_a_carriage_return_stays_inside_its_record_of_csv(tmp_path):
    records = [
        dict(zip(FIELDS, (f"{n}", "pairs", "swap", "object", "A dog.\rA cat.", "A hog.\r", [[2, 5]]))) for n in (1, 2)
    ]
    with dump.write_csv(tmp_path / "x.csv") as add:
        for record in records:
            add(record)
    assert read(tmp_path / "x.csv") == records
    assert (tmp_path / "x.csv").read_bytes().count(b"\n") == 3


def test_parquet_is_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(dump, "ROWS_AT_ONCE", 4)
    records = [dict(zip(FIELDS, (f"{n}", "s", "swap", "object", "a", "b", [[0, 1]]))) for n in range(10)]
    with dump.write_parquet(tmp_path / "x.parquet") as add:
        for record in records:
            add(record)
    assert read(tmp_path / "x.parquet") == records
    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups == 3


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(run, databases, tmp_path):
    files = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for file, seed in zip(files[:2], (0, 1)):
        run("--count", 40, "--seed", seed, "--out", file)
    run_process(SCRIPT, "--name", "tiny", "--root", databases, "--count", 40, "--seed", 0, "--out", files[2])
    first, other, in_another_process = (file.read_bytes() for file in files)
    assert first == in_another_process != other


def test_a_record_depends_only_on_its_caption_and_round(database):
    few, many = records_of(database, count=20), records_of(database, count=200)
    assert many[:20] == few
    backwards = dump.Negatives(database, dump.DumpConfig(out="x.jsonl", split="train"))
    backwards.captions.reverse()  # another order of captions

    def key(record):
        return record["image_id"], record["positive"]

    assert [*map(key, backwards)] != [*map(key, records_of(database))]
    assert sorted(backwards, key=key) == sorted(records_of(database), key=key)


@pytest.mark.parametrize("kind", ["mixture", "swap", "exchange", "mined", "in-batch"])
def test_records_are_negatives_of_captions_of_the_split(database, kind):
    rows = {database.ids[row]: row for row in database.rows("train")}
    stored = {image_id: {caption.text: caption for caption in database.captions(row)} for image_id, row in rows.items()}
    everything = {text for captions in stored.values() for text in captions}
    records = records_of(database, kind=kind, count=150)
    assert records
    assert {record["kind"] for record in records} <= (set(KINDS) if kind == "mixture" else {kind})
    for record in records:
        own, positive, negative = stored[record["image_id"]], record["positive"], record["negative"]
        assert record["source"] == own[positive].source
        assert negative not in own
        pieces = [negative[start:end] for start, end in record["changed"]]
        assert pieces and all(piece and piece == piece.strip() for piece in pieces)
        if record["kind"] == "exchange":
            # Both phrases have moved, so the words of each are words of the caption.
            assert len(pieces) >= 2 and len(set(pieces)) >= 2
            words = {word.text for word in split_words(positive)}
            assert all(word.text in words for piece in pieces for word in split_words(piece))
        if record["kind"] in ("mined", "in-batch"):
            assert negative in everything and record["category"] == record["kind"]
            known = {word.text for word in split_words(positive)}
            lacked = [word for word in split_words(negative) if word.text not in known]
            assert record["changed"] == [[word.start, word.end] for word in lacked]


def test_a_round_has_each_caption_once_and_no_record_is_repeated(database):
    negatives = dump.Negatives(database, dump.DumpConfig(out="x.jsonl", split="train", kind="swap"))
    captions = [caption for row in database.rows("train") for caption in database.plan.captions(row)]
    having = [caption for caption in captions if database.plan.has("swap", caption)]
    assert negatives.captions == having and negatives.captions_of_split == len(captions)

    def places(records):
        return [(record["image_id"], record["positive"]) for record in records]

    first = list(negatives)
    expected = [(database.ids[database.plan.row_of[caption]], database.plan.text(caption)) for caption in having]
    assert sorted(places(first)) == sorted(expected)
    assert places(first) != expected  # it is shuffled
    more = records_of(database, kind="swap", count=3 * len(having))
    assert len(more) == 3 * len(having) and more[: len(having)] == first
    texts = [(record["positive"], record["negative"]) for record in more]
    assert len(set(texts)) == len(texts)


def test_it_stops_when_no_new_negative_is_found(run, tmp_path):
    out = tmp_path / "all.jsonl"
    printed = run("--split", "validation", "--kind", "exchange", "--count", 5000, "--out", out).stdout
    records = read(out)
    assert f"stopped at {len(records)} of 5,000 negatives: {dump.PATIENCE} more rounds gave no new one" in printed
    assert 0 < len(records) == len({(record["positive"], record["negative"]) for record in records}) < 5000


def test_most_swaps_swaps_several_words(database):
    one, three = (records_of(database, kind="swap", most_swaps=most) for most in (1, 3))
    # One swap can change a second word (agreement, pronouns), so the totals are compared: 1 and 2 words on average.
    assert sum(len(record["changed"]) for record in three) > 1.5 * sum(len(record["changed"]) for record in one)


def test_a_file_is_replaced_only_with_overwrite(run, tmp_path):
    out = tmp_path / "x.csv"
    out.write_text("mine")
    error = run("--out", out, status=2).stderr
    assert error == f"Dump_negatives.py: error: {out} is already there; replace it with --overwrite\n"
    assert out.read_text() == "mine"
    run("--out", out, "--count", 3, "--overwrite")
    assert len(read(out)) == 3


def test_a_failed_run_leaves_no_part_and_does_not_change_the_file(database, tmp_path):
    out = tmp_path / "x.jsonl"
    out.write_text("mine")
    negatives = dump.Negatives(database, dump.DumpConfig(out=str(out)))
    negatives._draw = lambda caption, rng: 1 / 0
    with pytest.raises(ZeroDivisionError):
        dump.write(out, negatives)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"] and out.read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "add --out FILE.jsonl (or .csv, .parquet)"),
        (["--out", "x.txt"], "--out x.txt: the file must end in one of .jsonl, .csv, .parquet"),
        (["--out", "tests.jsonl", "--split", "dev"], "there is no split 'dev'; choose from train, validation, test"),
        (
            ["--out", "x.csv", "--kind", "other"],
            "--kind 'other': choose from 'mixture', 'swap', 'exchange', 'mined', 'geometric', 'add', 'in-batch'",
        ),
        (["--out", "x.csv", "--name", "absent"], "no database at"),
        (["--out", "x.csv", "--count", "-1"], "--count -1: must not be negative"),
        (
            ["--out", "x.csv", "--kind", "mined", "--most-swaps", "2"],
            "--most-swaps needs --kind swap or mixture",
        ),
        (["--out", "x.csv", "--most-swaps", "9"], "--most-swaps 9: must be 1 to 3"),
    ],
)
def test_errors_that_the_user_can_fix_are_one_line_with_status_2(run, tmp_path, flags, message):
    error = run(*flags, status=2).stderr
    assert error.startswith("Dump_negatives.py: error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_split_without_negatives_of_the_kind_is_an_error(database, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("Negative_map.Plan.has", lambda plan, kind, caption: False)
    out, folder = tmp_path / "x.jsonl", database.folder
    with pytest.raises(SystemExit) as stop:
        dump.main(["--name", folder.name, "--root", str(folder.parent), "--kind", "exchange", "--out", str(out)])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert f"no caption of the test split of {folder} has a negative of the kind exchange" in error
    assert not out.exists()


def test_in_batch_negatives_need_a_second_photograph(database, monkeypatch):
    monkeypatch.setattr(database, "groups", ["one photograph"] * len(database))
    with pytest.raises(ValueError, match="the kind in-batch"):
        records_of(database, kind="in-batch")
