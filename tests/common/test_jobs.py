"""Jobs on local processes; test_ray.py has those on a cluster."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripts import ROOT

from common.jobs import AHEAD, EngineError, progress, run_jobs


@dataclass(frozen=True)
class Square:
    """A job that can sleep, so that later jobs finish before it."""

    number: int

    def run(self) -> tuple[int, int]:
        time.sleep(0.05 if self.number % 3 == 0 else 0)
        return self.number**2, os.getpid()


class Breaks(Square):
    def run(self) -> tuple[int, int]:
        if self.number == 3:
            raise OSError(28, "No space left on device")
        return super().run()


class Dies(Square):
    def run(self) -> tuple[int, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0, 0


def test_results_come_in_order_from_several_processes_and_few_jobs_wait():
    taken = []

    def jobs():
        for number in range(30):
            taken.append(number)
            yield Square(number)

    processes = set()
    for i, (job, (square, process)) in enumerate(run_jobs(jobs(), workers=2)):
        assert (job.number, square) == (i, i * i)
        assert len(taken) <= i + 2 * AHEAD + 1
        processes.add(process)
    assert len(taken) == 30 and len(processes) == 2 and os.getpid() not in processes
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_the_error_of_a_job_is_that_of_the_run():
    done = []
    with pytest.raises(OSError, match="No space left"):
        done += [job.number for job, _ in run_jobs(map(Breaks, range(9)), workers=1)]
    with pytest.raises(EngineError, match="was killed, probably because memory ran out"):
        list(run_jobs(map(Dies, range(9)), workers=1))


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="it looks into processes in /proc")
def test_a_worker_that_is_killed_after_the_last_result_does_not_block_the_others():
    """It can hold the lock of the queue: then another worker, and the end of the pool, would wait for ever."""
    results = run_jobs(map(Square, range(6)), workers=2)
    workers = {process for _, (_, process) in itertools.islice(results, 6)}
    time.sleep(0.1)
    holders = [worker for worker in workers if "futex" not in Path(f"/proc/{worker}/wchan").read_text()]
    os.kill((holders or [*workers])[0], signal.SIGKILL)
    assert next(results, None) is None


def test_stopped_workers_leave_no_semaphore_that_python_warns_of(tmp_path):
    """A progress bar, even one that is not shown, has a lock; the warning comes after the end of the parent."""
    script = tmp_path / "bars.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from common.jobs import progress, run_jobs\n"
        "class Bar:\n"
        "    def run(self):\n"
        "        return [*progress(range(3), 'read', ' captions')]\n"
        "if __name__ == '__main__':\n"
        "    print([result for _, result in run_jobs([Bar(), Bar()], workers=2)])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[[0, 1, 2], [0, 1, 2]]\n", "")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(
        "import sys, time, os, pathlib\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from common.jobs import run_jobs\n"
        "class Waits:\n"
        "    def run(self):\n"
        f"        pathlib.Path({str(tmp_path / 'worker')!r}).write_text(str(os.getpid()))\n"
        "        time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(run_jobs([Waits()]))\n"
    )
    process = subprocess.Popen([sys.executable, script])
    written = tmp_path / "worker"
    end = time.monotonic() + 300
    while not (written.exists() and written.read_text()):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end and not _is_zombie(int(written.read_text())):
            os.kill(int(written.read_text()), 0)  # ProcessLookupError when it is gone
            time.sleep(0.05)
        assert time.monotonic() < end, "the worker outlives its parent"


def _is_zombie(process: int) -> bool:
    """Whether a process has ended but still has its entry in /proc, because nothing here reaps orphans."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_rate_below_1_is_still_per_second():
    with progress(None, "read", " captions", 10) as bar:
        line = bar.format_meter(**{**bar.format_dict, "n": 1, "elapsed": 2.0, "rate": 0.5})
    assert line.endswith("1/10 [00:02<00:18,  0.50 captions/s]")


def test_without_ray_the_error_has_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("common.jobs.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -r requirements-cluster\.txt"):
        list(run_jobs([Square(1)], engine="ray"))


def test_a_local_build_imports_neither_ray_nor_torch_nor_spacy(tmp_path):
    """The parent starts in a moment; only its workers parse."""
    code = (
        "import sys, Database_create\n"
        f"sys.argv[1:] = ['--scenes', '12', '--workers', '1', '--no-negatives', '--root', {str(tmp_path)!r}]\n"
        "if __name__ == '__main__':\n"
        "    Database_create.main()\n"
        "    assert not {'ray', 'torch', 'spacy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    (tmp_path / "local.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, tmp_path / "local.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
