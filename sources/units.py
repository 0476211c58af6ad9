"""Units of work (each the pictures or the texts of up to 100 photographs), and the columns of the database.

A unit is a file whose name is a hash of all its inputs. It gets this name when it is complete. So a unit is finished if
and only if its file exists: it is never made twice, and a half-written file is never read.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
from PIL import Image

from common.pictures import encode_jpeg, fingerprint, stored_picture
from common.regions import from_dicts
from common.storage import PARSE_FORMAT
from Config import DatabaseConfig
from negatives.text import Parse
from sources.intake import Photograph, StoredText, where
from sources.items import Picture
from sources.parser import load_parser
from sources.scenes import draw
from sources.stored import DATABASE_SCHEMA, TEXT_SCHEMA, read_arrow

ROWS_PER_UNIT = 100  # about 2 MB and half a second of work, which is lost when a build is killed
SCENE_SIDE = 128  # pixels

PICTURE_SCHEMA = pa.schema(
    [
        *(DATABASE_SCHEMA.field(name) for name in ("image", "image_id", "source", "scene")),
        pa.field("bits", pa.binary()),
        pa.field("colours", pa.binary()),
        pa.field("problems", pa.list_(pa.struct({"source": pa.string(), "where": pa.string(), "reason": pa.string()}))),
    ]
)


def database_features() -> Any:
    """Columns of the database as `datasets.Features`. Workers do not call it: importing `datasets` takes 0.5 s."""
    from datasets import Features, Image

    return Features({**Features.from_arrow_schema(DATABASE_SCHEMA), "image": Image()})


@dataclass(frozen=True)
class Unit(ABC):
    """The work on up to ROWS_PER_UNIT photographs, and the file for the result."""

    what: ClassVar[str]
    """What the progress bar counts."""
    schema: ClassVar[pa.Schema]

    path: Path
    size: int
    """How many pictures or texts it has."""
    photographs: tuple[Any, ...]

    @property
    def is_finished(self) -> bool:
        """Whether the file exists. One that is damaged, for example by a crash of the machine, is deleted."""
        if not self.path.exists():
            return False
        try:
            table = read_arrow(self.path)
        except ValueError:
            table = None
        if table is not None and len(table) == len(self.photographs) and table.schema.equals(self.schema):
            return True
        print(f"{self.path} is damaged and is made again", file=sys.stderr)
        self.path.unlink()
        return False

    def run(self) -> None:
        """Make the file, unless it exists. It is written under another name and renamed when it is complete."""
        if self.path.exists():
            return
        batch = self.make()
        part = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}.part")
        try:
            with pa.ipc.new_stream(str(part), batch.schema) as stream:
                stream.write_batch(batch)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)

    @abstractmethod
    def make(self) -> pa.RecordBatch:
        """The content of the file, one row per photograph."""


@dataclass(frozen=True)
class PictureUnit(Unit):
    """Decodes, reduces and fingerprints pictures."""

    what: ClassVar[str] = "pictures"
    schema: ClassVar[pa.Schema] = PICTURE_SCHEMA

    photographs: tuple[tuple[tuple[Picture, ...], tuple[str, ...]], ...]
    """(files, source of each file) of each photograph."""
    short_side: int
    jpeg_quality: int

    @classmethod
    def of(cls, folder: Path, photographs: Sequence[Photograph], settings: DatabaseConfig) -> "PictureUnit":
        content = tuple((photograph.files, photograph.sources) for photograph in photographs)
        made_of = [
            (source, file.image_id, file.path, file.scene, _size_and_time(file.path))
            for files, sources in content
            for file, source in zip(files, sources)
        ]
        shaping = (settings.short_side, settings.jpeg_quality)
        code = _code("sources/units.py", "common/pictures.py", "sources/scenes/*.py")
        key = _digest(made_of, list(map(len, content)), shaping, importlib.metadata.version("pillow"), code)
        return cls(folder / f"pictures-{key}.arrow", len(content), content, *shaping)

    def make(self) -> pa.RecordBatch:
        rows = [self._row(files, sources) for files, sources in self.photographs]
        return pa.RecordBatch.from_pylist(rows, PICTURE_SCHEMA)

    def _row(self, files: Sequence[Picture], sources: Sequence[str]) -> dict[str, Any]:
        """A row with the largest usable picture of a photograph, and the problems of the files that cannot be used."""
        row: dict[str, Any] = {"problems": []}
        for file, source in sorted(zip(files, sources), key=lambda both: -_pixels(both[0].path) if files[1:] else 0):
            try:
                data, picture = self._picture(file)
            except Exception as error:  # a decoder can raise any error; a damaged file must not end the build
                if is_temporary(error):
                    raise
                problem = {"source": source, "where": where(file), "reason": why_left_out(error)}
                row["problems"].append(problem)
                continue
            name = f"{file.image_id}.jpg" if file.path is None else file.path.name
            row |= {"image": {"bytes": data, "path": name}, "image_id": file.image_id, "source": source}
            if file.scene is not None:
                row["scene"] = json.dumps(file.scene)
            else:  # drawn scenes need no fingerprint, since no two are equal
                row |= fingerprint(picture)._asdict()
            break
        return row

    def _picture(self, file: Picture) -> tuple[bytes, Image.Image]:
        if file.scene is not None:
            picture = draw(file.scene, min(SCENE_SIDE, self.short_side))
            return encode_jpeg(picture, self.jpeg_quality, full_colour=True), picture
        assert file.path is not None, "a picture has a path or a scene"
        return stored_picture(file.path, self.short_side, self.jpeg_quality)


@dataclass(frozen=True)
class TextUnit(Unit):
    """Parses texts."""

    what: ClassVar[str] = "texts"
    schema: ClassVar[pa.Schema] = TEXT_SCHEMA

    photographs: tuple[tuple[StoredText, ...], ...]
    pipeline: str

    @classmethod
    def of(cls, folder: Path, photographs: Iterable[tuple[StoredText, ...]], pipeline: str) -> "TextUnit":
        content = tuple(photographs)
        versions = [importlib.metadata.version(name) for name in ("spacy", pipeline)]
        # Of `negatives` only the class Parse is used here, and PARSE_FORMAT is its version.
        key = _digest(content, pipeline, versions, PARSE_FORMAT, _code("sources/units.py", "sources/parser.py"))
        return cls(folder / f"texts-{key}.arrow", sum(map(len, content)), content, pipeline)

    def make(self) -> pa.RecordBatch:
        captions = [text.text for texts in self.photographs for text in texts if text.matches]
        parses = iter(load_parser(self.pipeline).parse(captions))
        rows = [self._row(texts, parses) for texts in self.photographs]
        return pa.RecordBatch.from_pylist(rows, TEXT_SCHEMA)

    @staticmethod
    def _row(texts: Sequence[StoredText], parses: Iterator[Parse]) -> dict[str, Any]:
        row: dict[str, list] = {"captions": [], "mismatches": []}
        for text in texts:
            shared = {"text": text.text, "kind": text.kind, "source": text.source}
            if text.matches:
                parse = next(parses)._asdict()
                del parse["text"]
                regions = [region._asdict() for region in text.regions]
                row["captions"].append({**shared, "parse": parse, "regions": regions})
            else:
                row["mismatches"].append(shared)
        return row


class Chunk(NamedTuple):
    """The finished units of up to ROWS_PER_UNIT photographs."""

    ranks: range
    pictures: Path
    texts: Path


def is_temporary(error: Exception) -> bool:
    """Whether the machine is at fault and not the picture (memory, disk): a resumed build can succeed."""
    if isinstance(error, OSError) and error.errno is not None:  # Pillow's own errors have no number
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP)
    return isinstance(error, MemoryError)


def why_left_out(error: Exception) -> str:
    """The reason in the manifest, for the owner of the picture."""
    match error:
        case FileNotFoundError():
            return "the file no longer exists"
        case OSError(errno=int(), strerror=str(reason)):  # str(error) contains a path of this machine
            return reason
        case ValueError() | OSError():
            return " ".join(str(error).split())
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _size_and_time(path: Path | None) -> tuple[int, int] | None:
    """Size and modification time of a file: if one of them changes, the picture is read again."""
    with contextlib.suppress(OSError):
        return None if path is None else ((stat := path.stat()).st_size, stat.st_mtime_ns)
    return None


def _pixels(path: Path | None) -> float:
    """Number of pixels by the header. Infinite if it cannot be read: the file is then tried first, and reported."""
    try:
        with Image.open(path or "") as image:
            return image.width * image.height
    except Exception:  # a decoder can raise any error
        return float("inf")


@functools.cache
def _code(*patterns: str) -> str:
    """Hash of the source files that a unit depends on: if they change, the unit is made again.

    patterns: as for Path.glob, relative to the root of the program.
    """
    root = Path(__file__).parent.parent
    found = {pattern: sorted(root.glob(pattern)) for pattern in patterns}
    assert all(found.values()), f"no file for a pattern: {found}"
    files = [file for pattern in patterns for file in found[pattern]]
    return _digest([(file.relative_to(root).as_posix(), file.read_bytes()) for file in files])


def _digest(*content: object) -> str:
    return hashlib.blake2b(repr(content).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def stored_texts(rows: pa.Table) -> Iterator[tuple[StoredText, ...]]:
    """The captions of each row of a database, in any parse format."""
    captions = rows["captions"].combine_chunks()
    values = zip(*(captions.flatten().field(name).to_pylist() for name in ("text", "kind", "source", "regions")))
    for count in captions.value_lengths().to_pylist():
        yield tuple(
            StoredText(text, kind, source, True, from_dicts(regions))
            for text, kind, source, regions in islice(values, count)
        )
