"""Uploads of the web page. test_web.py tests that an upload is deleted once it is read."""

import os
import sys
import time

import pytest
from pictures import photograph

from common.pictures import open_picture
from judging.inputs import SHORT_SIDE
from judging.web_decode import decode_apart
from judging.web_uploads import read_upload, sweep


def test_old_files_are_swept(tmp_path):
    old, new = tmp_path / "a" / "old", tmp_path / "a" / "new"
    old.parent.mkdir()
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    sweep(tmp_path, 600)
    assert not old.exists() and new.exists()


def test_an_upload_is_decoded_as_any_picture_and_deleted(tmp_path):
    file = tmp_path / "a" / "b"
    file.parent.mkdir()
    photograph(900, 600).save(file, "PNG")
    expected = open_picture(file, SHORT_SIDE)
    picture = read_upload("a/b", tmp_path)
    assert (picture.mode, picture.size, picture.tobytes()) == ("RGB", expected.size, expected.tobytes())
    assert not file.exists()


def test_what_cannot_be_read_is_named_without_its_path_and_deleted(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^the file is not a picture in JPEG"):
        read_upload("a", tmp_path)
    assert not file.exists()
    for path in ("a", "x" * 300, "."):
        with pytest.raises(ValueError, match=r"^the upload is gone; please choose it again$"):
            read_upload(path, tmp_path)
    for path in ("", "../x", "/etc/passwd", "a\0"):
        with pytest.raises(ValueError, match=r"^it was not uploaded$"):
            read_upload(path, tmp_path)


def test_a_picture_that_takes_too_long_is_given_up(tmp_path):
    file = tmp_path / "a.png"
    photograph(120, 80).save(file)
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"it takes more than 0\.01 seconds to decode"):
        decode_apart(file, SHORT_SIDE, longest=0.01)
    assert time.monotonic() - start < 10


def test_a_decoder_that_dies_costs_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ValueError, match="its decoder was ended; it may need too much memory"):
        decode_apart(tmp_path / "a.png", SHORT_SIDE)
