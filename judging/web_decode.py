"""Decode one uploaded picture in a process of its own: python -m judging.web_decode FILE SHORT_SIDE

A picture can be made to take minutes or gigabytes. So its process is ended when it takes too long, it has a limit of
memory, and its memory goes back to the system. It imports neither torch nor Gradio and starts in 0.2 s.

It writes one line of JSON, {"size": [width, height]} or {"error": "..."}, then the RGB pixels.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from common.pictures import open_picture

ROOT = Path(__file__).resolve().parent.parent
MOST_SPACE = 3_000_000_000  # bytes of address space for a picture; `MOST_MEMORY` refuses what takes over 1 GB
LONGEST = 30.0  # seconds; a photograph of 24 megapixels takes 0.4


def decode_apart(file: Path, short_side: int, longest: float = LONGEST) -> Image.Image:
    """`open_picture` in another process. ValueError with the path, also if it takes longer than `longest` seconds."""
    command = [sys.executable, "-m", "judging.web_decode", str(file), str(short_side)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=longest, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{file}: it takes more than {longest:g} seconds to decode") from None
    head, _, pixels = done.stdout.partition(b"\n")
    if done.returncode or not head:
        raise ValueError(f"{file}: its decoder was ended; it may need too much memory")
    answer = json.loads(head)
    if "error" in answer:
        raise ValueError(answer["error"])
    return Image.frombytes("RGB", tuple(answer["size"]), pixels)


def main(file: str, short_side: str) -> None:
    answer: dict[str, object]
    pixels = b""
    limit_memory()
    try:
        picture = open_picture(Path(file), int(short_side))
        answer, pixels = {"size": picture.size}, picture.tobytes()
    except OSError as error:  # str(error) has the path in another form
        answer = {"error": f"{file}: {error.strerror or error}"}
    except ValueError as error:
        answer = {"error": str(error)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + pixels)


def limit_memory(most: int = MOST_SPACE) -> None:
    """Let this process take at most so many bytes more; only on Linux."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + most, own + most))


if __name__ == "__main__":
    main(*sys.argv[1:])
