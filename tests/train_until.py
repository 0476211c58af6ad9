"""Main_train.py that sends a signal in the middle of a step: python train_until.py EPOCH STEP SIGNAL WHOM [FLAG ...]

The step is the one after EPOCH whole epochs and STEP steps; what it computes is not saved yet. WHOM: `self`, `group`
(all processes of the run), `rank1` (the second of two processes), or `torchrun` (which has started this process). All
four can be lists, for the first start and for those after it: 1,2 0,3 9,15 rank1,torchrun. Without an entry for its
start, the training is not disturbed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import Main_train
from Main_train import train_step


def send(number: int, whom: str) -> None:
    rank = os.environ.get("RANK", "0")
    if whom == "group":
        os.killpg(os.getpgrp(), number)
    elif whom == "self" or (whom, rank) == ("rank1", "1"):
        os.kill(os.getpid(), number)
    elif (whom, rank) == ("torchrun", "0"):
        os.kill(os.getppid(), number)


if __name__ == "__main__":
    events = [*zip(*(arg.split(",") for arg in sys.argv[1:5]))]
    start = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))

    def watched(run, batch):
        loss = train_step(run, batch)
        for epoch, step, number, whom in events[start : start + 1]:
            if (run.progress.epoch, run.progress.step) == (int(epoch), int(step)):
                send(int(number), whom)
        return loss

    Main_train.train_step = watched
    sys.argv[0] = "Main_train.py"
    Main_train.main(sys.argv[5:])
