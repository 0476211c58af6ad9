"""Database_create.py with small units, which sends a signal once COUNT of them are done. Its workers are forked.

    python build_until.py ROWS COUNT SIGNAL WHOM [FLAG ...]

ROWS: photographs of a unit. WHOM: `self`, or `group` (the workers, too, as a terminal does on Ctrl-C).
"""

import multiprocessing
import os
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import Database_create
import sources.rows
from common import jobs
from Database_create import run_jobs

if __name__ == "__main__":
    rows, count, number = map(int, sys.argv[1:4])
    whom = sys.argv[4]

    def watched(*args):
        for done, result in enumerate(run_jobs(*args), 1):
            yield result
            if done == count:
                os.killpg(os.getpgrp(), number) if whom == "group" else os.kill(os.getpid(), number)

    context = multiprocessing.get_context("fork")  # so that they need not load the parser, if this process has it
    jobs.multiprocessing = types.SimpleNamespace(**vars(multiprocessing) | {"get_context": lambda method: context})
    Database_create.run_jobs = watched
    Database_create.ROWS_PER_UNIT = sources.rows.ROWS_PER_UNIT = rows
    sys.argv[0] = "Database_create.py"
    Database_create.main(sys.argv[5:])
