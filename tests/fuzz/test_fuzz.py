"""A small part of the campaign, and that the campaign sees the faults it looks for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from tests.fuzz import running
from tests.fuzz.kinds import KINDS
from tests.fuzz.pictures import input_of
from tests.fuzz.running import ACCEPTED, FAULT, REFUSED, Case, Fault, Kind, check_line, check_printed, run_cases

CASES = {"pictures": 12, "texts": 12, "files": 10, "models": 8, "databases": 4}


@pytest.mark.parametrize("name", KINDS)
def test_inputs_are_accepted_or_refused_in_one_line(name, tmp_path):
    KINDS[name].prepare(tmp_path)
    found = list(run_cases(KINDS[name], 1, range(CASES[name]), tmp_path))
    assert [outcome.index for outcome in found] == list(range(CASES[name]))
    faults = [
        f"--kind {name} --seed 1 --only {each.index}: {each.what}\n{each.shown}" for each in found if each.kind == FAULT
    ]
    assert not faults, "\n".join(faults)
    assert {outcome.kind for outcome in found} == {ACCEPTED, REFUSED}


def outcomes(tmp_path: Path, *runs: Callable[[Case], object]) -> list[running.Outcome]:
    kind = Kind("made", 1, lambda folder: None, lambda case: runs[case.index](case))
    return list(run_cases(kind, 0, range(len(runs)), tmp_path))


def noisy(case: Case) -> None:
    with case.printed() as texts:
        print("x.py: error: one\nx.py: error: two", file=sys.stderr)
    check_printed(texts[1], refused=True)


def test_each_kind_of_fault_is_seen_and_costs_one_case(tmp_path):
    """In a fresh process: what other tests have loaded changes memory, and how a process is aborted."""
    code = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]}; from tests.fuzz import test_fuzz; "
    code += f"from pathlib import Path; test_fuzz.check_each_kind_of_fault(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def check_each_kind_of_fault(folder):
    running.MOST_WAITED, running.MOST_SECONDS, running.MOST_MEMORY = 0.5, 0.05, 10**7
    found = outcomes(
        folder,
        lambda case: None,
        lambda case: case.refuse("one line"),
        lambda case: case.refuse("two\nlines"),
        lambda case: case.refuse(""),
        noisy,
        lambda case: 1 / 0,
        lambda case: os.abort(),
        lambda case: time.sleep(60),
        lambda case: sum(range(10_000_000)),
        lambda case: bytearray(b"x") * 10**8,  # smaller blocks can be in memory that this process has already
        lambda case: os._exit(3),
        lambda case: None,
    )
    assert [outcome.kind for outcome in found] == [ACCEPTED, REFUSED, *[FAULT] * 9, ACCEPTED]
    shown = [
        "2 lines",
        "0 lines",
        "2 lines of errors",
        "ZeroDivisionError",
        "SIGABRT",
        "hangs",
        " s",
        "GB",
        "ended with 3",
    ]
    assert all(part in outcome.what for part, outcome in zip(shown, found[2:])), [outcome.what for outcome in found]


@pytest.mark.parametrize(
    ("errors", "refused"),
    [("Traceback (most recent call last):\nValueError: x", True), ("a\nb", True), ("x: UserWarning: y", False)],
)
def test_what_is_printed_must_be_one_line(errors, refused):
    with pytest.raises(Fault):
        check_printed(errors, refused)
    check_printed("Predict.py: error: x", refused=True)
    check_printed("pairs: 50%|###  | 1/2 [00:01<00:01]", refused=False)
    with pytest.raises(Fault, match="1,000 characters"):
        check_line("x" * 1001)


def test_a_case_is_the_same_in_every_process():
    code = "from random import Random; from tests.fuzz.pictures import input_of; import hashlib;"
    code += "print(hashlib.sha256(repr([input_of(Random(str(n))) for n in range(9)]).encode()).hexdigest())"
    import hashlib
    from random import Random

    here = hashlib.sha256(repr([input_of(Random(str(n))) for n in range(9)]).encode()).hexdigest()
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
