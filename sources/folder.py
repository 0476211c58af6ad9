"""Create or replace the folder of a database as a whole.

A build works in a hidden folder beside it. When the build is complete, that folder is renamed.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

PICTURE_CACHES = "features"  # subfolder with the feature caches of trainings, which depend only on the pictures


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool, same_pictures: bool = False) -> Iterator[Path]:
    """Yield a hidden folder to work in; when the block ends without an error, its `database` becomes `folder`.

    Until then an older database stays valid. If the block fails, or the process is killed, the finished units are kept,
    so that the next build resumes. If a build was killed between the two renames, the old database is put back.
    If `same_pictures`, the feature caches of the old database are moved to the new one.

    ValueError if `folder` exists and must not be replaced; filelock.Timeout if another process builds it.
    """
    folder = folder.resolve()  # a link can lead to a larger disk; build there
    building, aside = _building(folder), folder.with_name(f".{folder.name}.aside")
    root_is_new = not folder.parent.exists()
    building.mkdir(parents=True, exist_ok=True)
    keep_units = True
    with filelock.FileLock(building / "lock", timeout=0):
        try:
            _put_back(aside, folder)
            if aside.exists():  # a build was killed after the second rename
                _discard(aside, folder, same_pictures)
            _refuse_to_replace(folder, building, overwrite)
            _tidy(building)
            yield building
            if folder.exists():
                folder.replace(aside)
            (building / "database").replace(folder)
            keep_units = False
        except NothingUsable:
            keep_units = False
            raise
        finally:
            _put_back(aside, folder)
            _discard(aside, folder, same_pictures)
            if not keep_units or not any((building / "units").glob("*.arrow")):
                shutil.rmtree(building, ignore_errors=True)
            if root_is_new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()


def _refuse_to_replace(folder: Path, building: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        rest = f" (and {building} has units of another build)" if any(building.glob("units/*.arrow")) else ""
        raise ValueError(f"{folder} already exists{rest}; replace it with --overwrite, or choose another --name")
    if folder.exists() and not (folder / "manifest.json").is_file():
        raise ValueError(f"{folder} is not a database of this program and is not replaced; choose another --name")


def _tidy(building: Path) -> None:
    """Delete all that an interrupted build left except its finished units."""
    if (building / "database").exists():
        shutil.rmtree(building / "database")
    for part in ("units", "database"):
        (building / part).mkdir(exist_ok=True)
    for half_written in (building / "units").glob("*.part"):
        half_written.unlink()


class NothingUsable(ValueError):
    """No photograph of the sources can be stored."""


def what_is_left(folder: Path) -> str:
    """The end of an error message: the old database is unchanged, and the build can be resumed."""
    folder = folder.resolve()
    with contextlib.suppress(OSError):  # if the folder cannot be read, there is nothing to resume
        older = f"; {folder} is unchanged" if folder.exists() else ""
        units = any(_building(folder).glob("units/*.arrow"))
        return older + ("; run the same command to resume" if units else "")
    return ""


def _building(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.building")


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists() and not folder.exists():
        aside.replace(folder)


def _discard(aside: Path, folder: Path, same_pictures: bool) -> None:
    """Delete a database that was set aside; the new one takes its feature caches if it has the same pictures."""
    caches = aside / PICTURE_CACHES
    if same_pictures and caches.exists() and not (folder / PICTURE_CACHES).exists():
        caches.replace(folder / PICTURE_CACHES)
    shutil.rmtree(aside, ignore_errors=True)
