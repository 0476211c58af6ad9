"""The two folders of a training run: Models/NAME for the model, Plots/NAME for its log and plots."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import filelock

from common.storage import CONFIG, PHOTOGRAPHS, POINTER, VOCABULARY, WEIGHTS, WORLD
from Config import Config, to_json
from DataBase_functions import PairDataset, seeded
from Tokenizer_lib import Tokenizer
from training.log import LOG, earlier_rows
from training.restarts import mark_begun


def earlier_results(config: Config) -> list[Path]:
    """The checkpoint pointer and the weights that an earlier run of this name has left."""
    return [path for name in (POINTER, WEIGHTS) if (path := config.model_folder / name).exists()]


@contextlib.contextmanager
def locked(config: Config) -> Iterator[None]:
    """Within it no other process writes to the two folders of this run. ValueError if one does.

    The locks are files beside the folders, so a run that is refused leaves nothing in them; the system releases them
    when a process is killed.
    """
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys(folder.resolve() for folder in (config.model_folder, config.plots_folder)):
            held.enter_context(lock(folder, "choose another --name"))
        yield


@contextlib.contextmanager
def lock(folder: Path, instead: str) -> Iterator[None]:
    """Within it no training and no evaluation writes to this folder of a model or of its plots.

    ValueError if one does; instead: what its message advises besides waiting.
    """
    folder = folder.resolve()
    root_is_new = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    try:
        with filelock.FileLock(path, timeout=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    path.unlink(missing_ok=True)
    except filelock.Timeout as error:
        raise ValueError(f"another process writes to {folder}; wait for it, or {instead}") from error
    finally:
        if root_is_new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.parent.rmdir()


def refuse_earlier_run(config: Config) -> None:
    """ValueError if the folders hold an earlier run and the flags do not say what to do with it, or it has a log that
    this run cannot go on with."""
    log = config.plots_folder / LOG
    if config.overwrite:
        return
    if config.resume:
        check_log(log)
        return
    if earlier_results(config):
        flags = "--resume, --overwrite or --name OTHER" if can_resume(config) else "--overwrite or --name OTHER"
        raise ValueError(f"{config.model_folder} holds an earlier run; add {flags}")
    if log.exists():  # the model is in another --models, or was deleted
        raise ValueError(f"{log} is the log of another run; add --name OTHER, --plots OTHER or --overwrite")


def check_log(log: Path) -> None:
    """ValueError if epochs cannot be added to this log; before the first of them is trained."""
    try:
        earlier_rows(log)
    except ValueError as error:
        raise ValueError(f"{error}; or move the file away, and --resume begins another one") from error


def can_resume(config: Config) -> bool:
    """Whether there is a checkpoint."""
    return (config.model_folder / POINTER).is_file()


def way_on(config: Config) -> str:
    """The end of an error message: how to go on with this run, from its last checkpoint if there is one."""
    if can_resume(config):
        return "go on with the same command and --resume"
    return "there is no checkpoint yet, start again with --overwrite"


def prepare(config: Config, tokenizer: Tokenizer, trained_on: Sequence[str]) -> None:
    """Remove the files of an earlier run, and write those that do not change during training.

    trained_on: identities of the training photographs. An evaluation leaves them out of its counts, and does not need
    the database for that.
    """
    folder = config.model_folder
    config.plots_folder.mkdir(parents=True, exist_ok=True)
    if not config.resume:
        log = config.plots_folder / LOG
        stale = [path for pattern in ("last*", "failed*", "*.json", WORLD) for path in folder.glob(pattern)]
        for old in (*stale, *earlier_results(config), log):
            old.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(to_json(replace(config, overwrite=False)), encoding="utf-8")
        tokenizer.save(folder / VOCABULARY)
    listed = folder / PHOTOGRAPHS
    if folder.exists() and not (config.resume and listed.exists()):
        listed.write_text("\n".join(trained_on) + "\n", encoding="utf-8")
    mark_begun(config)


def check_negatives(dataset: PairDataset, rows: Sequence[int]) -> None:
    """ValueError if no caption of these rows gets a hard negative: then no threshold can be chosen after an epoch."""
    for row in rows:
        rng = seeded(dataset.seed, row)
        if any(caption.negatives for caption in dataset.texts(row, rng)):
            return
    raise ValueError(
        f"no validation caption of {dataset.database.folder} gets a hard negative, so no threshold could be chosen; "
        "build a database with more or longer captions, or use other kinds: --negatives.swap, .exchange, .mined"
    )
