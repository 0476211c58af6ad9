"""The folder of a database, replaced as a whole.

A build works in a hidden folder beside it, which takes its place at the end.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

PICTURE_CACHES = "features"  # subfolder that a training makes; what lies there depends on the pictures alone


@contextlib.contextmanager
def new_folder(folder: Path, overwrite: bool, same_pictures: bool = False) -> Iterator[Path]:
    """Yield a hidden folder to work in; when the block ends without an error, its `database` becomes `folder`.

    Until then an older database stays valid. If the block fails, or the process is killed, the finished units stay
    there for the next try. A database that was set aside when a build was killed between the two renames is put back.
    What trainings cached of its pictures moves to the new database if that has the same pictures.

    ValueError if `folder` exists and must not be replaced; filelock.Timeout if another process builds it.
    """
    folder = folder.resolve()  # where a link leads to, there is room for it
    building, aside = _building(folder), folder.with_name(f".{folder.name}.aside")
    root_is_new = not folder.parent.exists()
    building.mkdir(parents=True, exist_ok=True)
    units_are_of_use = True
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
            units_are_of_use = False
        except NothingUsable:
            units_are_of_use = False
            raise
        finally:
            _put_back(aside, folder)
            _discard(aside, folder, same_pictures)
            if not units_are_of_use or not any((building / "units").glob("*.arrow")):
                shutil.rmtree(building, ignore_errors=True)
            if root_is_new and not any(folder.parent.iterdir()):
                folder.parent.rmdir()


def _refuse_to_replace(folder: Path, building: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        rest = f" ({building} holds units of another build)" if any(building.glob("units/*.arrow")) else ""
        raise ValueError(f"{folder} is already there{rest}; replace it with --overwrite, or choose another --name")
    if folder.exists() and not (folder / "manifest.json").is_file():
        raise ValueError(f"{folder} is no database of this program, so it is left alone; choose another --name")


def _tidy(building: Path) -> None:
    """Keep the finished units of an earlier try and nothing else."""
    if (building / "database").exists():
        shutil.rmtree(building / "database")
    for part in ("units", "database"):
        (building / part).mkdir(exist_ok=True)
    for half_written in (building / "units").glob("*.part"):
        half_written.unlink()


class NothingUsable(ValueError):
    """Not one photograph of the sources can be stored."""


def what_is_left(folder: Path) -> str:
    """The end of an error message: what a failed build leaves of the old database and of its own work."""
    folder = folder.resolve()
    with contextlib.suppress(OSError):  # a folder that cannot be read holds nothing of use
        older = f"; {folder} is as it was" if folder.exists() else ""
        units = any(_building(folder).glob("units/*.arrow"))
        return older + ("; the same command goes on from the part that is done" if units else "")
    return ""


def _building(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.building")


def _put_back(aside: Path, folder: Path) -> None:
    if aside.exists() and not folder.exists():
        aside.replace(folder)


def _discard(aside: Path, folder: Path, same_pictures: bool) -> None:
    """Remove a database that was set aside, but for what its successor can use."""
    caches = aside / PICTURE_CACHES
    if same_pictures and caches.exists() and not (folder / PICTURE_CACHES).exists():
        caches.replace(folder / PICTURE_CACHES)
    shutil.rmtree(aside, ignore_errors=True)
