"""Processes that are forked from one that has imported the program: a start takes 20 ms instead of 3 s.

They are as real as any other: they get signals, are killed, and have limits, files, variables and a session of their
own. As a script, this file is the process that they are forked from.
"""

import functools
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAZILY = ("pandas", "scipy.optimize", "torch._dynamo")  # what a training imports when it needs it
PRELOADED = ("Main_train", "Predict", "Analyze_logs", "evaluation.log_plots", "judging.judge", "judging.table")
PRELOADED += ("matplotlib.pyplot", "Database_create", *LAZILY)


class Forked:
    """A forked process; what is here works as in subprocess.Popen.

    command: the path of a script with its arguments, or "-c", code, and arguments. largest_file: limit in bytes.
    """

    def __init__(self, command: list[object], stdout: int, stderr: int, largest_file: int | None = None):
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(_address())
        request = {"command": [*map(str, command)], "environment": dict(os.environ), "largest_file": largest_file}
        data = json.dumps(request).encode()
        socket.send_fds(self._server, [len(data).to_bytes(8)], [stdout, stderr])
        self._server.sendall(data)
        self.pid = int.from_bytes(_read(self._server, 8))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        if self.returncode is None:
            self._server.settimeout(timeout)
            status = int.from_bytes(_read(self._server, 8))
            self.returncode = os.waitstatus_to_exitcode(status)
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Ended(subprocess.CompletedProcess[str]):
    """A process that has ended; pid: its id, and that of its session."""

    def __init__(self, command: list[object], status: int, out: str, err: str, pid: int):
        super().__init__(command, status, out, err)
        self.pid = pid


def run_forked(*command: object, largest_file: int | None = None) -> Ended:
    """Run a script, or "-c" and code, in a forked process from the project's folder; its texts and its status."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked([*command], out.fileno(), err.fileno(), largest_file)
        try:
            status = process.wait()
        finally:
            process.send_signal(signal.SIGKILL)
        out.seek(0), err.seek(0)
        return Ended([*command], status, out.read().decode(), err.read().decode(), process.pid)


@functools.cache
def _address() -> str:
    """Start the process that others are forked from; the address of its socket. It ends with this one."""
    address = str(Path(tempfile.mkdtemp(prefix="forks-"), "socket"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    alive, ours = os.pipe()
    os.set_inheritable(ours, False)
    subprocess.Popen(
        [sys.executable, __file__, str(listener.fileno())],
        stdin=alive,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )
    os.close(alive)
    listener.close()
    return address


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, "the process that forks has ended"
        data += more
    return data


def serve(listener: socket.socket) -> None:
    """Fork a process for each connection, and report its id and its status. Returns in the forked process, or at the
    end of the tests."""
    children: dict[int, socket.socket] = {}
    while True:
        ready = select.select([listener, 0], [], [], 0.02 if children else None)[0]
        if 0 in ready:
            sys.exit()
        if listener in ready:
            connection = listener.accept()[0]
            size, files = socket.recv_fds(connection, 8, 2)[:2]
            request = json.loads(_read(connection, int.from_bytes(size)))
            if not (process := os.fork()):
                listener.close(), connection.close()
                for other in children.values():
                    other.close()
                return become(files, **request)
            for file in files:
                os.close(file)
            connection.sendall(process.to_bytes(8))
            children[process] = connection
        for process, connection in [*children.items()]:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del children[process]
                connection.sendall(status.to_bytes(8))
                connection.close()


def become(files: list[int], command: list[str], environment: dict[str, str], largest_file: int | None) -> None:
    """Turn this forked process into one that was started with this command; it returns when the script does."""
    os.setsid()
    for descriptor, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    random.seed(), importlib.import_module("numpy").random.seed()
    if largest_file is not None:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if command[0] == "-c":
        code, sys.argv = command[1], ["-c", *command[2:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.argv, sys.path[0] = command, str(Path(command[0]).parent)
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        for name in PRELOADED:
            importlib.import_module(name)
        parser = importlib.import_module("sources.parser")
        parser.load_parser(parser.find_pipeline())
        serve(listener)
