"""What the readers gave, joined by the identity of the photograph; splits, copies, and counts that add up.

All items go into a small SQLite file, so that memory does not grow with the data: 118,000 photographs of COCO with
1.2 million records of ShareGPT4V (1.2 GB) and 134,000 narratives are taken in within 103 MB. The file is scratch: it is
made anew whenever a build starts or goes on.

Words used here: a *source* is one dataset; a *mention* is a photograph as one source knows it; a *photograph* is an
identity with at least one file and one true text; several photographs that turn out to be the same picture are one
*group*, which is in one split; a *guest* hands its texts to another photograph, its *host*, and gets no row of its own.
"""

import hashlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common.storage import SPLITS
from sources.readers import (
    PICTURE_ENDINGS,
    Item,
    LeftOut,
    Listed,
    Note,
    Picture,
    Text,
    coco_identity,
    flickr_identity,
    read_lines,
)
from Tokenizer_lib import split_words

SHARES = (0.75, 0.15, 0.10)  # of SPLITS, where no official list decides
COLLECTIONS = {"flickr30k": "flickr", "flickr8k": "flickr", "scenes": ""}  # source -> how its identities begin
LONGEST_CAPTION = 10_000  # characters; human narratives stay below 3,000, and spaCy refuses texts from 1,000,000

_TABLES = """
CREATE TABLE sources (source INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE mentions (source INTEGER, identity TEXT, place TEXT, PRIMARY KEY (source, identity)) WITHOUT ROWID;
CREATE TABLE files (identity TEXT, source INTEGER, image_id TEXT, path TEXT, split TEXT, scene TEXT,
    UNIQUE (identity, source, image_id, path));
CREATE TABLE texts (id INTEGER PRIMARY KEY, identity TEXT, source INTEGER, file TEXT, place TEXT, kind TEXT, text TEXT,
    matches INTEGER, digest INTEGER, repeats TEXT,
    again INTEGER DEFAULT 0);
CREATE TABLE lists (identity TEXT, source INTEGER, split TEXT);
CREATE TABLE official (identity TEXT PRIMARY KEY, strictness INTEGER) WITHOUT ROWID;
CREATE TABLE photographs (rank INTEGER PRIMARY KEY, identity TEXT UNIQUE, source INTEGER, image_id TEXT,
    grouping TEXT, split TEXT, host INTEGER, lost TEXT);
CREATE TABLE left_out (source INTEGER, what TEXT, place TEXT, reason TEXT, captions INTEGER, photographs INTEGER);
"""

_COLLECTION = "substr(identity, 1, instr(identity, ':') - 1)"
_TEXTS_OF_MENTION = """(SELECT count(*) FROM texts WHERE texts.identity = mentions.identity
    AND texts.source = mentions.source AND repeats IS NULL)"""


class StoredText(NamedTuple):
    """A text as it goes into a row."""

    text: str
    kind: str
    source: str
    matches: bool


class Photograph(NamedTuple):
    """All that the sources know of one photograph."""

    rank: int
    """Its place in the database, before copies are joined and damaged pictures left out."""
    files: tuple[Picture, ...]
    sources: tuple[str, ...]
    """The dataset of each file."""
    texts: tuple[StoredText, ...]


class Row(NamedTuple):
    """What was decided about one photograph."""

    rank: int
    split: str
    group: str
    guests: tuple[int, ...]
    """Ranks of the photographs whose texts it takes over."""


class _Copy(NamedTuple):
    identity: str
    name: str
    sources: set[int]


class Intake:
    """Everything that the sources hold; see the module's docstring for the words."""

    def __init__(self, path: Path):
        path.unlink(missing_ok=True)
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA journal_mode = OFF")  # scratch: what is lost is read again
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(_TABLES)
        self.names: list[str] = []
        self.unread: Counter[tuple[str, str]] = Counter()
        """(source, "photographs" or "captions") -> how many were seen that could not even be taken in."""
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
        """Take one item of a reader."""
        number = self.names.index(source)
        match item:
            case Picture() if not _is_utf8(str(item.path)):
                told = str(item.path).encode(errors="surrogateescape").decode(errors="backslashreplace")
                self.add(source, LeftOut("picture", told, "the name of the file is not UTF-8", photographs=1))
            case Picture():
                path = None if item.path is None else str(item.path)
                scene = None if item.scene is None else json.dumps(item.scene)
                self._mention(number, item.identity, where(item))
                values = (item.identity, number, item.image_id, path, item.split, scene)
                self.db.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?)", values)
            case Text():
                words = [word.text for word in split_words(item.text)]
                if problem := caption_problem(item.text, len(words)):
                    self.add(source, LeftOut("caption", item.where, problem, captions=1))
                    return
                self._mention(number, item.identity, item.where)
                digest = int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), signed=True)
                file = item.where.rpartition(":")[0]
                self.db.execute(
                    "INSERT INTO texts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)",
                    (item.identity, number, file, item.where, item.kind, item.text, item.matches, digest),
                )
            case Listed():
                self._mention(number, item.identity, item.where)
                self.db.execute("INSERT INTO lists VALUES (?, ?, ?)", (item.identity, number, item.split))
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

    # Joining

    def join(self) -> None:
        """Once all items are in: find repeated texts and the photographs, and leave out what has no partner."""
        self.db.executescript("CREATE INDEX texts_of ON texts (identity); CREATE INDEX listed ON lists (identity);")
        # The same text in two files about one photograph (Flickr8k within Flickr30k, COCO 2014 within 2017) is stored
        # once. Twice in one file it stays twice: published protocols count all five captions of a photograph.
        self.db.execute(
            """UPDATE texts SET repeats = (SELECT file FROM texts first WHERE first.identity = texts.identity
            AND first.digest = texts.digest AND first.kind = texts.kind AND first.matches = texts.matches
            AND first.file <> texts.file AND first.id < texts.id ORDER BY first.id LIMIT 1)"""
        )
        self.db.execute(
            """INSERT INTO left_out SELECT source, 'caption', place, 'the same text as in ' || repeats, 1, 0
            FROM texts WHERE repeats IS NOT NULL"""
        )
        self.db.execute(
            """INSERT INTO photographs (identity, source, image_id)
            SELECT identity, source, image_id FROM (
                SELECT identity, source, image_id, min(printf('%03d %s', source, image_id)) AS place
                FROM files GROUP BY identity)
            WHERE identity IN (SELECT identity FROM texts WHERE matches AND repeats IS NULL) ORDER BY place"""
        )
        collections = {COLLECTIONS.get(name, name) for name in self.names}
        strangers = Counter[tuple[str, str]]()
        texts_of_strangers = Counter[tuple[str, str]]()
        partnerless = self.db.execute(
            f"""SELECT name, identity, {_COLLECTION}, place,
            EXISTS (SELECT 1 FROM files WHERE files.identity = mentions.identity), {_TEXTS_OF_MENTION}
            FROM mentions JOIN sources USING (source) WHERE identity NOT IN (SELECT identity FROM photographs)
            ORDER BY source, place"""
        )
        for source, identity, collection, place, has_file, texts in partnerless:
            if collection not in collections:
                strangers[source, collection] += 1
                texts_of_strangers[source, collection] += texts
                continue
            if not has_file:
                reason = f"there is no picture of {identity} in the folders that were read"
            else:
                reason = "all its texts are labelled as mismatches" if texts else "it has no usable caption"
            self.leave_out(source, LeftOut("picture", place, reason, texts, 1))
        for (source, collection), n in strangers.items():
            reason = f"describes pictures of {collection}, of which no folder was given"
            lost = texts_of_strangers[source, collection]
            self.leave_out(source, LeftOut("collection", collection, reason, lost, n))
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

    def official_splits(self, hold_out: Path | None = None) -> None:
        """Find the official split of every photograph that has one; the strictest counts.

        hold_out: a file with ids or file names, one a line; those photographs go to test.
        """
        for number, name in enumerate(self.names):
            self._official_splits_of(number, name)
        if hold_out is not None:
            self._hold_out(hold_out)

    def _official_splits_of(self, number: int, name: str) -> None:
        """Note the splits that one source gives; without test photographs its validation list is divided."""
        told = """SELECT identity, max(strict) AS strict, count(DISTINCT strict) AS lists FROM (
            SELECT identity, strictness(split) AS strict FROM lists WHERE source = ?1 UNION ALL
            SELECT identity, strictness(split) AS strict FROM files WHERE source = ?1 AND split IS NOT NULL)
            GROUP BY identity"""
        self.db.create_function("strictness", 1, SPLITS.index, deterministic=True)
        self.db.execute("DROP TABLE IF EXISTS told")
        self.db.execute(f"CREATE TEMP TABLE told AS {told}".replace("?1", str(number)))
        (twice,) = self.db.execute("SELECT count(*) FROM told WHERE lists > 1").fetchone()
        if twice:
            self.notes.append(f"{name}: {twice} photographs are in several official lists; the strictest counts")
        has_files = "EXISTS (SELECT 1 FROM files WHERE files.identity = told.identity AND source = ?)"
        query = f"SELECT coalesce(max(strict), 0), count(*) FROM told WHERE {has_files}"
        strictest, present = self.db.execute(query, (number,)).fetchone()
        middle = [identity for (identity,) in self.db.execute("SELECT identity FROM told WHERE strict = 1")]
        # The split column of the user's own pairs is meant as it stands.
        if present and len(middle) > 1 and strictest < 2 and name != "pairs":
            second = self._second_half(number, middle)
            self.db.executemany("UPDATE told SET strict = 2 WHERE identity = ?", [(identity,) for identity in second])
            self.notes.append(
                f"{name}: the official test photographs are absent; the {len(middle):,} for validation were divided "
                f"into {len(middle) - len(second):,} for validation and {len(second):,} for test, by the sha1 of their "
                "identity"
            )
        self.db.execute(
            """INSERT INTO official SELECT identity, strict FROM told WHERE true ON CONFLICT (identity)
            DO UPDATE SET strictness = max(strictness, excluded.strictness)"""
        )

    def _second_half(self, source: int, identities: list[str]) -> list[str]:
        """Half of the photographs for validation, by a hash: their order may be that of something the pictures show.

        Of an official list exactly half, whichever of its photographs are there. Where a folder is all there is, each
        photograph is drawn for itself, so that none changes its split when others are added.
        """
        digests = {identity: hashlib.sha1(identity.encode()).digest() for identity in identities}
        if self.db.execute("SELECT count(*) FROM lists WHERE source = ?", (source,)).fetchone()[0]:
            return sorted(identities, key=digests.__getitem__)[len(identities) // 2 :]
        return [identity for identity in identities if digests[identity][0] >= 128]

    def _hold_out(self, file: Path) -> None:
        self.db.execute("CREATE INDEX files_named ON files (image_id)")
        unknown, found, lines = [], set[str](), 0
        for _, line in read_lines(file):
            lines += 1
            name = line.decode(errors="replace").strip()
            matched = {
                identity
                for (identity,) in self.db.execute(
                    f"""SELECT identity FROM files WHERE identity IN (?, ?, ?, ?) OR image_id IN
                    ({", ".join("?" * (len(PICTURE_ENDINGS) + 2))})""",
                    (*_identities(name), *_image_ids(name)),
                )
            }
            found |= matched
            if not matched:
                unknown.append(name)
        self.db.executemany("INSERT OR REPLACE INTO official VALUES (?, 2)", [(identity,) for identity in found])
        if not found:
            raise ValueError(f"{file}: not one of its {lines:,} lines names a photograph of these sources")
        known = {identity for (identity,) in self.db.execute("SELECT identity FROM photographs")} & found
        self.held_out = {"lines": lines, "photographs": len(known), "unknown": unknown}
        self.notes.append(
            f"{len(known):,} photographs are held out: they are in test"
            + (f"; {len(unknown):,} of {lines:,} lines name no photograph of these sources" if unknown else "")
        )

    def join_copies(
        self, links: Iterable[tuple[int, int]], distance: Callable[[int, int], int | None] = lambda i, j: 0
    ) -> None:
        """Join photographs that are the same picture, and give every photograph its group and split.

        links: (rank, rank) that connect equal pictures; distance: the differing bits of two of them, None if these two
        are not equal (the ends of a chain). Two photographs that one source holds both keep their own rows, since a
        copy there is a decision of its makers, and share only group and split; across sources the later one becomes
        the guest of the nearest that is there.
        """
        links = list(links)
        for cluster in _connected(links):
            about = {rank: self._describe(rank) for rank in cluster}
            group = min(copy.identity for copy in about.values())
            holders: dict[int, set[int]] = {}  # host -> sources of it and of its guests
            for rank in cluster:
                free = {
                    host: bits
                    for host, sources in holders.items()
                    if not sources & about[rank].sources and (bits := distance(host, rank)) is not None
                }
                if free:
                    host = min(free, key=lambda host: (free[host], host))
                    holders[host] |= about[rank].sources
                    self.db.execute("UPDATE photographs SET host = ? WHERE rank = ?", (host, rank))
                    self._drop_repeated_texts(host, rank)
                else:
                    holders[rank] = set(about[rank].sources)
                self.db.execute("UPDATE photographs SET grouping = ? WHERE rank = ?", (group, rank))
        hosts = dict(self.db.execute("SELECT rank, coalesce(host, rank) FROM photographs WHERE grouping IS NOT NULL"))
        for i, j in sorted(links):
            self.overlaps["by picture"].append(
                {
                    "photographs": [self._describe(i).name, self._describe(j).name],
                    "differing bits": distance(i, j),
                    "stored as": "one row" if hosts[i] == hosts[j] else "two rows of one group",
                }
            )
        self.db.executescript(
            """UPDATE photographs SET grouping = identity WHERE grouping IS NULL;
            CREATE INDEX grouped ON photographs (grouping);
            UPDATE photographs SET split = (SELECT max(strictness) FROM photographs other JOIN official
                ON official.identity = other.identity WHERE other.grouping = photographs.grouping);"""
        )
        self.db.create_function("split_name", 2, _split_name, deterministic=True)
        self.db.execute("UPDATE photographs SET split = split_name(split, grouping)")
        self._validation_from_train()

    def _validation_from_train(self) -> None:
        """Where there are no validation photographs, about 1 in 12 of those for training become such.

        As when the list that would be validation is held out: a threshold could not be chosen. The group alone decides
        which they are, as in hash_split.
        """
        kept = "lost IS NULL AND host IS NULL"
        counts = dict(self.db.execute(f"SELECT split, count(*) FROM photographs WHERE {kept} GROUP BY split"))
        if counts.get("validation") or not counts.get("train"):
            return
        self.db.create_function("serves_as_validation", 1, serves_as_validation, deterministic=True)
        self.db.execute(
            "UPDATE photographs SET split = 'validation' WHERE split = 'train' AND serves_as_validation(grouping)"
        )
        query = f"SELECT count(*) FROM photographs WHERE split = 'validation' AND {kept}"
        if moved := self.db.execute(query).fetchone()[0]:
            self.notes.append(
                f"there were no validation photographs; {moved:,} of the {counts['train']:,} for training became such, "
                "by the sha256 of their group"
            )

    def _describe(self, rank: int) -> "_Copy":
        identity, source, image_id = self.db.execute(
            "SELECT identity, source, image_id FROM photographs WHERE rank = ?", (rank,)
        ).fetchone()
        sources = {number for (number,) in self.db.execute("SELECT source FROM files WHERE identity = ?", (identity,))}
        return _Copy(identity, f"{self.names[source]}/{image_id}", sources)

    def _drop_repeated_texts(self, host: int, guest: int) -> None:
        """A guest's text that its host or an earlier guest has already is not stored again."""
        of = """SELECT texts.id, digest, kind, matches, texts.source, place FROM texts JOIN photographs USING (identity)
            WHERE repeats IS NULL AND again = 0 AND """
        known = {
            tuple(row[1:4]) for row in self.db.execute(of + "(rank = ? OR host = ?) AND rank <> ?", (host, host, guest))
        }
        for number, digest, kind, matches, source, place in self.db.execute(of + "rank = ?", (guest,)).fetchall():
            if (digest, kind, matches) in known:
                self.db.execute("UPDATE texts SET again = 1 WHERE id = ?", (number,))
                reason = "the same text as of the same picture in another dataset"
                self.leave_out(self.names[source], LeftOut("caption", place, reason, captions=1))

    # Reading back

    def kept_texts(self, rank: int) -> list[tuple[bool, bool]]:
        """For each text of a guest, in the order of `chunks`: is it true, and does its host take it over?"""
        query = """SELECT matches, again FROM photographs JOIN texts USING (identity) WHERE rank = ? AND repeats IS NULL
            ORDER BY texts.source, texts.id"""
        return [(bool(matches), not again) for matches, again in self.db.execute(query, (rank,))]

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
            for rank, text, kind, name, matches in self.db.execute(
                """SELECT rank, text, kind, name, matches FROM photographs JOIN texts USING (identity)
                JOIN sources ON sources.source = texts.source WHERE rank BETWEEN ? AND ? AND repeats IS NULL
                ORDER BY rank, texts.source, texts.id""",
                span,
            ):
                texts[rank].append(StoredText(text, kind, name, bool(matches)))
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

    def lose(self, rank: int, reasons: Mapping[str, str]) -> None:
        """None of the files of a photograph can be used; reasons: that of each source which has a file."""
        self.db.execute("UPDATE photographs SET lost = 'lost' WHERE rank = ?", (rank,))
        for source, place, texts in self.db.execute(
            f"""SELECT name, place, {_TEXTS_OF_MENTION}
            FROM mentions JOIN sources USING (source) JOIN photographs USING (identity) WHERE rank = ?""",
            (rank,),
        ).fetchall():
            reason = reasons.get(source) or next(iter(reasons.values()))
            self.leave_out(source, LeftOut("picture", place, reason, texts, 1))

    def rows(self, first: int, last: int) -> list[Row]:
        """The photographs of these ranks that get a row, with what was decided about them."""
        guests = defaultdict[int, list[int]](list)
        for host, rank in self.db.execute(
            "SELECT host, rank FROM photographs WHERE host BETWEEN ? AND ? ORDER BY rank", (first, last)
        ):
            guests[host].append(rank)
        rows = self.db.execute(
            """SELECT rank, split, grouping FROM photographs WHERE rank BETWEEN ? AND ? AND lost IS NULL
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

    def account(self, source: str, stored_texts: int) -> dict[str, dict[str, int]]:
        """Counts of one source; what was seen, stored and left out is counted each for itself, and must agree."""
        number = (self.names.index(source),)
        queries = {
            "photographs": (
                "SELECT count(*) FROM mentions WHERE source = ?",
                """SELECT count(*) FROM mentions JOIN photographs USING (identity)
                WHERE mentions.source = ? AND lost IS NULL""",
                "SELECT total(photographs) FROM left_out WHERE source = ?",
            ),
            "captions": (
                "SELECT count(*) FROM texts WHERE source = ?",
                f"SELECT {stored_texts}, ?",
                "SELECT total(captions) FROM left_out WHERE source = ?",
            ),
        }
        counts = {}
        for unit, of_unit in queries.items():
            seen, stored, left_out = (int(self.db.execute(query, number).fetchone()[0]) for query in of_unit)
            seen += self.unread[source, unit]
            assert seen == stored + left_out, f"{source}: of {seen} {unit} {stored} are stored, {left_out} left out"
            counts[unit] = {"seen": seen, "stored": stored, "left_out": left_out}
        return counts

    def splits(self, source: str | None = None) -> dict[str, int]:
        """Photographs of a source in each split, or rows of the whole database."""
        counts = dict.fromkeys(SPLITS, 0)
        query = "SELECT split, count(*) FROM photographs WHERE lost IS NULL AND host IS NULL GROUP BY split"
        values: tuple = ()
        if source is not None:
            query = """SELECT split, count(*) FROM mentions JOIN photographs USING (identity)
                WHERE mentions.source = ? AND lost IS NULL GROUP BY split"""
            values = (self.names.index(source),)
        return counts | dict(self.db.execute(query, values))

    def reasons(self, most: int = 3) -> list[tuple[str, int]]:
        """The commonest reasons for which something was left out."""
        query = "SELECT reason, count(*) AS n FROM left_out GROUP BY reason ORDER BY n DESC, reason LIMIT ?"
        return self.db.execute(query, (most,)).fetchall()


def _connected(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected sets of numbers, each in ascending order."""
    smallest: dict[int, int] = {}

    def root(number: int) -> int:
        while smallest.setdefault(number, number) != number:
            number = smallest[number]
        return number

    for i, j in pairs:
        first, second = sorted((root(i), root(j)))
        smallest[second] = first
    sets = defaultdict[int, list[int]](list)
    for number in sorted(smallest):
        sets[root(number)].append(number)
    return list(sets.values())


def where(picture: Picture) -> str:
    """Place of a picture in its dataset, in the same words on every machine."""
    return f"{picture.path.parent.name}/{picture.path.name}" if picture.path else picture.image_id


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def caption_problem(text: str, words: int) -> str | None:
    """Why a caption with that many words cannot be used, or None."""
    if not text:
        return "the caption is empty"
    if len(text) > LONGEST_CAPTION:
        return f"the caption has {len(text):,} characters; at most {LONGEST_CAPTION:,} are read"
    return None if words else f"the caption {text!r} holds no word"


def hash_split(group: str) -> str:
    """Split of a photograph that no official list names: its group alone decides.

    So adding or removing other photographs never moves it from one split to another.
    """
    share = int.from_bytes(hashlib.sha1(group.encode()).digest()[:8]) / 2**64
    return SPLITS[0] if share < SHARES[0] else SPLITS[1] if share < SHARES[0] + SHARES[1] else SPLITS[2]


def serves_as_validation(group: str) -> bool:
    """Of a training photograph where there are none for validation: 21 of 256 do."""
    return hashlib.sha256(group.encode()).digest()[0] < 21


def _split_name(strictness: int | None, group: str) -> str:
    return hash_split(group) if strictness is None else SPLITS[int(strictness)]


def _identities(name: str) -> tuple[str, str, str, str]:
    """What a line of a hold-out list may mean: an identity itself, or a number or file name of COCO or Flickr."""
    stem = Path(name).stem
    looks_like_coco = re.fullmatch(r"(COCO_\w+_)?\d+", stem)
    looks_like_flickr = re.fullmatch(r"\d+(_[0-9a-f]+\w*)?", stem)
    return (
        name,
        coco_identity(stem) if looks_like_coco else name,
        flickr_identity(stem) if looks_like_flickr else name,
        f"ade20k:{stem}",
    )


def _image_ids(name: str) -> list[str]:
    """File names that a line may mean: as it is, without its folder, or with an ending."""
    last = name.rpartition("/")[2]
    return [name, last, *(f"{last}{ending}" for ending in sorted(PICTURE_ENDINGS))]
