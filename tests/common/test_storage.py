"""common.storage: atomic writes, and weights files that execute nothing."""

import csv
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

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


def test_equal_tensors_and_metadata_give_equal_bytes(tmp_path):
    """safetensors alone writes these metadata in one of 120 orders."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.zeros(0, 4, dtype=torch.float16)}
    metadata = {"words": 'é " \\ ☃', "epoch": "1", "format": "2", "z": "", "a": "{}"}
    contents = set()
    for turn in range(12):
        order = dict(sorted(metadata.items(), key=lambda pair: hash((turn, pair))))
        storage.save_tensors(tensors, tmp_path / "x.safetensors", order)
        contents.add((tmp_path / "x.safetensors").read_bytes())
    assert len(contents) == 1
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == metadata
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tensors.items())
