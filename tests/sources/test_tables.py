"""Tables of every format give the same rows; a broken row gives a message."""

import io
import math
import pickle
import re

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import (
    FORMATS,
    UNHURRIED,
    as_parquet,
    of_type,
    pairs_of,
)

from sources.items import LeftOut, Listed, Note, Picture, Text
from sources.tables import BrokenRow


@pytest.mark.parametrize("ending", FORMATS)
def test_pairs_of_every_format(tmp_path, ending):
    rows = [
        {"image": "a.jpg", "caption": " A dog, a cat.", "label": "1", "split": "train"},
        {"image": "sub/b.jpg", "caption": 'He said "stop" –\nand 犬 🐕 stopped.', "label": "0", "split": "dev"},
        {"image": "sub/b.jpg", "caption": "", "label": "", "split": ""},
        {"image": "absent.jpg", "caption": "A cat.", "label": "yes", "split": "test"},
    ]
    where = [f"pairs.{ending}:{n}" for n in {"csv": "2345", "tsv": "2345"}.get(ending, "1234")]
    if ending in ("csv", "tsv"):
        where[2:] = [f"pairs.{ending}:{n}" for n in (5, 6)]  # the row before has two lines
    if ending == "parquet":
        where = [f"pairs.parquet:[{n}]" for n in range(4)]
    images = tmp_path / "images"
    assert pairs_of(tmp_path, FORMATS[ending](rows), ending) == [
        Picture("pairs:a.jpg", "a.jpg", images / "a.jpg"),
        Listed("pairs:a.jpg", "train", where[0]),
        Text("pairs:a.jpg", "A dog, a cat.", "caption", where[0], True),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Listed("pairs:sub/b.jpg", "validation", where[1]),
        Text("pairs:sub/b.jpg", 'He said "stop" –\nand 犬 🐕 stopped.', "caption", where[1], False),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Text("pairs:sub/b.jpg", "", "caption", where[2], True),
        Listed("pairs:absent.jpg", "test", where[3]),
        Text("pairs:absent.jpg", "A cat.", "caption", where[3], True),
    ]


@given(captions=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8))
@UNHURRIED
@pytest.mark.parametrize("ending", FORMATS)
def test_any_caption_comes_back_as_it_was_written(tmp_path, ending, captions):
    captions = [text.replace("\t", " ") for text in captions] if ending == "tsv" else captions
    items = pairs_of(tmp_path, FORMATS[ending]([{"image": "a.jpg", "caption": text} for text in captions]), ending)
    assert [item.text for item in of_type(Text, items)] == [text.strip() for text in captions]
    assert of_type(LeftOut, items) == []


def test_a_quote_in_a_tsv_does_not_swallow_the_next_rows(tmp_path):
    """Written without quoting, as most are; with a caption that begins with a quote."""
    lines = ("image\tcaption", 'a.jpg\t"A dog runs', "a.jpg\ta cat", 'sub/b.jpg\t"', "a.jpg\tA hog")
    items = pairs_of(tmp_path, "\n".join(lines).encode(), "tsv")
    assert [item.text for item in of_type(Text, items)] == ["A hog"]
    assert [(item.where, item.reason) for item in of_type(LeftOut, items)] == [
        (f"pairs.tsv:{n}", "a quotation mark joins the lines 2 to 4") for n in (2, 3, 4)
    ]


def test_the_first_line_of_a_jsonl_can_be_broken(tmp_path):
    items = pairs_of(tmp_path, b'{"image": "a.jpg"}\n{"image": "a.jpg", "caption": "A dog."}\n', "jsonl")
    assert [item.text for item in of_type(Text, items)] == ["A dog."]
    assert [item.where for item in of_type(LeftOut, items)] == ["pairs.jsonl:1"]


def test_a_csv_as_spreadsheets_write_it(tmp_path):
    """Byte order mark, spaces in the header, other columns, a blank line, and lines that end with CR LF."""
    lines = ('\ufeff"image", caption ,split, id', 'a.jpg, "A dog, brown" ,val,1', "", "sub\\b.jpg,A cat")
    content = "".join(f"{line}\r\n" for line in lines).encode()
    images = tmp_path / "images"
    assert pairs_of(tmp_path, content) == [
        Picture("pairs:a.jpg", "a.jpg", images / "a.jpg"),
        Listed("pairs:a.jpg", "validation", "pairs.csv:2"),
        Text("pairs:a.jpg", "A dog, brown", "caption", "pairs.csv:2"),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Text("pairs:sub/b.jpg", "A cat", "caption", "pairs.csv:4"),
    ]


def test_null_in_a_numeric_label_column_of_parquet_is_a_missing_label(tmp_path):
    table = pa.table(
        {"image": ["a.jpg"] * 3, "caption": ["A dog."] * 3, "label": pa.array([0.0, math.nan, None], pa.float64())}
    )
    pyarrow.parquet.write_table(table, tmp_path / "labels.parquet")
    items = pairs_of(tmp_path, (tmp_path / "labels.parquet").read_bytes(), "parquet")
    assert [item.matches for item in of_type(Text, items)] == [False, True, True]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"csv": b"a.jpg,A d\xf6g", "tsv": b"a.jpg\tA d\xf6g", "jsonl": b'{"caption": "A d\xf6g"}'}, "not "),
        ({"csv": b"a.jpg,A dog,1", "tsv": b"a.jpg\tA dog\t1", "jsonl": b'{"image": "a.jpg"} {}'}, "more |not JSON"),
        ({"csv": b"a.jpg", "tsv": b"a.jpg", "jsonl": b'{"image": "a.jpg"}'}, "the caption is not a text"),
        ({"csv": b"a.jpg," + b"x" * 200_000, "tsv": b"x" * 200_000, "jsonl": b"x"}, "field larger than|not JSON"),
    ],
)
def test_a_broken_line_is_reported_and_the_rest_is_kept(tmp_path, ending, broken, reason):
    first, second = FORMATS[ending]([{"image": "a.jpg", "caption": "A dog."}] * 2).splitlines()[-2:]
    header = b"" if ending == "jsonl" else FORMATS[ending]([{"image": "a.jpg", "caption": "A dog."}]).splitlines()[0]
    lines = [line for line in (header, first, broken[ending], second) if line]
    items = pairs_of(tmp_path, b"\n".join(lines), ending)
    (entry,) = of_type(LeftOut, items)
    assert (entry.what, entry.where, entry.captions) == ("line", f"pairs.{ending}:{len(lines) - 1}", 1)
    assert re.match(reason, entry.reason)
    assert [item.where for item in of_type(Text, items)] == [
        f"pairs.{ending}:{n}" for n in (len(lines) - 2, len(lines))
    ]


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("csv", b"", "has no column caption and no column image; it is empty"),
        (
            "csv",
            b"image;caption\na.jpg;A dog.\n",
            "has no column caption and no column image; its columns are: image;caption",
        ),
        ("csv", b"image,text\na.jpg,A dog.\n", "has no column caption; its columns are: image, text"),
        ("csv", b"x" * 200_000, "is not a table: field larger than field limit"),
        (
            "tsv",
            b"image,caption\na.jpg,A dog.\n",
            "has no column caption and no column image; its columns are: image,caption",
        ),
        ("jsonl", b"", "has no column caption and no column image; it is empty"),
        (
            "jsonl",
            b'7\n{"file": "a.jpg", "caption": "A dog."}\n',
            "has no column image; its columns are: file, caption",
        ),
        (
            "parquet",
            as_parquet([{"image": "a.jpg", "text": "A dog."}]),
            "has no column caption; its columns are: image, text",
        ),
        ("parquet", b"", "is not a Parquet file: "),
        ("parquet", as_parquet([{"image": "a.jpg", "caption": "A dog."}])[:-20], "is not a Parquet file: "),
        ("xlsx", b"PK", "a table of pairs must be a .csv, .tsv, .jsonl or .parquet file"),
        ("json", b"[]", "a table of pairs must be a .csv, .tsv, .jsonl or .parquet file"),
    ],
)
def test_a_file_that_is_not_a_table_of_pairs_is_refused_by_name(tmp_path, ending, content, message):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'pairs'}.{ending}")) as refusal:
        pairs_of(tmp_path, content, ending)
    assert message in str(refusal.value)


def test_parquet_that_is_damaged_inside_is_refused_by_name(tmp_path):
    data = bytearray(as_parquet([{"image": "a.jpg", "caption": f"{n * 7919:09} dogs"} for n in range(5000)]))
    data[10_000:12_000] = bytes(2000)
    with pytest.raises(ValueError, match=r"pairs\.parquet is damaged: "):
        pairs_of(tmp_path, bytes(data), "parquet")


def test_parquet_text_that_is_not_utf_8_is_refused_by_name(tmp_path):
    """No library writes that into a column of strings; the whole file is suspect."""
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0")
    file = io.BytesIO()
    caption = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff"))
    pyarrow.parquet.write_table(pa.table({"image": ["a.jpg"], "caption": caption}), file)
    with pytest.raises(ValueError, match=r"pairs\.parquet is damaged: .*0xff"):
        pairs_of(tmp_path, file.getvalue(), "parquet")


def test_many_rows_of_parquet_are_numbered_through(tmp_path):
    rows = [{"image": "a.jpg", "caption": f"{n} dogs"} for n in range(2500)]
    texts = of_type(Text, pairs_of(tmp_path, as_parquet(rows), "parquet"))
    assert [(item.text, item.where) for item in texts] == [(f"{n} dogs", f"pairs.parquet:[{n}]") for n in range(2500)]


# Names of columns


@pytest.mark.parametrize("ending", FORMATS)
def test_columns_of_any_case_are_ours(tmp_path, ending):
    rows = [{" Image": "a.jpg", "CAPTION ": "A dog.", "Label": "0", "\ufeffSplit": "test"}]
    if ending in ("csv", "tsv"):
        rows = [{name.strip(): value for name, value in rows[0].items()}]
    items = pairs_of(tmp_path, FORMATS[ending](rows), ending)
    assert [item.matches for item in of_type(Text, items)] == [False]
    assert [item.split for item in of_type(Listed, items)] == ["test"]
    assert of_type(Note, items) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_a_column_that_is_nearly_ours_is_told(tmp_path, ending):
    rows = [{"image": "a.jpg", "caption": "A dog.", "lable": "0", "Splits": "test", "id": "7"}]
    items = pairs_of(tmp_path, FORMATS[ending](rows), ending)
    assert [note.text for note in of_type(Note, items)] == [
        f"pairs.{ending}: the column {theirs!r} is not read; if it is meant as {ours!r}, rename it"
        for theirs, ours in (("lable", "label"), ("Splits", "split"))
    ]


def test_two_columns_for_one_of_ours_are_refused(tmp_path):
    with pytest.raises(ValueError, match="more than one column 'label'; rename one"):
        pairs_of(tmp_path, b"image,caption,label,Label\na.jpg,A dog.,1,0\n")
    rows = [{"image": "a.jpg", "caption": "A dog.", "label": 1, "Label": 0}, {"image": "a.jpg", "caption": "A cat."}]
    items = pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl")
    assert [entry.reason for entry in of_type(LeftOut, items)] == ["more than one key is 'label'"]
    assert [item.text for item in of_type(Text, items)] == ["A cat."]


@pytest.mark.parametrize("ending", FORMATS)
def test_thousands_of_columns_make_a_short_message(tmp_path, ending):
    row = {
        "image": "a.jpg",
        "captions": "A dog.",
        **{f"a_long_name_of_a_column_without_end_{n}" * 2: "" for n in range(999)},
    }
    with pytest.raises(ValueError, match="has no column caption; its columns are: image, captions, ") as refusal:
        pairs_of(tmp_path, FORMATS[ending]([row]), ending)
    assert len(str(refusal.value)) < 800 and "rename 'captions' to 'caption'" in str(refusal.value)


# Quotation marks


def csv_lines(tmp_path, *lines, ending="csv"):
    """Texts, and places with reasons, of the rows after the header."""
    items = pairs_of(tmp_path, "\n".join(lines).encode(), ending)
    left_out = [(int(entry.where.rpartition(":")[2]), entry.reason) for entry in of_type(LeftOut, items)]
    return [item.text for item in of_type(Text, items)], left_out


@pytest.mark.parametrize(
    ("closing", "end"),
    [
        (['a.jpg,"A cow, brown"', "a.jpg,A fox"], 5),  # the opening mark of a later row
        (['a.jpg,A cow"', "a.jpg,A fox"], 5),  # a mark at the end of a later row
        (['a.jpg,"""Stop"" he said"', "a.jpg,A fox"], 5),
    ],
)
def test_a_quote_that_joins_rows_is_refused_with_its_lines(tmp_path, closing, end):
    texts, left_out = csv_lines(tmp_path, "image,caption", "a.jpg,A dog", 'a.jpg,"A cat', "a.jpg,A hog", *closing)
    assert texts == ["A dog", "A fox"]
    assert left_out == [(n, f"a quotation mark joins the lines 3 to {end}") for n in range(3, end + 1)]


def test_a_quote_that_joins_rows_is_found_when_the_caption_comes_first(tmp_path):
    lines = ("caption,image", "A dog,a.jpg", '"A cat,a.jpg', 'A hog",a.jpg', '"A fox,', 'brown",a.jpg')
    texts, left_out = csv_lines(tmp_path, *lines)
    assert texts == ["A dog", "A fox,\nbrown"]
    assert left_out == [(n, "a quotation mark joins the lines 3 to 4") for n in (3, 4)]


@pytest.mark.parametrize("rows", [0, 3, 30])
def test_a_quote_that_is_not_closed_is_refused_with_its_lines(tmp_path, rows):
    more = [f"a.jpg,Dog {n}" for n in range(rows)]
    texts, left_out = csv_lines(tmp_path, "image,caption", "a.jpg,A dog", 'a.jpg,"A cat', *more)
    assert texts == ["A dog"]
    problem = "a quotation mark that opens in line 3 is not closed"
    assert left_out == [(n, problem) for n in range(3, 4 + rows)]


def test_after_an_open_quote_a_long_table_is_read_on(tmp_path):
    """A field has at most 131,072 characters; every line of it is counted."""
    more = [f"a.jpg,Dog number {n:06}" for n in range(9000)]
    texts, left_out = csv_lines(tmp_path, "image,caption", 'a.jpg,"A cat', *more)
    assert len(texts) + len(left_out) == 9001 and 5000 < len(left_out) < 9000 - 1000
    assert not any("\n" in text for text in texts)


def test_quoted_captions_of_several_lines_are_one_row(tmp_path):
    lines = ("image,caption,label", 'a.jpg,"A dog,', 'brown, runs" ,1', 'a.jpg,"', '"', 'a.jpg,"A ""cat"",', 'white",0')
    texts, left_out = csv_lines(tmp_path, *lines)
    assert (texts, left_out) == (["A dog,\nbrown, runs", "", 'A "cat",\nwhite'], [])


# Spreadsheets


def test_empty_columns_and_rows_at_the_end_are_accepted(tmp_path):
    lines = ("image,caption,,", "a.jpg,A dog,,", ",,,", "a.jpg,A cat", "a.jpg,A hog,x,", ",,,")
    texts, left_out = csv_lines(tmp_path, *lines)
    assert (texts, left_out) == (["A dog", "A cat"], [(5, "more fields than columns")])


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("csv", b"image;caption\na.jpg;A dog\n", "; they are separated by semicolons: separate them by commas"),
        ("csv", b"image\tcaption\n", "; they are separated by tabs: separate them by commas or name it .tsv"),
        ("tsv", b"image,caption\n", "; they are separated by commas: separate them by tabs or name it .csv"),
        ("csv", b"sep=,\nimage,caption\n", "begins with the line 'sep=,', which only Excel reads; delete this line"),
        ("csv", b"\xef\xbb\xbfSEP=;\r\nimage;caption\r\n", "begins with the line 'SEP=;', which only Excel reads"),
        ("csv", "image,caption\n".encode("utf-16"), "is UTF-16, and UTF-8 is needed; save it as UTF-8 (in Excel: CSV"),
        ("csv", "image,caption\n".encode("utf-16-be"), "is UTF-16"),
        ("tsv", "image\tcaption\n".encode("utf-16"), "is UTF-16"),
        ("jsonl", '{"image": "a.jpg"}\n'.encode("utf-16"), "is UTF-16"),
        (
            "jsonl",
            b'[\n{"image": "a.jpg", "caption": "A dog"}\n]\n',
            "is a JSON array, and a .jsonl file has one object a",
        ),
        ("jsonl", b'\n [{"image": "a.jpg", "caption": "A dog"}]', "convert it: jq -c '.[]' "),
        ("jsonl", b"a\nb\n", "has no column caption and no column image; none of its 2 lines has a key"),
        ("parquet", b"x" * 100, "is not a Parquet file: "),
    ],
)
def test_what_a_spreadsheet_or_program_wrote_is_named(tmp_path, ending, content, message):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'pairs'}.{ending}")) as refusal:
        pairs_of(tmp_path, content, ending)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_names_behind_many_other_keys_are_found(tmp_path):
    row = {**{f"meta_{n}": n for n in range(50)}, "caption": "A dog.", "image": "a.jpg"}
    items = pairs_of(tmp_path, FORMATS["jsonl"]([row]), "jsonl")
    assert [item.text for item in of_type(Text, items)] == ["A dog."]


def test_nan_is_an_empty_field(tmp_path):
    lines = [b'{"image": "a.jpg", "caption": "A dog.", "label": NaN}', b'{"image": "a.jpg", "caption": NaN}']
    items = pairs_of(tmp_path, b"\n".join(lines), "jsonl")
    assert [item.matches for item in of_type(Text, items)] == [True]
    assert [entry.reason for entry in of_type(LeftOut, items)] == ["the caption is not a text"]


def test_a_column_that_python_cannot_hold_is_refused_by_name(tmp_path):
    pairs = pa.table({"image": ["a.jpg"], "caption": ["A dog."], "day": pa.array([2**30], pa.date32())})
    file = tmp_path / "far.parquet"
    pyarrow.parquet.write_table(pairs, file)
    assert len(of_type(Text, pairs_of(tmp_path, file.read_bytes(), "parquet"))) == 1, "the column is not read"
    pyarrow.parquet.write_table(pairs.rename_columns(["image", "caption", "label"]), file)
    with pytest.raises(ValueError, match=r"pairs\.parquet is damaged: "):
        pairs_of(tmp_path, file.read_bytes(), "parquet")


def test_a_broken_row_can_be_pickled():
    row = pickle.loads(pickle.dumps(BrokenRow("more fields", {"image": "a.jpg"})))
    assert (row, row.fields) == ("more fields", {"image": "a.jpg"})
