"""Files of external benchmarks, and the claims that are read from them."""

import json
from pathlib import Path
from typing import Any

from examples import examples
from hypothesis import HealthCheck, settings

from evaluation.benchmarks import Claim, Contents
from sources.items import LeftOut

# No deadline: each example writes files, and the machine can be busy.
UNHURRIED = settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Write files below a folder: bytes and text unchanged, anything else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(content)
    return folder


def lines(*rows: str | bytes) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else row.encode() for row in rows) + b"\n"


def whole(found: Contents) -> list[Claim]:
    """The claims of a benchmark; asserts that no record is broken."""
    assert broken(found) == []
    return found.claims


def broken(found: Contents) -> list[LeftOut]:
    """The records that were left out, except for files of SugarCrepe that are not in the folder of a test."""
    return [each for each in found.left_out if "is not in the folder" not in each.reason]


def marked(claim: Claim) -> list[str]:
    return [claim.text[start:end] for start, end in claim.changed]


# Names of photographs as in Flickr8k, and a file of captions in its format
A, B = "1056338697_4f7d7ce270.jpg", "2549968784_39bfbe44f9.jpg"
ODD = "2258277193_586949ec62.jpg"
TOKENS = lines(
    f'{A}#0\tA blonde woman, in a "blue" shirt .',
    f"{B}#2\tTrois chevaux près d'une clôture .",
    f"{ODD}.1#0\tA dog runs .",
    f"{B}\tno number",
    b"x.jpg#0\tK\xe4fer",
    f"{B}#3",
)
