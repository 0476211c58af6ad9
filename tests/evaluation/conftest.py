"""The database `tiny` and the texts of its train split."""

import shutil

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
