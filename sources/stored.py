"""Open the files of a finished database. They may be damaged, so they are checked before use.

state.json has what opening a database needs, manifest.json what was stored and left out, word_counts.json the words of
the training captions; the rows are in Arrow files, the shards. ValueError names the file and the command that fixes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from common.checked import check, read_json
from common.storage import DATABASE_FORMAT, PARSE_FORMAT, SPLITS
from Config import DatabaseConfig

STATE, MANIFEST, WORD_COUNTS = "state.json", "manifest.json", "word_counts.json"
MOST_BYTES = 2**30  # of a JSON file. A manifest lists all that was left out: a million captions take 150 MB
SHORT = 2**22  # bytes of a manifest that is read in 40 ms; only then the sizes of the shards are compared with it

_STRUCT = {"text": pa.string(), "kind": pa.string(), "source": pa.string()}
_PARSE = {
    **{"start": pa.list_(pa.int32()), "end": pa.list_(pa.int32()), "lemma": pa.list_(pa.string())},
    **{"tag": pa.list_(pa.string()), "head": pa.list_(pa.int32()), "dep": pa.list_(pa.string())},
}
_REGION = {"start": pa.int32(), "end": pa.int32(), "boxes": pa.list_(pa.list_(pa.float32(), 4))}
TEXT_SCHEMA = pa.schema(
    {
        "captions": pa.list_(
            pa.struct({**_STRUCT, "parse": pa.struct(_PARSE), "regions": pa.list_(pa.struct(_REGION))})
        ),
        "mismatches": pa.list_(pa.struct(_STRUCT)),  # labelled as not true of the picture, or as neutral
    }
)
DATABASE_SCHEMA = pa.schema(
    [
        pa.field("image", pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        *(pa.field(name, pa.string()) for name in ("image_id", "source", "split", "group")),
        *TEXT_SCHEMA,
        pa.field("scene", pa.string()),
    ]
)


def rebuild(folder: Path) -> str:
    """The end of a message about a damaged file."""
    return DatabaseConfig.how_to_build(folder, "--overwrite")


def require_database(folder: Path) -> None:
    """FileNotFoundError if there is no finished database in the folder."""
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"no database at {folder}; {DatabaseConfig.how_to_build(folder)}")


def read_state(folder: Path) -> dict[str, Any]:
    """state.json of a finished database of this version. FileNotFoundError if there is no database."""
    require_database(folder)
    path, fix = folder / STATE, rebuild(folder)
    formats = {"format": int, "parse_format": int}
    state = check(read_json(path, fix, MOST_BYTES), formats, str(path), fix=fix)
    if (found := state.get("format", 1)) != DATABASE_FORMAT:
        raise ValueError(f"{folder} has database format {found}, this version reads {DATABASE_FORMAT}; {fix}")
    if (found := state.get("parse_format", 1)) != PARSE_FORMAT:
        raise ValueError(
            f"{folder} has parse format {found}, this version reads {PARSE_FORMAT}; parse its captions "
            f"again with: {DatabaseConfig.command(folder, '--reparse')}"
        )
    needed = {"fingerprint": str, "_data_files": Sequence[dict[str, Any]]}
    check(state, needed, str(path), needed=True, fix=fix)
    check(state, {"picture_fingerprint": str}, str(path), fix=fix)
    names = [part.get("filename") for part in state["_data_files"]]
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise ValueError(f"{path} does not name the files of the rows; {fix}")
    return state


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a database of this format, checked as far as the program uses it."""
    require_database(folder)
    path, fix = folder / MANIFEST, rebuild(folder)
    manifest = check(read_json(path, fix, MOST_BYTES), {"format": int}, str(path), fix=fix)
    if (found := manifest.get("format", 1)) != DATABASE_FORMAT:
        raise ValueError(f"{folder} has database format {found}, this version reads {DATABASE_FORMAT}; {fix}")
    parts = {**dict.fromkeys(("sources", "files", "versions"), dict[str, Any]), "fingerprint": str}
    check(manifest, {**parts, "left_out": list[Any]}, str(path), needed=True, fix=fix)
    counts = dict[str, int]
    for name, source in manifest["sources"].items():
        where = f"{path}: sources.{name[:40]}"
        check(source, dict.fromkeys(("splits", "kinds", "regions"), counts), where, needed=True, fix=fix)
        check(source["splits"], dict.fromkeys(SPLITS, int), f"{where}.splits", needed=True, fix=fix)
        check(source["regions"], {"words": int}, f"{where}.regions", needed=True, fix=fix)
    for name, file in manifest["files"].items():
        check(file, {"rows": int, "bytes": int}, f"{path}: files.{name[:40]}", needed=True, fix=fix)
    check(manifest["versions"], {"pillow": str}, f"{path}: versions", needed=True, fix=fix)
    check(manifest, {"picture_fingerprint": str}, str(path), fix=fix)
    return manifest


def read_word_counts(folder: Path) -> dict[str, int]:
    """Word -> number of its occurrences in the texts of the train split, captions and mismatches."""
    path, fix = folder / WORD_COUNTS, rebuild(folder)
    counts = check(read_json(path, fix, MOST_BYTES), {}, str(path), fix=fix)
    try:
        "".join(counts).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{path} is damaged: a word has half of a character; {fix}") from None
    if not all(type(count) is int and count > 0 for count in counts.values()):
        raise ValueError(f"{path} is damaged: a count of a word is no whole number above 0; {fix}")
    return counts


def check_sizes(folder: Path, files: Sequence[Path]) -> None:
    """ValueError if a shard has not the size that the manifest says. A long manifest is not read."""
    if (folder / MANIFEST).stat().st_size > SHORT:
        return
    sizes, fix = {name: file["bytes"] for name, file in read_manifest(folder)["files"].items()}, rebuild(folder)
    if sorted(sizes) != sorted(file.name for file in files):
        raise ValueError(f"{folder / STATE} and {MANIFEST} name other files of rows; {fix}")
    for file in files:
        if file.is_file() and (found := file.stat().st_size) != sizes[file.name]:
            raise ValueError(f"{file} is damaged: it has {found:,} bytes, not {sizes[file.name]:,}; {fix}")


def open_shard(file: Path, parsed: bool = True) -> pa.Table:
    """The rows of a shard, memory-mapped. parsed: the captions must have the parses of this version."""
    fix = rebuild(file.parent)
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there; {fix}")
    try:
        table = read_arrow(file)
    except ValueError as error:
        raise ValueError(f"{error}; {fix}") from None
    types = {field.name: field.type for field in table.schema}
    needed = [field for field in DATABASE_SCHEMA if parsed or field.name != "captions"]
    if wrong := [field.name for field in needed if types.get(field.name) != field.type]:
        raise ValueError(f"{file} is damaged: it has no column {wrong[0]} of the right type; {fix}")
    return table


def check_shards(rows_of: Mapping[Path, int]) -> None:
    """ValueError if a shard cannot be read or has another number of rows; FileNotFoundError if it is missing.

    Its captions may have the parses of another version.
    """
    for file, rows in rows_of.items():
        if (found := len(open_shard(file, parsed=False))) != rows:
            raise ValueError(f"{file} is damaged: it has {found:,} rows, not {rows:,}; {rebuild(file.parent)}")


def read_arrow(file: Path) -> pa.Table:
    """The rows of an Arrow file, memory-mapped: what is not used is not read. ValueError if it is damaged."""
    try:
        with pa.memory_map(str(file)) as data:
            table = pa.ipc.open_stream(data).read_all()
        table.validate()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ValueError(f"{file} is damaged: {' '.join(str(error).split())[:200]}") from None
    return table
