"""Tables of every format give the same rows; a broken row gives a message."""

import io
import math
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

from sources.items import LeftOut, Listed, Picture, Text


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
