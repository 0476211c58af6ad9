"""Uploads of the web page. test_web.py tests that an upload is deleted once it is read."""

import os

from judging.web_uploads import sweep


def test_old_files_are_swept(tmp_path):
    old, new = tmp_path / "a" / "old", tmp_path / "a" / "new"
    old.parent.mkdir()
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    sweep(tmp_path, 600)
    assert not old.exists() and new.exists()
