"""SugarCrepe and SugarCrepe++: true captions of COCO pictures against hard negatives written by a language model."""

from collections.abc import Iterable
from pathlib import Path

from evaluation.benchmarks.figures import Claim, pairwise_figures
from evaluation.benchmarks.reading import Benchmark, Contents, text_of
from sources.items import LeftOut

FILES = tuple(f"{how}_{what}.json" for how in ("add", "replace", "swap") for what in ("obj", "att", "rel"))
NOT_PUBLISHED = {"add_rel.json", "swap_rel.json"}  # of these nine


def _read(contents: Contents) -> None:
    """A caption and a negative to which words were added, or in which words were replaced or swapped.

    Source: Hsieh et al. 2023.
    """
    path = contents.path
    files = [path]
    if path.is_dir():
        files = [path / name for name in FILES if (path / name).is_file()]
        if not files:
            raise FileNotFoundError(f"no swap_obj.json in {path}; sugarcrepe expects {SUGARCREPE.expects}")
        absent = {*FILES} - NOT_PUBLISHED - {file.name for file in files}
        contents.left_out += [LeftOut("collection", name, f"{name} is not in the folder") for name in sorted(absent)]
    _read_files(contents, files, ("caption",))


def _read_pp(contents: Contents) -> None:
    """SugarCrepe with a paraphrase of each caption: caption and paraphrase must score above the negative.

    Source: Dumpala et al. 2024.
    """
    _read_files(contents, contents.json_files(), ("caption", "caption2"))


def _read_files(contents: Contents, files: Iterable[Path], true: tuple[str, ...]) -> None:
    """Read files of records; true: the keys of the true texts of a record."""
    for file in files:
        for place, record in contents.json_records(file):
            with contents.record(f"{file.name}:{place}", len(true) + 1):
                picture, false = text_of(record, "filename"), text_of(record, "negative_caption")
                texts = [*((text_of(record, key), 1.0) for key in true), (false, 0.0)]
                unit = next(contents.units)
                contents.add(*(Claim(picture, text, label, file.stem, unit) for text, label in texts))


SUGARCREPE = Benchmark(
    "sugarcrepe",
    "a folder with swap_obj.json and the like, or one of them: records of filename, caption, negative_caption",
    _read,
    pairwise_figures,
)
SUGARCREPE_PP = Benchmark(
    "sugarcrepe++",
    "a folder of JSON files, or one of them: records of filename, caption, caption2, negative_caption",
    _read_pp,
    pairwise_figures,
)
