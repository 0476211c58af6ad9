"""The database `tiny` and the texts of its train split."""

import io
import shutil
import sys

import pytest

from DataBase_functions import Database
from evaluation.texts import collect_texts


@pytest.fixture(scope="session")
def tiny(databases, tmp_path_factory):
    """A copy, since the scores of the blind judges are stored beside the plan."""
    folder = tmp_path_factory.mktemp("evaluated") / "tiny"
    shutil.copytree(databases / "tiny", folder, ignore=lambda _, names: {"features"} & {*names})
    return Database(folder)


@pytest.fixture(scope="session")
def texts(tiny):
    return collect_texts(tiny, tiny.rows("train"))


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stdout a terminal with this number of columns."""

    def start(columns, **variables):
        monkeypatch.setattr(sys, "stdout", Terminal())
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", "COLUMNS": str(columns), **variables}.items():
            monkeypatch.setenv(name, value)
        return sys.stdout

    return start
