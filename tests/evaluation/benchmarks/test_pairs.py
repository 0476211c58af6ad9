"""Tables of pairs in every format."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from claims import lines, whole, write

from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.figures import label_figures
from evaluation.benchmarks.pictures import find_pictures

OWN = [
    {"image": "a/1.jpg", "caption": 'Two "dogs", running', "label": "yes", "subset": "animals"},
    {"image": "2.jpg", "caption": "Ein Käfer", "label": "0", "subset": ""},
    {"image": "3.jpg", "caption": "A bus", "label": "", "subset": "3"},
]
OWN_CLAIMS = [
    Claim("a/1.jpg", 'Two "dogs", running', 1, "animals", 0),
    Claim("2.jpg", "Ein Käfer", 0, "", 1),
    Claim("3.jpg", "A bus", 1, "3", 2),
]


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue().to_pybytes()


def as_csv(rows: list[dict[str, Any]]) -> str:
    quoted = [['"' + str(value).replace('"', '""') + '"' for value in row.values()] for row in rows]
    return "\n".join(",".join(row) for row in [list(rows[0]), *quoted]) + "\n"


OWN_FORMATS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "csv": as_csv,
    "tsv": lambda rows: "\n".join("\t".join(map(str, row)) for row in [list(rows[0]), *(r.values() for r in rows)]),
    "jsonl": lambda rows: lines(*map(json.dumps, rows)),
    "parquet": as_parquet,
}


@pytest.mark.parametrize("ending", OWN_FORMATS)
def test_own_pairs(tmp_path, ending):
    write(tmp_path, {f"own.{ending}": OWN_FORMATS[ending](OWN)})
    found = read_benchmark(f"pairs={tmp_path / f'own.{ending}'}")
    assert (found.benchmark.name, found.benchmark.figures, whole(found)) == ("pairs", label_figures, OWN_CLAIMS)


@pytest.mark.parametrize("ending", OWN_FORMATS)
def test_own_pairs_need_neither_label_nor_subset(tmp_path, ending):
    rows = [{"image": "1.jpg", "caption": f"{n} dogs"} for n in range(3)]
    write(tmp_path, {f"own.{ending}": OWN_FORMATS[ending](rows)})
    found = whole(read_benchmark(f"pairs={tmp_path / f'own.{ending}'}"))
    assert found == [Claim("1.jpg", f"{n} dogs", 1, "", n) for n in range(3)]


def test_a_broken_row_of_own_pairs_is_reported_and_keeps_its_number(tmp_path):
    rows: list[Any] = [
        {"image": "1.jpg", "caption": " "},
        {"image": "1.jpg"},
        {"image": "../1.jpg", "caption": "A dog"},
        {"image": "1.jpg", "caption": "A dog", "label": "perhaps"},
        {"image": "1.jpg", "caption": "A dog", "label": False, "subset": None},
        7,
    ]
    write(tmp_path, {"own.jsonl": OWN_FORMATS["jsonl"](rows)})
    found = read_benchmark(f"pairs={tmp_path / 'own.jsonl'}")
    assert found.claims == [Claim("1.jpg", "A dog", 0, "", 4)]
    assert [entry.where for entry in found.left_out] == [f"own.jsonl:{n}" for n in (1, 2, 3, 4, 6)]
    reasons = [
        "the caption is empty",
        "the caption is not a text",
        "the image '../1.jpg'",
        "unknown label",
        "not a JSON object",
    ]
    assert all(entry.reason.startswith(reason) for entry, reason in zip(found.left_out, reasons))


def test_names_of_columns_in_any_case_and_nearly_ours(tmp_path):
    write(tmp_path, {"own.csv": "Image,CAPTION,Label,Subset,splitt\n1.jpg,A dog,0,x,test\n"})
    found = read_benchmark(f"pairs={tmp_path / 'own.csv'}")
    assert found.claims == [Claim("1.jpg", "A dog", 0, "x", 0)]
    assert [(entry.what, entry.reason) for entry in found.left_out] == [
        ("collection", "own.csv: the column 'splitt' is not read; if it is meant as 'split', rename it")
    ]


def test_an_open_quote_in_own_pairs_is_told_for_every_line(tmp_path):
    write(tmp_path, {"own.csv": 'image,caption\n1.jpg,A dog\n2.jpg,"A cat\n3.jpg,A hog\n4.jpg,A cow\n'})
    found = read_benchmark(f"pairs={tmp_path / 'own.csv'}")
    assert [claim.text for claim in found.claims] == ["A dog"]
    assert [entry.where for entry in found.left_out] == [f"own.csv:{n}" for n in (3, 4, 5)]


def test_absolute_paths_below_the_folder_of_images_are_found(tmp_path):
    folder = write(tmp_path / "images", {"1.jpg": b"", "2.jpg": b""})
    outside = write(tmp_path, {"3.jpg": b""}) / "3.jpg"
    rows = [f"{folder / '1.jpg'},A dog", "2.jpg,A cat", f"{outside},A hog"]
    write(tmp_path, {"own.csv": "image,caption\n" + "\n".join(rows) + "\n"})
    found = find_pictures(read_benchmark(f"pairs={tmp_path / 'own.csv'}"), folder)
    assert found == {str(folder / "1.jpg"): folder / "1.jpg", "2.jpg": folder / "2.jpg"}
