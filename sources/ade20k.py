"""ADE20K: photographs of indoor and outdoor scenes. Its captions come from Localized Narratives.

Source: Zhou et al. 2017.
"""

from collections.abc import Iterator
from pathlib import Path

from sources.files import find_folder, nfc, picture_files
from sources.items import Item, Picture, Source

PARTS = {"training": "train", "validation": "validation"}


def read_ade20k(folder: Path) -> Iterator[Item]:
    """Pictures of ADE20K in images/{training,validation}/ or images/ADE/ (2021), with or without a folder per scene."""
    images = next((path for path in (folder / "images" / "ADE", folder / "images") if path.is_dir()), folder)
    parts = {name: found for name in PARTS if (found := find_folder(images, name)) is not None}
    if not parts:
        expected = "a folder with images/training/ or images/validation/"
        raise FileNotFoundError(f"--ade20k {folder} has no pictures; it must be {expected}")
    for name, pictures in parts.items():
        for path in picture_files(pictures, recursive=True):
            if path.suffix.lower() in (".jpg", ".jpeg"):  # the PNG files are segmentations
                yield Picture(ade20k_identity(path.name), path.name, path, PARTS[name])


def ade20k_identity(name: str) -> str:
    """Identity of an ADE20K photograph: its file name without the ending."""
    return f"ade20k:{nfc(Path(name).stem)}"


SOURCES = {
    "ade20k": Source(
        "folder",
        lambda folder, _: read_ade20k(folder),
        collection="ade20k",
        title="photographs of ADE20K",
        identify=ade20k_identity,
    ),
}
