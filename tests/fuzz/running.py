"""Run cases in forked processes with limits, and judge what comes out of them."""

import contextlib
import dataclasses
import importlib
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

MOST_SECONDS = 10.0  # of computing; the clock on the wall is of no use on a busy machine
MOST_WAITED = 90.0  # seconds by that clock: a hang
MOST_MEMORY = 10**9  # bytes more than before the case
FENCE = 6 * 10**9  # bytes of address space more than before: keeps the machine alive
LONGEST_LINE = 1000  # characters of an error
AT_ONCE = 50  # cases of a process

ACCEPTED, REFUSED, FAULT = "accepted", "refused", "FAULT"


class Fault(Exception):
    """What a case found wrong by itself, for example a message of several lines."""


@dataclass
class Outcome:
    """What one case gave."""

    index: int
    kind: str
    """accepted, refused or FAULT."""
    what: str = ""
    """Of a fault, what it is: traceback, signal ..."""
    shown: str = ""
    """What was printed."""
    about: str = ""
    """What was done to which input."""
    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of inputs."""

    name: str
    scale: int
    """Cases for each one of --count 1000, in thousandths."""
    prepare: Callable[[Path], object]
    """Makes what all cases start from in a folder, and loads what they need, before processes are forked."""
    run: Callable[["Case"], None]
    """Makes one input and hands it to the program. It calls `Case.call` or raises `Fault`; else it was accepted."""


@dataclass
class Case:
    """One case: its generator, its own empty folder, and what the program said to its input."""

    kind: str
    index: int
    rng: Random
    base: Path
    """The folder that `Kind.prepare` has filled."""
    folder: Path
    about: str = ""
    refused: bool = False
    shown: list[str] = field(default_factory=list)
    before: int = 0
    """Bytes of this process when the input was made; what follows is measured."""
    began: float = 0.0

    def measure(self) -> None:
        """Begin to measure time and memory: the input is there."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
        self.before, self.began = _status("VmRSS"), time.process_time()

    def call(self, script: str, *args: object, statuses: Sequence[int] = (0,)) -> int:
        """Run a script's `main` in this process. Fault unless it accepts (one of these statuses) or refuses."""
        self.about += f" | {script} {' '.join(map(repr, map(str, args)))}"[:600]
        module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
        sys.argv[:] = [script]
        with self.printed() as texts:
            try:
                module.main([*map(str, args)])
                status = 0
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
            except Exception:
                traceback.print_exc()
                status = 1
        out, errors = texts
        self.shown += [out[-2000:], errors[-6000:]]
        check_printed(errors, refused=status == 2)
        if status != 2 and status not in statuses:
            raise Fault(f"status {status}")
        self.refused |= status == 2
        return status

    @contextlib.contextmanager
    def printed(self) -> Iterator[list[str]]:
        """Collects what this process writes to its file descriptors 1 and 2, also from C."""
        texts: list[str] = []
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            sys.stdout.flush(), sys.stderr.flush()
            kept, before = (os.dup(1), os.dup(2)), (sys.stdout, sys.stderr)
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            try:
                yield texts
            finally:
                for stream in (sys.stdout, sys.stderr):
                    with contextlib.suppress(ValueError):
                        stream.flush()
                sys.stdout, sys.stderr = before
                for descriptor, old in enumerate(kept, 1):
                    os.dup2(old, descriptor), os.close(old)
                for file in (out, err):
                    file.seek(0)
                    texts.append(file.read().decode(errors="replace"))

    def refuse(self, error: BaseException | str) -> None:
        """The program has refused the input with this message. Fault unless it is one clear line."""
        self.shown.append(str(error))
        check_line(str(error))
        self.refused = True


def check_printed(errors: str, refused: bool) -> None:
    """Fault unless stderr has one line of a refusal, or nothing that looks like an error if it is none."""
    if "Traceback" in errors:
        last = [line for line in errors.splitlines() if re.match(r"\w[\w.]*(:|$)", line)]
        raise Fault(f"traceback: {(last or [''])[-1][:100]}")
    lines = [line for line in errors.split("\n") if line.strip() and "\r" not in line and "it/s" not in line]
    lines = [line for line in lines if not re.search(r"\d/\d.*\[\d\d:\d\d|\[\d\d:\d\d<", line)]  # progress bars
    if refused:
        if len(lines) != 1:
            raise Fault(f"{len(lines)} lines of errors")
        check_line(lines[0])
    elif "Warning" in errors or "Exception ignored" in errors:
        raise Fault(f"warning: {errors.strip().splitlines()[0][:100]}")


def check_line(line: str) -> None:
    """Fault unless this is a clear line."""
    if not line.strip() or len(line.splitlines()) != 1:
        raise Fault(f"a message of {len(line.splitlines())} lines")
    if len(line) > LONGEST_LINE:
        raise Fault("a message of over 1,000 characters")


def run_case(kind: Kind, seed: int, index: int, base: Path) -> Outcome:
    """Run one case in this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{kind.name}-", dir=base))
    case = Case(kind.name, index, Random(f"{seed} {kind.name} {index}"), base, folder)
    outcome = Outcome(index, ACCEPTED)
    case.measure()
    try:
        kind.run(case)
        outcome.kind = REFUSED if case.refused else ACCEPTED
    except Fault as error:
        outcome.kind, outcome.what = FAULT, str(error)
    except Exception as error:
        outcome.kind, outcome.what = FAULT, f"traceback: {type(error).__name__}: {str(error)[:80]}"
        case.shown.append(traceback.format_exc()[-6000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds, outcome.memory = time.process_time() - case.began, max(0, _status("VmHWM") - case.before)
    if outcome.kind != FAULT and outcome.memory > MOST_MEMORY:
        outcome.kind, outcome.what = FAULT, f"{outcome.memory / 1e9:.1f} GB"
    if outcome.kind != FAULT and outcome.seconds > MOST_SECONDS:
        outcome.kind, outcome.what = FAULT, f"{outcome.seconds:.0f} s"
    outcome.about, outcome.shown = case.about, "\n".join(filter(str.strip, case.shown))
    return outcome


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def run_cases(kind: Kind, seed: int, indices: Sequence[int], base: Path) -> Iterator[Outcome]:
    """Run cases in forked processes, AT_ONCE in each; yields their outcomes in order.

    `kind.prepare(base)` was called before. A process that dies or hangs costs one case, whose outcome is a fault.
    """
    left = [*indices]
    while left:
        ours, theirs = os.pipe()
        sys.stdout.flush(), sys.stderr.flush()
        if not (process := os.fork()):
            os.close(ours)
            _be_a_worker(kind, seed, left[:AT_ONCE], base, theirs)
        os.close(theirs)
        try:
            for found in _outcomes_of(ours):
                left.remove(found.index)
                yield found
        except TimeoutError:
            yield Outcome(left.pop(0), FAULT, f"hangs for {MOST_WAITED:.0f} s")
        except EOFError:
            _, status = os.waitpid(process, 0)
            process = 0
            code = os.waitstatus_to_exitcode(status)
            what = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            yield Outcome(left.pop(0), FAULT, what)
        finally:
            os.close(ours)
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


def _be_a_worker(kind: Kind, seed: int, indices: Sequence[int], base: Path, pipe: int) -> None:
    """Run the cases, write an outcome for each, and end this process."""
    code = 1
    try:
        os.setsid()
        room = _status("VmSize") + FENCE
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for index in indices:
            outcome = run_case(kind, seed, index, base)
            with open(pipe, "wb", closefd=False) as file:
                file.write(json.dumps(dataclasses.asdict(outcome)).encode() + b"\n")
        with open(pipe, "wb", closefd=False) as file:
            file.write(b"done\n")
        code = 0
    finally:
        os._exit(code)


def _outcomes_of(pipe: int) -> Iterator[Outcome]:
    """The outcomes from a worker. TimeoutError if none comes for MOST_WAITED seconds, EOFError if it has died."""
    data = b""
    while True:
        while b"\n" not in data:
            if not select.select([pipe], [], [], MOST_WAITED)[0]:
                raise TimeoutError
            more = os.read(pipe, 2**16)
            if not more:
                raise EOFError
            data += more
        line, _, data = data.partition(b"\n")
        if line == b"done":
            return
        yield Outcome(**json.loads(line))
