"""Kill -9 of worker processes: python -m tests.fuzz.kills --count 50

builds: a pool worker of Database_create.py is killed at a random moment. The build must end with one line and status 2,
or finish; the same command again must give the bytes of an undisturbed build.

trainings: a loader process of Main_train.py is killed at a random moment. The training must end with one line and
status 1, or finish; with --resume its weights must be the bytes of an undisturbed training.

Nothing may hang, print a traceback, or leave a process behind.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hashlib
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from forks import Forked, run_forked

from . import databases
from .running import Fault

ROOT = Path(__file__).parents[2]
LONGEST = 600.0  # seconds until a process counts as one that hangs
SCENES, UNIT = 120, 2  # photographs of a build, and of a unit


@dataclass(frozen=True)
class KillsConfig:
    """How many processes of which kind are killed."""

    count: int = 5
    """Kills of each kind."""
    kind: Literal["all", "builds", "trainings"] = "all"
    """What is killed."""
    seed: int = 0
    """Seed of the moments."""
    start: int = 0
    """Number of the first kill."""


def workers(process: int) -> list[int]:
    """The children of a process that work: not the one that frees the shared memory of others."""
    found = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            for child in map(int, listed.read_text().split()):
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                if command and b"resource_tracker" not in command:  # a zombie has none
                    found.append(child)
        except OSError:  # it has just ended
            continue
    return sorted(found)


@dataclass
class Ended:
    """How a process ended whose worker was killed."""

    status: int
    errors: str
    killed: bool

    @property
    def lines(self) -> list[str]:
        """What it printed to stderr, without progress bars."""
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.errors)  # tqdm moves between its bars
        shown = [line.rpartition("\r")[2] for line in plain.split("\n")]
        return [line for line in shown if line.strip() and "%|" not in line and "[00:" not in line]


def run_and_kill(
    command: list[object], chance: Callable[[float], bool], rng: Random, begun: Callable[[], bool]
) -> Ended:
    """Start a command, and kill one of its workers: at the first look (200 per second) at which `chance` says so.

    chance: seconds since the first worker was there and `begun` -> kill now?
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = Forked(command, out.fileno(), errors.fileno())
        killed, since, end = False, 0.0, time.monotonic() + LONGEST
        while process.poll() is None:
            if time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise Fault(f"hangs for {LONGEST:.0f} s")
            found = [] if killed else workers(process.pid)
            if found and begun():
                since = since or time.monotonic()
                if chance(time.monotonic() - since):
                    killed = True
                    try:
                        os.kill(rng.choice(found), signal.SIGKILL)
                    except ProcessLookupError:
                        killed = False
            time.sleep(0.005)
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    deadline = time.monotonic() + 20
    while left := group_of(process.pid):
        if time.monotonic() > deadline:
            for one in left:
                os.kill(one, signal.SIGKILL)
            raise Fault(f"leaves {len(left)} processes behind")
        time.sleep(0.1)
    if "Traceback" in text:
        raise Fault(f"traceback: {text.strip().splitlines()[-1][:100]}", text)
    return Ended(process.wait(), text, killed)


def group_of(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def digest(folder: Path) -> str:
    """Of all files of a folder with their names."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != "lock":
            found.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return found.hexdigest()


def check_one_line(ended: Ended, status: int, *parts: str) -> None:
    if ended.status != status:
        raise Fault(f"status {ended.status}: {ended.lines[-1:]}", ended.errors)
    if len(ended.lines) != 1 or not any(part in ended.lines[0] for part in parts):
        raise Fault(f"{len(ended.lines)} lines: {' / '.join(ended.lines)[:200]}", ended.errors)


# Builds


def build_command(folder: Path) -> list[object]:
    """Database_create.py with small units and forked workers, see tests/build_until.py; it sends no signal."""
    until = ROOT / "tests" / "build_until.py"
    return [until, UNIT, 0, 0, "self", "--root", folder, "--scenes", SCENES, "--workers", 2, "--no-negatives"]


def undisturbed_build(folder: Path) -> str:
    assert run_forked(*build_command(folder)).returncode == 0
    return digest(folder / "scenes")


def kill_in_build(folder: Path, rng: Random, expected: str) -> str:
    units = folder / ".scenes.building" / "units"
    count, pause = rng.randrange(2 * SCENES // UNIT), rng.uniform(0, 0.1)

    def now(seconds: float) -> bool:
        if len(list(units.glob("*.arrow"))) >= count:
            time.sleep(pause)
            return True
        return False

    ended = run_and_kill(build_command(folder), now, rng, lambda: True)
    if ended.status:
        check_one_line(ended, 2, "a worker process was killed")
        again = run_and_kill(build_command(folder), lambda seconds: False, rng, lambda: True)
        if again.status:
            raise Fault(f"the same command again: status {again.status}: {again.lines[-1:]}")
    if digest(folder / "scenes") != expected:
        raise Fault("other bytes")
    if sorted(path.name for path in folder.iterdir()) != ["scenes"]:
        raise Fault("something else is left")
    return (
        "stopped, then the same bytes" if ended.status else "finished, the same bytes" if ended.killed else "not killed"
    )


# Trainings


def train_command(folder: Path, *more: str) -> list[object]:
    flags = [flag if flag != "0" else "2" for flag in databases.SMALL[:4]] + databases.SMALL[4:]
    where = ("--data.root", folder.parent / "data", "--models", folder / "Models", "--plots", folder / "Plots")
    return [ROOT / "Main_train.py", "scenes", *where, "--name", "m", *flags, "--optim.epochs", 2, *more]


def undisturbed_training(folder: Path) -> str:
    build = [ROOT / "Database_create.py", "--root", folder.parent / "data", "--name", databases.NAME, "--scenes", 48]
    for command in (build, train_command(folder)):
        done = run_forked(*command)
        assert done.returncode == 0, done.stderr
    return weights(folder)


def weights(folder: Path) -> str:
    """Of the weights, the threshold, the world and the vocabulary."""
    model = folder / "Models" / "m"
    names = ("best.safetensors", "threshold.json", "world.safetensors", "vocabulary.json")
    return json.dumps({name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in names})


def kill_in_training(folder: Path, rng: Random, expected: str) -> str:
    moment = rng.uniform(0, 3)
    ended = run_and_kill(train_command(folder), lambda seconds: seconds > moment, rng, lambda: True)
    if ended.status:
        check_one_line(ended, ended.status if ended.status in (1, 2) else 1, "--resume", "--overwrite")
        way = "--resume" if "--resume" in ended.lines[0] else "--overwrite"
        again = run_and_kill(train_command(folder, way), lambda seconds: False, rng, lambda: True)
        if again.status:
            raise Fault(f"with {way}: status {again.status}: {again.lines[-1:]}")
    found, wanted = json.loads(weights(folder)), json.loads(expected)
    if different := [name for name in wanted if found[name] != wanted[name]]:
        raise Fault(f"{'stopped' if ended.status else 'killed' if ended.killed else 'not killed'}: other {different}")
    log = (folder / "Plots" / "m" / "training_log.csv").read_text().splitlines()
    if [line.split(",")[0].removesuffix(".0") for line in log] != ["epoch", "1", "2"]:
        raise Fault("another log")
    if not ended.killed:
        return "not killed"
    return f"stopped, {way}, the same weights" if ended.status else "finished, the same weights"


Undisturbed, Kill = Callable[[Path], str], Callable[[Path, Random, str], str]
KINDS: dict[str, tuple[Undisturbed, Kill]] = {
    "builds": (undisturbed_build, kill_in_build),
    "trainings": (undisturbed_training, kill_in_training),
}


def kills(kind: str, seed: int, numbers: range, base: Path) -> Iterator[tuple[int, str]]:
    """(number, how it ended) of each kill; a fault begins with FAULT."""
    undisturbed, kill = KINDS[kind]
    (base / "first").mkdir()
    expected = undisturbed(base / "first")
    for number in numbers:
        folder = base / f"{kind}-{number}"
        folder.mkdir()
        try:
            found = kill(folder, Random(f"{seed} {kind} {number}"), expected)
        except Fault as error:
            what, *printed = error.args
            found = f"FAULT: {what}"
            print(*printed, sep="\n", end="", file=sys.stderr)  # all that the process printed: a kill is hard to repeat
        except OSError as error:  # a file of the results is not there
            found = f"FAULT: {error}"
        shutil.rmtree(folder, ignore_errors=True)
        yield number, found


def main() -> None:
    import tyro
    from rich.console import Console
    from rich.table import Table
    from tqdm import tqdm

    settings = tyro.cli(KillsConfig, description=__doc__)
    table, failed = Table("killed", "how it ended", "times"), False
    for kind in KINDS if settings.kind == "all" else (settings.kind,):
        found: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            numbers = range(settings.start, settings.start + settings.count)
            for number, how in tqdm(kills(kind, settings.seed, numbers, Path(folder)), kind, settings.count):
                found[how] += 1
                if how.startswith("FAULT"):
                    failed = True
                    again = f"--kind {kind} --seed {settings.seed} --start {number} --count 1"
                    tqdm.write(f"{kind} {number}: {how}; again: {again}")
        for how, times in sorted(found.items()):
            table.add_row(kind, how, str(times))
        print(json.dumps({kind: found}), flush=True)
    Console().print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
