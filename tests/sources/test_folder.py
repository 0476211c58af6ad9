"""The folder of a database is replaced as a whole or not at all."""

import shutil
from pathlib import Path

import pytest

from sources.folder import new_folder


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def old_database(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("old")
    return folder


def test_an_error_while_building_keeps_the_old_database(tmp_path):
    folder = old_database(tmp_path / "photos")
    with pytest.raises(KeyboardInterrupt), new_folder(folder, overwrite=True) as building:
        (building / "database" / "manifest.json").write_text("new")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["photos"], "nothing was finished, so nothing is kept"
    assert (folder / "manifest.json").read_text() == "old"


def test_finished_units_are_kept_and_half_written_ones_are_not(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "photos", overwrite=False) as building:
        (building / "units" / "texts-00.arrow").touch()
        (building / "units" / "texts-01.arrow.7.part").touch()
        (building / "database" / "0.part").touch()
        raise KeyboardInterrupt
    with new_folder(tmp_path / "photos", overwrite=False) as building:
        assert names_in(building / "units") == ["texts-00.arrow"]
        assert names_in(building / "database") == []
        (building / "database" / "manifest.json").write_text("new")
    assert names_in(tmp_path) == ["photos"] and names_in(tmp_path / "photos") == ["manifest.json"]


def test_a_failed_rename_puts_the_old_database_back(tmp_path):
    folder = old_database(tmp_path / "photos")
    with pytest.raises(FileNotFoundError), new_folder(folder, overwrite=True) as building:
        shutil.rmtree(building / "database")
    assert (folder / "manifest.json").read_text() == "old"


def test_a_database_set_aside_by_a_killed_build_is_put_back(tmp_path):
    old_database(tmp_path / ".photos.aside")
    refused = pytest.raises(ValueError, match="photos already exists; replace it with --overwrite")
    with refused, new_folder(tmp_path / "photos", overwrite=False):
        pytest.fail("the old database is there, so there is nothing to build")
    assert (tmp_path / "photos" / "manifest.json").read_text() == "old"


def test_leftovers_of_a_build_killed_during_cleanup_do_no_harm(tmp_path):
    old_database(tmp_path / ".photos.aside")
    folder = old_database(tmp_path / "photos")
    with new_folder(folder, overwrite=True) as building:
        (building / "database" / "manifest.json").write_text("new")
    assert (folder / "manifest.json").read_text() == "new" and names_in(tmp_path) == ["photos"]


def test_units_of_another_build_are_named_and_kept(tmp_path):
    old_database(tmp_path / "photos")
    (tmp_path / ".photos.building" / "units").mkdir(parents=True)
    (tmp_path / ".photos.building" / "units" / "texts-00.arrow").touch()
    refused = pytest.raises(ValueError, match=r"\.photos\.building has units of another build")
    with refused, new_folder(tmp_path / "photos", overwrite=False):
        pytest.fail("it must not get here")
    assert (tmp_path / ".photos.building" / "units" / "texts-00.arrow").exists()


def test_a_database_behind_a_link_is_replaced_where_the_link_leads(tmp_path):
    old_database(tmp_path / "large_disk" / "photos")
    (tmp_path / "Database").mkdir()
    link = tmp_path / "Database" / "photos"
    link.symlink_to(tmp_path / "large_disk" / "photos")
    with new_folder(link, overwrite=True) as building:
        assert building.parent == (tmp_path / "large_disk").resolve()
        (building / "database" / "manifest.json").write_text("new")
    assert link.is_symlink() and (link / "manifest.json").read_text() == "new"
    assert names_in(tmp_path / "large_disk") == ["photos"]


def test_a_folder_that_is_not_a_database_is_never_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "thesis.tex").touch()
    refused = pytest.raises(ValueError, match="is not a database of this program")
    with refused, new_folder(tmp_path / "photos", overwrite=True):
        pytest.fail("it must not get here")
    assert (tmp_path / "photos" / "thesis.tex").exists()


@pytest.mark.parametrize("same_pictures", [True, False])
def test_feature_caches_are_kept_if_the_pictures_are_the_same(tmp_path, same_pictures):
    folder = old_database(tmp_path / "photos")
    (folder / "features").mkdir()
    (folder / "features" / "features.npy").write_text("cached")
    with new_folder(folder, True, same_pictures) as building:
        (building / "database" / "manifest.json").write_text("new")
    assert (folder / "manifest.json").read_text() == "new"
    assert (folder / "features" / "features.npy").exists() == same_pictures
    (folder / "features").mkdir(exist_ok=True)
    (folder / "features").replace(old_database(tmp_path / ".photos.aside") / "features")  # killed after both renames
    with pytest.raises(KeyboardInterrupt), new_folder(folder, True, same_pictures):
        raise KeyboardInterrupt
    assert (folder / "features").exists() == same_pictures
    assert names_in(tmp_path) == ["photos"]
