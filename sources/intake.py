"""All items of all sources, joined by the identity of the photograph.

The items are stored in a small SQLite file, so that memory does not grow with the data: 103 MB are enough for 118,000
photographs of COCO with 1.2 million records of ShareGPT4V (1.2 GB) and 134,000 narratives. The file is temporary:
every build fills it again, also when it resumes.

Words used here: a *source* is one dataset; a *mention* is an identity in one source; a *photograph* is an identity with
at least one file and one true text; its *rank* is its place in the order of the database, from 1. A *guest* is a
photograph whose texts are stored in the row of another one with the same picture, its *host*. `sources.numbers`,
`sources.regions`, `sources.splits` and `sources.copies` write into the same SQLite file, and `sources.manifest` counts
its contents.
"""

import hashlib
import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.regions import Region, carry, from_lists
from sources.files import nfc
from sources.items import Grounded, Item, LeftOut, Listed, Note, Picture, Source, Text
from sources.registry import SOURCES
from Tokenizer_lib import drop_markup, split_words

LONGEST_CAPTION = 10_000  # characters; human narratives stay below 3,000, and spaCy refuses texts from 1,000,000

# texts.repeats: the earlier file with the same text. texts.host_has_it: the host has the same text.
# part: which of several files with this identity it is or describes. disputed: the identities of different pictures
# that were found with one number, and that number as an identity.
# grounded.fits: 1 if a stored text has the words of the sentence, 0 if none has, NULL if the photograph has no row.
# photographs.grouping: `group` of the row. photographs.host: rank of the host. photographs.usable: 0 if no file of the
# photograph can be used.
_TABLES = """
CREATE TABLE sources (source INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE mentions (source INTEGER, identity TEXT, place TEXT, PRIMARY KEY (source, identity)) WITHOUT ROWID;
CREATE TABLE files (identity TEXT, source INTEGER, image_id TEXT, path TEXT, split TEXT, scene TEXT,
    part TEXT, UNIQUE (identity, source, image_id, path));
CREATE TABLE texts (id INTEGER PRIMARY KEY, identity TEXT, source INTEGER, file TEXT, place TEXT, kind TEXT, text TEXT,
    matches INTEGER, digest INTEGER, regions TEXT, repeats TEXT, host_has_it INTEGER DEFAULT 0, part TEXT);
CREATE TABLE grounded (id INTEGER PRIMARY KEY, identity TEXT, source INTEGER, place TEXT, text TEXT, regions TEXT,
    fits INTEGER);
CREATE TABLE lists (identity TEXT, source INTEGER, split TEXT, part TEXT);
CREATE TABLE disputed (number TEXT, identity TEXT, PRIMARY KEY (number, identity)) WITHOUT ROWID;
CREATE TABLE official (identity TEXT PRIMARY KEY, strictness INTEGER) WITHOUT ROWID;
CREATE TABLE photographs (rank INTEGER PRIMARY KEY, identity TEXT UNIQUE, source INTEGER, image_id TEXT,
    grouping TEXT, split TEXT, host INTEGER, usable INTEGER DEFAULT 1);
CREATE TABLE left_out (source INTEGER, what TEXT, place TEXT, reason TEXT, captions INTEGER, photographs INTEGER);
"""

_COLLECTION = "substr(identity, 1, instr(identity, ':') - 1)"
_TEXTS_OF_MENTION = """((SELECT count(*) FROM texts WHERE texts.identity = mentions.identity
    AND texts.source = mentions.source AND repeats IS NULL) + (SELECT count(*) FROM grounded
    WHERE grounded.identity = mentions.identity AND grounded.source = mentions.source AND fits IS NOT 0))"""


_ORDER_OF_FILES = "source, image_id, path"


class StoredText(NamedTuple):
    """A text as it is stored in a row."""

    text: str
    kind: str
    source: str
    matches: bool
    regions: tuple[Region, ...] = ()


class Photograph(NamedTuple):
    """All that the sources know of one photograph."""

    rank: int
    """Its place in the database, counted before copies are joined and damaged pictures are left out."""
    files: tuple[Picture, ...]
    sources: tuple[str, ...]
    """The dataset of each file."""
    texts: tuple[StoredText, ...]


class Row(NamedTuple):
    """Split, group and guests of one photograph."""

    rank: int
    split: str
    group: str
    guests: tuple[int, ...]
    """Ranks of the photographs whose texts are added to this row."""


class Intake:
    """The items of all sources; the module's docstring defines the words."""

    def __init__(self, path: Path, sources: Mapping[str, Source] = SOURCES):
        path.unlink(missing_ok=True)
        self.sources = sources
        """All known sources by name, also those that are not read."""
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA journal_mode = OFF")  # a temporary file needs no protection against a crash
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(_TABLES)
        self.names: list[str] = []
        """The sources that are read; the column `source` of the tables is an index into this list."""
        self.unread: Counter[tuple[str, str]] = Counter()
        """(source, "photographs" or "captions") -> how many its reader left out; no other table contains them."""
        self.with_markup: Counter[str] = Counter()
        """Source -> how many of its texts were stored without their entities, tags or addresses of web pages."""
        self.notes: list[str] = []
        self.overlaps: dict[str, list[dict[str, Any]]] = {"by number": [], "by picture": []}
        self.held_out: dict[str, Any] | None = None

    def close(self) -> None:
        self.db.close()

    # Filling

    def add_source(self, name: str) -> None:
        self.names.append(name)
        self.db.execute("INSERT INTO sources VALUES (?, ?)", (len(self.names) - 1, name))

    def add(self, source: str, item: Item) -> None:
        """Store one item of a reader."""
        number = self.names.index(source)
        match item:
            case Picture() if not _is_utf8(str(item.path)):
                name = str(item.path).encode(errors="surrogateescape").decode(errors="backslashreplace")
                self.add(source, LeftOut("picture", name, "the file name is not UTF-8", photographs=1))
            case Picture():
                path = None if item.path is None else str(item.path)
                scene = None if item.scene is None else json.dumps(item.scene)
                self._mention(number, item.identity, where(item))
                values = (item.identity, number, nfc(item.image_id), path, item.split, scene, item.part)
                self.db.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            case Text() | Grounded() if (plain := drop_markup(item.text)) != item.text and split_words(plain):
                self.with_markup[source] += 1
                carried = carry(item.regions, item.text, plain)
                self.add(source, item._replace(text=plain, regions=carried))
            case Text():
                words = [word.text for word in split_words(item.text)]
                if problem := caption_problem(item.text, len(words)):
                    self.add(source, LeftOut("caption", item.where, problem, captions=1))
                    return
                self._mention(number, item.identity, item.where)
                digest = int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), signed=True)
                file, regions = item.where.rpartition(":")[0], json.dumps(item.regions)
                self.db.execute(
                    "INSERT INTO texts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?)",
                    (
                        *(item.identity, number, file, item.where, item.kind, item.text, item.matches, digest),
                        *(regions, item.part),
                    ),
                )
            case Grounded():
                self._mention(number, item.identity, item.where)
                self.db.execute(
                    "INSERT INTO grounded VALUES (NULL, ?, ?, ?, ?, ?, NULL)",
                    (item.identity, number, item.where, item.text, json.dumps(item.regions)),
                )
            case Listed():
                self._mention(number, item.identity, item.where)
                listed = (item.identity, number, item.split, item.part)
                self.db.execute("INSERT INTO lists VALUES (?, ?, ?, ?)", listed)
            case LeftOut():
                self.unread.update({(source, "photographs"): item.photographs, (source, "captions"): item.captions})
                self.leave_out(source, item)
            case Note():
                self.notes.append(item.text)

    def _mention(self, source: int, identity: str, place: str) -> None:
        self.db.execute("INSERT OR IGNORE INTO mentions VALUES (?, ?, ?)", (source, identity, place))

    def leave_out(self, source: str, entry: LeftOut) -> None:
        values = (entry.what, entry.where, entry.reason, entry.captions, entry.photographs)
        self.db.execute("INSERT INTO left_out VALUES (?, ?, ?, ?, ?, ?)", (self.names.index(source), *values))

    # Numbers of several pictures, see `sources.numbers`

    def files_of_one_identity(self) -> list[tuple[str, tuple[Path, ...]]]:
        """(identity, files) of each identity that has several files, in the order of `separate`."""
        found = self.db.execute(
            f"""SELECT identity, path FROM files WHERE identity IN (SELECT identity FROM files WHERE path IS NOT NULL
            GROUP BY identity HAVING count(*) > 1) ORDER BY identity, {_ORDER_OF_FILES}"""
        )
        groups = itertools.groupby(found, key=lambda row: row[0])
        return [(identity, tuple(Path(path) for _, path in rows)) for identity, rows in groups]

    def separate(self, number: str, pictures: Sequence[int]) -> None:
        """Give the files of one identity, `number`, an identity for each picture, with the texts that describe it.

        pictures: the number of the picture that each file shows. A text describes the only picture of its source, or
        that of its part. Other texts keep the identity `number`, which has no file any more.
        """
        files = self.db.execute(
            f"SELECT rowid, source, path, part FROM files WHERE identity = ? ORDER BY {_ORDER_OF_FILES}", (number,)
        ).fetchall()
        names: dict[int, str] = {}  # picture -> its identity
        for (row, source, path, _), picture in zip(files, pictures, strict=True):
            place = f"{Path(path).parent.name}/{Path(path).name}"
            identity = names.setdefault(picture, f"{number}@{self.names[source]}/{place}")
            self.db.execute("UPDATE files SET identity = ? WHERE rowid = ?", (identity, row))
            self._mention(source, identity, place)
        self.db.executemany("INSERT OR IGNORE INTO disputed VALUES (?, ?)", [(number, name) for name in names.values()])
        shown = [(source, part, names[picture]) for (_, source, _, part), picture in zip(files, pictures)]
        for table in ("texts", "lists"):
            column = "place" if table == "texts" else "''"
            rows = self.db.execute(f"SELECT rowid, source, part, {column} FROM {table} WHERE identity = ?", (number,))
            for row, source, part, place in rows.fetchall():
                described = {name for its, of, name in shown if its == source and (part is None or of == part)}
                if len(described) == 1:
                    identity = described.pop()
                    self.db.execute(f"UPDATE {table} SET identity = ? WHERE rowid = ?", (identity, row))
                    self._mention(source, identity, place)
        self.db.execute(
            """DELETE FROM mentions WHERE identity = ?1 AND source NOT IN (
            SELECT source FROM texts WHERE identity = ?1 UNION SELECT source FROM grounded WHERE identity = ?1
            UNION SELECT source FROM lists WHERE identity = ?1)""",
            (number,),
        )

    # Joining

    def join(self) -> None:
        """After the last item: mark repeated texts, list the photographs, and leave out incomplete ones."""
        self.db.executescript(
            """CREATE INDEX texts_of ON texts (identity); CREATE INDEX listed ON lists (identity);
            CREATE INDEX grounded_of ON grounded (identity);"""
        )
        self._find_repeated_texts()
        self.db.execute(
            """INSERT INTO photographs (identity, source, image_id)
            SELECT identity, source, image_id FROM (
                SELECT identity, source, image_id, min(printf('%03d %s', source, image_id)) AS place
                FROM files GROUP BY identity)
            WHERE identity IN (SELECT identity FROM texts WHERE matches AND repeats IS NULL) ORDER BY place"""
        )
        self._leave_out_incomplete()
        self._note_shared_photographs()

    def _find_repeated_texts(self) -> None:
        # If two files have the same text for one photograph (Flickr8k and Flickr30k, COCO 2014 and 2017), it is stored
        # once. A text that is twice in one file stays twice: published protocols count all five captions.
        self.db.execute(
            """UPDATE texts SET repeats = (SELECT file FROM texts first WHERE first.identity = texts.identity
            AND first.digest = texts.digest AND first.kind = texts.kind AND first.matches = texts.matches
            AND first.file <> texts.file AND first.id < texts.id ORDER BY first.id LIMIT 1)"""
        )
        self.db.execute(
            """INSERT INTO left_out SELECT source, 'caption', place, 'the same text as in ' || repeats, 1, 0
            FROM texts WHERE repeats IS NOT NULL"""
        )

    def _leave_out_incomplete(self) -> None:
        """Leave out pictures without a text, and texts without a picture.

        All texts about a dataset whose pictures were not given are one entry.
        """
        collections = {self.sources[name].collection for name in self.names}
        absent = Counter[tuple[str, str]]()
        texts_of_absent = Counter[tuple[str, str]]()
        incomplete = self.db.execute(
            f"""SELECT name, identity, {_COLLECTION}, place,
            EXISTS (SELECT 1 FROM files WHERE files.identity = mentions.identity), {_TEXTS_OF_MENTION}
            FROM mentions JOIN sources USING (source) WHERE identity NOT IN (SELECT identity FROM photographs)
            ORDER BY source, place"""
        )
        disputed = {number for (number,) in self.db.execute("SELECT DISTINCT number FROM disputed")}
        for source, identity, collection, place, has_file, texts in incomplete:
            if collection not in collections:
                absent[source, collection] += 1
                texts_of_absent[source, collection] += texts
                continue
            if identity in disputed:
                reason = f"several different pictures have the number {identity}; nothing says which one is described"
            elif not has_file:
                reason = f"there is no picture of {identity} in the folders that were read"
            else:
                reason = "all its texts are labelled as mismatches" if texts else "it has no usable caption"
            self.leave_out(source, LeftOut("picture", place, reason, texts, 1))
        for (source, collection), n in absent.items():
            reason = f"describes pictures of {collection}, but no folder of {collection} was given"
            texts = texts_of_absent[source, collection]
            self.leave_out(source, LeftOut("collection", collection, reason, texts, n))

    def _note_shared_photographs(self) -> None:
        """Note the photographs with several files, in one source or in two."""
        for name, n in self.db.execute(
            """SELECT name, count(*) FROM (SELECT source FROM files GROUP BY source, identity HAVING count(*) > 1)
            JOIN sources USING (source) GROUP BY source"""
        ):
            self.notes.append(f"{name}: {n:,} photographs have several files; the largest of each is stored")
        for a, b, n in self.db.execute(
            """SELECT a.name, b.name, count(*) FROM (SELECT DISTINCT identity, source FROM files) f
            JOIN (SELECT DISTINCT identity, source FROM files) g ON f.identity = g.identity AND f.source < g.source
            JOIN sources a ON a.source = f.source JOIN sources b ON b.source = g.source GROUP BY f.source, g.source"""
        ):
            self.overlaps["by number"].append({"sources": [a, b], "photographs": n})

    # Reading back

    def count(self, what: str) -> int:
        """Number of `photographs`, or of the `texts` that belong to them."""
        query = {
            "photographs": "SELECT count(*) FROM photographs",
            "texts": """SELECT count(*) FROM texts WHERE repeats IS NULL
                AND identity IN (SELECT identity FROM photographs)""",
        }[what]
        return self.db.execute(query).fetchone()[0]

    def chunks(self, size: int) -> Iterator[list[Photograph]]:
        """All photographs in the order of the database, `size` at a time."""
        last = self.count("photographs")
        for start in range(1, last + 1, size):
            span = (start, start + size - 1)
            files, texts = defaultdict[int, list[tuple]](list), defaultdict[int, list[StoredText]](list)
            for rank, *file in self.db.execute(
                """SELECT rank, name, files.identity, files.image_id, path, files.split, scene FROM photographs
                JOIN files USING (identity) JOIN sources ON sources.source = files.source
                WHERE rank BETWEEN ? AND ? ORDER BY rank, files.source, path""",
                span,
            ):
                files[rank].append(tuple(file))
            for rank, text, kind, name, matches, regions in self.db.execute(
                """SELECT rank, text, kind, name, matches, regions FROM photographs JOIN texts USING (identity)
                JOIN sources ON sources.source = texts.source WHERE rank BETWEEN ? AND ? AND repeats IS NULL
                ORDER BY rank, texts.source, texts.id""",
                span,
            ):
                texts[rank].append(StoredText(text, kind, name, bool(matches), from_lists(json.loads(regions))))
            yield [
                Photograph(
                    rank,
                    tuple(
                        Picture(identity, image_id, path and Path(path), split, scene and json.loads(scene))
                        for _, identity, image_id, path, split, scene in files[rank]
                    ),
                    tuple(name for name, *_ in files[rank]),
                    tuple(texts[rank]),
                )
                for rank in range(start, min(start + size, last + 1))
            ]

    def kept_texts(self, rank: int) -> list[tuple[bool, bool]]:
        """(true of the picture, to be added to the host's row) for each text of a guest, in the order of `chunks`."""
        query = """SELECT matches, host_has_it FROM photographs JOIN texts USING (identity)
            WHERE rank = ? AND repeats IS NULL ORDER BY texts.source, texts.id"""
        return [(bool(matches), not host_has_it) for matches, host_has_it in self.db.execute(query, (rank,))]

    def leave_out_photograph(self, rank: int, reasons: Mapping[str, str]) -> None:
        """Leave out a photograph that has no usable file.

        reasons: source -> what is wrong with its file. A source that has only texts gets the first reason.
        """
        self.db.execute("UPDATE photographs SET usable = 0 WHERE rank = ?", (rank,))
        for source, place, texts in self.db.execute(
            f"""SELECT name, place, {_TEXTS_OF_MENTION}
            FROM mentions JOIN sources USING (source) JOIN photographs USING (identity) WHERE rank = ?""",
            (rank,),
        ).fetchall():
            reason = reasons.get(source) or next(iter(reasons.values()))
            self.leave_out(source, LeftOut("picture", place, reason, texts, 1))

    def rows(self, first: int, last: int) -> list[Row]:
        """The rows of the photographs of ranks `first` to `last`; a guest and an unusable photograph have no row."""
        guests = defaultdict[int, list[int]](list)
        for host, rank in self.db.execute(
            "SELECT host, rank FROM photographs WHERE host BETWEEN ? AND ? ORDER BY rank", (first, last)
        ):
            guests[host].append(rank)
        rows = self.db.execute(
            """SELECT rank, split, grouping FROM photographs WHERE rank BETWEEN ? AND ? AND usable
            AND host IS NULL ORDER BY rank""",
            (first, last),
        )
        return [Row(rank, split, group, tuple(guests[rank])) for rank, split, group in rows]

    def left_out(self) -> Iterator[dict[str, Any]]:
        """Everything that was left out, as the manifest lists it."""
        keys = ("source", "what", "where", "reason", "captions", "photographs")
        for values in self.db.execute(
            """SELECT name, what, place, reason, captions, photographs FROM left_out JOIN sources USING (source)
            ORDER BY source, left_out.rowid"""
        ):
            yield dict(zip(keys, values))


def where(picture: Picture) -> str:
    """Place of a picture in its dataset: folder and file name, which are the same on every machine."""
    return f"{picture.path.parent.name}/{picture.path.name}" if picture.path else picture.image_id


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def caption_problem(text: str, words: int) -> str | None:
    """Why a caption cannot be used, or None. words: how many it has."""
    if not text:
        return "the caption is empty"
    if len(text) > LONGEST_CAPTION:
        return f"the caption has {len(text):,} characters; the limit is {LONGEST_CAPTION:,}"
    return None if words else f"the caption {text!r} contains no word"
