"""training.log: rows come back, a resumed epoch replaces its own, and foreign files are refused."""

import pytest

from training.log import LOG_COLUMNS, append_log, read_log


def row(epoch):
    return dict.fromkeys(LOG_COLUMNS, 0.5) | {"epoch": float(epoch)}


def test_log_is_read_back_and_a_resumed_epoch_replaces_its_rows(tmp_path):
    path = tmp_path / "training_log.csv"
    for epoch in (1, 2, 3, 2):
        append_log(path, row(epoch))
    assert read_log(path) == [row(1), row(2)]
    with path.open("a") as file:
        file.write("3,0.5,0.")  # cut off by a kill
    assert read_log(path) == [row(1), row(2)]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00\x01"])
def test_a_foreign_log_is_refused(tmp_path, content):
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(ValueError, match=r"is empty|is not a training log: it has no column"):
        read_log(tmp_path / "log.csv")
