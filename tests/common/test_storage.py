"""common.storage: atomic writes, and weights files that execute nothing."""

import csv
from pathlib import Path

import pytest
import torch

from common import storage


def test_a_weights_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="cannot read weights"):
        storage.read_state_dict(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")

    def fails(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        storage.write_atomically(path, fails)
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_every_cell_of_a_csv_file_is_read_back(tmp_path, delimiter):
    rows = [[text] * 2 for text in ("a\rb", "a\nb", "a\r\nb", "\r", "\n", 'a "b', "a,b", "a\tb", " a ", "é\u2028\x85")]
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        storage.csv_writer(file, delimiter).writerows([["one", "two"], *rows])
    assert (tmp_path / "a.csv").read_bytes().startswith(f"one{delimiter}two\n".encode())
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, delimiter=delimiter))[1:] == rows
