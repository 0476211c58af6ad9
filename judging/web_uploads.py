"""Uploads of the web page: their temporary folder, and reading and deleting one."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from judging.inputs import SHORT_SIDE, why_unreadable
from judging.web_decode import decode_apart

MOST_BYTES = 20_000_000  # of an upload; photographs of phones have under 10 MB


@contextlib.contextmanager
def temporary_uploads() -> Iterator[Path]:
    """A temporary folder for uploads; it is removed at the end, also after SIGTERM."""
    old = {}
    if threading.current_thread() is threading.main_thread():
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="web-uploads-")).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # Gradio sends a request to itself, which no proxy can reach
    try:
        yield folder
    finally:
        for number in old:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not stop the removal of the folder
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in old.items():
            signal.signal(number, handler)


def sweep(folder: Path, age: float) -> None:
    """Delete files that are older than `age` seconds."""
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and time.time() - file.stat().st_mtime > age:
                file.unlink()


def read_upload(path: str, folder: Path) -> Image.Image:
    """The picture of an upload, reduced as in a database. The file is deleted.

    path: below `folder`, as the answer to the upload says. ValueError says why it cannot be read, without the path,
    which visitors should not see.
    """
    if not path or "\0" in path:
        raise ValueError("it was not uploaded")
    file = (folder / path).resolve()
    if not file.is_relative_to(folder.resolve()):  # the path comes from the browser, so it can be any path
        raise ValueError("it was not uploaded")
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises if a name is too long
        raise ValueError("the upload is gone; please choose it again")
    try:
        return decode_apart(file, SHORT_SIDE)
    except ValueError as error:
        raise ValueError(why_unreadable(error, str(file))) from None
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
