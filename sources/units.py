"""Units of work: what a worker makes of some photographs or of their texts, and the columns of the database.

A unit is a file named after a hash of all that it is made of, and takes that name when it is whole. So whoever needs
a unit looks whether its file is there: it is never made twice, and a half-written one is never read.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
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
from common.storage import PARSE_FORMAT
from Config import DatabaseConfig
from negatives.text import Parse
from sources.intake import Photograph, StoredText, where
from sources.items import Picture
from sources.parser import load_parser
from sources.scenes import draw

ROWS_PER_UNIT = 100  # about 2 MB and half a second of work: what is lost when a build is killed
SCENE_SIDE = 128  # pixels

_TEXT = {"text": pa.string(), "kind": pa.string(), "source": pa.string()}
_PARSE = {
    **{"start": pa.list_(pa.int32()), "end": pa.list_(pa.int32()), "lemma": pa.list_(pa.string())},
    **{"tag": pa.list_(pa.string()), "head": pa.list_(pa.int32()), "dep": pa.list_(pa.string())},
}
TEXT_SCHEMA = pa.schema(
    {
        "captions": pa.list_(pa.struct({**_TEXT, "parse": pa.struct(_PARSE)})),
        "mismatches": pa.list_(pa.struct(_TEXT)),  # known to be untrue of the picture
    }
)
PICTURE_SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "image_id": pa.string(),
        "source": pa.string(),
        "scene": pa.string(),
        "bits": pa.binary(),
        "colours": pa.binary(),
        "problems": pa.list_(pa.struct({"source": pa.string(), "where": pa.string(), "reason": pa.string()})),
    }
)
DATABASE_SCHEMA = pa.schema(
    [
        *(PICTURE_SCHEMA.field(name) for name in ("image", "image_id", "source")),
        pa.field("split", pa.string()),
        pa.field("group", pa.string()),
        *TEXT_SCHEMA,
        PICTURE_SCHEMA.field("scene"),
    ]
)


def database_features() -> Any:
    """Columns of the database as `datasets.Features`; workers do without that library, which takes them 0.5 s."""
    from datasets import Features, Image

    return Features({**Features.from_arrow_schema(DATABASE_SCHEMA), "image": Image()})


@dataclass(frozen=True)
class Unit(ABC):
    """Some photographs, and the file that their part of the work goes to."""

    what: ClassVar[str]
    """For the progress bar."""

    path: Path
    size: int
    """How many of them."""

    def run(self) -> None:
        """Do the work, unless it is done. The file appears when it is whole."""
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
    def make(self) -> pa.RecordBatch: ...


@dataclass(frozen=True)
class PictureUnit(Unit):
    """Decodes, reduces and fingerprints the pictures of some photographs."""

    what: ClassVar[str] = "pictures"

    photographs: tuple[tuple[tuple[Picture, ...], tuple[str, ...]], ...]
    """Files and their sources."""
    short_side: int
    jpeg_quality: int

    @classmethod
    def of(cls, folder: Path, photographs: Sequence[Photograph], settings: DatabaseConfig) -> "PictureUnit":
        content = tuple((photograph.files, photograph.sources) for photograph in photographs)
        made_of = [
            (source, file.image_id, file.path, file.scene, _state_of(file.path))
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
        """The best file of a photograph that can be used; the reasons for which others cannot."""
        row: dict[str, Any] = {"problems": []}
        for file, source in sorted(zip(files, sources), key=lambda pair: -_pixels(pair[0].path) if files[1:] else 0):
            try:
                data, picture = self._picture(file)
            except Exception as error:  # decoders raise anything on damaged files; one must not end the build
                if passes(error):
                    raise
                problem = {"source": source, "where": where(file), "reason": why_left_out(error)}
                row["problems"].append(problem)
                continue
            name = f"{file.image_id}.jpg" if file.path is None else file.path.name
            row |= {"image": {"bytes": data, "path": name}, "image_id": file.image_id, "source": source}
            if file.scene is not None:
                row["scene"] = json.dumps(file.scene)
            else:  # scenes are different by construction
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
    """Parses the texts of some photographs."""

    what: ClassVar[str] = "texts"

    photographs: tuple[tuple[StoredText, ...], ...]
    pipeline: str

    @classmethod
    def of(cls, folder: Path, photographs: Iterable[tuple[StoredText, ...]], pipeline: str) -> "TextUnit":
        content = tuple(photographs)
        versions = [importlib.metadata.version(name) for name in ("spacy", pipeline)]
        # Not the code of the negatives, of which PARSE_FORMAT stands for the one class that is used here.
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
                row["captions"].append({**shared, "parse": parse})
            else:
                row["mismatches"].append(shared)
        return row


class Chunk(NamedTuple):
    """The finished units of up to ROWS_PER_UNIT photographs."""

    ranks: range
    pictures: Path
    texts: Path


def passes(error: Exception) -> bool:
    """The trouble is not the picture's: a build that goes on later may find it well."""
    if isinstance(error, OSError) and error.errno is not None:  # Pillow's own errors have no number
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP)
    return isinstance(error, MemoryError)


def why_left_out(error: Exception) -> str:
    """The reason in the manifest, in words that the owner of the picture can use."""
    match error:
        case FileNotFoundError():
            return "the file has vanished"
        case OSError(errno=int(), strerror=str(reason)):  # str(error) would name a path of this machine
            return reason
        case ValueError() | OSError():
            return str(error)
    return f"{type(error).__name__}: {error}"


def _state_of(path: Path | None) -> tuple[int, int] | None:
    """Size and time of a file: a changed picture is made again."""
    with contextlib.suppress(OSError):
        return None if path is None else ((stat := path.stat()).st_size, stat.st_mtime_ns)
    return None


def _pixels(path: Path | None) -> float:
    """Size of a picture by its header; infinite if that cannot be read, so that the file's problem is noted."""
    try:
        with Image.open(path or "") as image:
            return image.width * image.height
    except Exception:  # whatever is wrong with it
        return float("inf")


@functools.cache
def _code(*patterns: str) -> str:
    """Hash of the source files that make a unit, so that another version of the program makes another unit.

    patterns: as for Path.glob, below the root of the program.
    """
    root = Path(__file__).parent.parent
    found = {pattern: sorted(root.glob(pattern)) for pattern in patterns}
    assert all(found.values()), f"no file for a pattern: {found}"
    files = [file for pattern in patterns for file in found[pattern]]
    return _digest([(file.relative_to(root).as_posix(), file.read_bytes()) for file in files])


def _digest(*content: object) -> str:
    return hashlib.blake2b(repr(content).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def read_arrow(path: Path) -> pa.Table:
    """A unit or a file of the database; what is not looked at is not read from the disk."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def stored_texts(rows: pa.Table) -> Iterator[tuple[StoredText, ...]]:
    """The true texts of each photograph in some rows of a database, whatever the format of their parses."""
    captions = rows["captions"].combine_chunks()
    values = zip(*(captions.flatten().field(name).to_pylist() for name in ("text", "kind", "source")))
    for count in captions.value_lengths().to_pylist():
        yield tuple(StoredText(text, kind, source, True) for text, kind, source in islice(values, count))
