"""The two folders of a training run: Models/NAME for the model, Plots/NAME for its log and plots."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.storage import CONFIG, PHOTOGRAPHS, POINTER, VOCABULARY, WEIGHTS, WORLD
from Config import Config, to_json
from Tokenizer_lib import Tokenizer
from training.log import LOG


def earlier_results(config: Config) -> list[Path]:
    """The checkpoint pointer and the weights that an earlier run of this name has left."""
    return [path for name in (POINTER, WEIGHTS) if (path := config.model_folder / name).exists()]


def refuse_earlier_run(config: Config) -> None:
    """ValueError if the folders hold an earlier run and the flags do not say what to do with it."""
    log = config.plots_folder / LOG
    if config.resume or config.overwrite:
        return
    if earlier_results(config):
        raise ValueError(f"{config.model_folder} holds an earlier run; add --resume, --overwrite or --name OTHER")
    if log.exists():  # the model is in another --models, or was deleted
        raise ValueError(f"{log} is the log of another run; add --name OTHER, --plots OTHER or --overwrite")


def prepare(config: Config, tokenizer: Tokenizer, trained_on: Sequence[str]) -> None:
    """Remove the files of an earlier run, and write those that do not change during training.

    trained_on: identities of the training photographs. An evaluation leaves them out of its counts, and does not need
    the database for that.
    """
    folder = config.model_folder
    if not config.resume:
        log = config.plots_folder / LOG
        stale = [path for pattern in ("last*", "failed*", "*.json", WORLD) for path in folder.glob(pattern)]
        for old in (*stale, *earlier_results(config), log):
            old.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        config.plots_folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(to_json(replace(config, overwrite=False)), encoding="utf-8")
        tokenizer.save(folder / VOCABULARY)
    listed = folder / PHOTOGRAPHS
    if folder.exists() and not (config.resume and listed.exists()):
        listed.write_text("\n".join(trained_on) + "\n", encoding="utf-8")
