"""The table of all sources, and `open_sources`, which opens those that a database is built from.

To add a source: write `sources/NAME.py` with `SOURCES = {"NAME": Source(...)}`, and give DatabaseConfig the field
`NAME: str | None = source("NAME")`; the docstring under the field is its `--help`.
"""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from Config import DatabaseConfig
from sources.items import Item, Source


def sources_of(config: type[DatabaseConfig]) -> dict[str, Source]:
    """Name -> source, for every field of the settings that selects a source; sources with pictures first."""
    found = {}
    for name, field in config.sources().items():
        known = importlib.import_module(f"sources.{field.module}").SOURCES
        assert name in known, (
            f"Config.py says that sources.{field.module} reads {name}, but its SOURCES has no such key"
        )
        found[name] = known[name]
    return found


# The sources of DatabaseConfig itself. A build calls `sources_of` with its own settings class, which tests extend.
SOURCES = sources_of(DatabaseConfig)


def open_sources(settings: DatabaseConfig) -> dict[str, Iterator[Item]]:
    """Name -> items, for all sources that the settings name.

    Their order is their precedence: of equal photographs or texts the first source's is used. FileNotFoundError if a
    file or folder is missing; it is raised before the first source is read, since reading can take minutes.
    """
    if settings.hold_out is not None:
        _require("file", "hold-out", settings.hold_out)
    sources = sources_of(type(settings))
    opened = {}
    for name, value in settings.named_sources.items():
        source = sources[name]
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            _require(source.expects, name.replace("_", "-"), one)
        opened[name] = _read_all(source, values, settings)
    return opened


def _read_all(source: Source, values: Iterable[Any], settings: DatabaseConfig) -> Iterator[Item]:
    for value in values:
        if source.expects == "folder":
            value = Path(value).absolute()  # workers may run in other folders
        yield from source.read(Path(value) if source.expects == "file" else value, settings)


def _require(expects: str, flag: str, value: Any) -> None:
    if expects == "file" and not Path(value).is_file():
        raise FileNotFoundError(f"--{flag} {value}: {_state(value)}; give a file")
    if expects == "folder" and not Path(value).is_dir():
        raise FileNotFoundError(f"--{flag} {value}: {_state(value)}; give a folder")


def _state(value: Any) -> str:
    path = Path(value)
    return "this is a folder" if path.is_dir() else "this is a file" if path.is_file() else "it does not exist"
