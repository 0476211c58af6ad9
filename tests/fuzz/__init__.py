"""A fuzz campaign: damaged, odd and hostile inputs, made on the spot from small valid ones, through the scripts.

    python -m tests.fuzz --count 1000                                    the whole campaign, hours on one core
    python -m tests.fuzz --kind pictures --seed 0 --only 17              one case again, with all it printed

Every input must be accepted, or refused with exit status 2 and one line. All else is a fault: a traceback, several
lines, a warning, another status, a signal, over 10 seconds of computing, over 1 GB of memory.

A case is a pure function of (kind, seed, index). `mutations.py` changes bytes, JSON and texts; each kind of input has a
file of its own; `running.py` runs the cases in forked processes and judges what comes out of them.
"""

import sys
from pathlib import Path

sys.path[:0] = [
    folder for folder in map(str, (Path(__file__).parents[2], Path(__file__).parents[1])) if folder not in sys.path
]
