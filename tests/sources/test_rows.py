"""Arrow files: their length and their names."""

from pathlib import Path

import pyarrow as pa

from sources.rows import ArrowFiles


def read_rows(folder: Path) -> list[dict]:
    """All rows, by pyarrow alone, from memory-mapped files."""
    rows = []
    for path in sorted(folder.glob("data-*.arrow")):
        rows += pa.ipc.open_stream(pa.memory_map(str(path))).read_all().to_pylist()
    return rows


def test_long_databases_are_several_files(tmp_path):
    schema = pa.schema([("n", pa.int32())])
    files = ArrowFiles(tmp_path, schema)
    for start in range(0, 2150, 90):
        files.write(pa.record_batch([pa.array(range(start, start + 90), pa.int32())], schema=schema))
    files.write(pa.record_batch([pa.array([], pa.int32())], schema=schema))
    files.flush()
    described = files.describe()
    assert [(name, file["rows"]) for name, file in described.items()] == [
        ("data-00000-of-00002.arrow", 1080),
        ("data-00001-of-00002.arrow", 1080),
    ]
    assert [row["n"] for row in read_rows(tmp_path)] == list(range(2160))


def test_large_pictures_make_shorter_files(tmp_path, monkeypatch):
    """One batch cannot hold over 2 GB, nor should the memory of a build depend on the size of pictures."""
    monkeypatch.setattr("sources.rows.BYTES_PER_FILE", 1000)
    schema = pa.schema([("data", pa.binary())])
    files = ArrowFiles(tmp_path, schema)
    for _ in range(5):
        files.write(pa.record_batch([pa.array([b"x" * 300, b"y" * 300])], schema=schema))
    files.flush()
    assert [file["rows"] for file in files.describe().values()] == [4, 4, 2]
