"""Run the processes of a benchmark, and measure their memory and that of this process."""

import contextlib
import gc
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from common.command_line import fail

ROOT = Path(__file__).resolve().parent.parent.parent
POLL = 0.1  # seconds between two readings of the memory of all processes; a reading takes 2 ms


def run(command: Sequence[str], log: Path, watch: bool) -> list[float]:
    """Run a command in ROOT and wait for it. With `watch`, returns the peak MB of each of its processes.

    The command has a session of its own, by which its processes are found and ended.
    """
    peaks: dict[int, float] = {}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, start_new_session=True)
    try:
        while watch and process.poll() is None:
            peaks |= peaks_of_session(process.pid)
            time.sleep(POLL)
        status = process.wait()
    except BaseException:
        with contextlib.suppress(AttributeError, ProcessLookupError):  # Windows has no groups
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        raise
    if status:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"status {status}"]
        fail(f"{' '.join(command[1:3])} ... failed: {last[0]}", code=1)
    return list(peaks.values())


def peaks_of_session(session: int) -> dict[int, float]:
    """Peak MB (VmHWM) of each process of a session, by process id."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):  # the process has just ended
            # After the name in brackets, which can contain spaces, are state, parent, group and session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                peaks[int(folder.name)] = peak_of(folder)
    return peaks


def peak_of(process: Path) -> float:
    """Peak MB of a process; process: its folder in /proc. StopIteration if it has ended."""
    lines = (process / "status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def watched(work: Callable[[], Any], device: Any) -> tuple[Any, float | None]:
    """The result of a callable, and by how many MB it raised the peak memory of the GPU, or on a CPU of this process.

    None instead of MB if the memory cannot be read.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
        result = work()
        return result, (torch.cuda.max_memory_allocated(device) - allocated) / 1e6
    gc.collect()  # else garbage that is freed during the work would hide some of its memory
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current memory
    except OSError:
        return work(), None
    before = peak_of(Path("/proc/self"))
    result = work()
    return result, max(0.0, peak_of(Path("/proc/self")) - before)


def bytes_of(folder: Path) -> int:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
