"""A training that torchrun starts again: if a process has died, `torchrun --max-restarts N` starts all of them again.

They then go on from the last checkpoint, whatever flags the run was started with.
"""

import os
from dataclasses import replace

from common.parallel import Group
from common.storage import POINTER
from Config import Config

MARK = "torchrun.txt"  # in the model's folder while it is trained: the id of the torchrun that trains it


def settle_restart(config: Config, group: Group) -> Config:
    """The settings of this start: with `resume` if torchrun has started the run again and there is a checkpoint.

    Without a checkpoint it starts again. Only a run that this torchrun has begun is continued: its first start removes
    an older mark, and sets its own after all checks. So an earlier run of the same name is still refused. All processes
    must call this; on several machines they know different numbers of restarts.
    """
    if (own := os.environ.get("TORCHELASTIC_RUN_ID")) is None:
        return config
    restarts = max(group.merge(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))))
    mark = config.model_folder / MARK
    if group.writes and not restarts:
        mark.unlink(missing_ok=True)
    begun = restarts > 0 and mark.is_file() and mark.read_text(encoding="utf-8") == own
    begun, has_checkpoint = group.merge((begun, (config.model_folder / POINTER).is_file()))[0]  # as the first sees it
    return replace(config, resume=has_checkpoint, overwrite=not has_checkpoint) if begun else config


def mark_begun(config: Config) -> None:
    """Note that this torchrun has begun the run; nothing without torchrun."""
    if (own := os.environ.get("TORCHELASTIC_RUN_ID")) is not None:
        (config.model_folder / MARK).write_text(own, encoding="utf-8")


def mark_done(config: Config, group: Group) -> None:
    """Remove the mark of a run that has ended."""
    if group.writes:
        (config.model_folder / MARK).unlink(missing_ok=True)
