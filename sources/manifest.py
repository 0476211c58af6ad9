"""The small files beside the Arrow files of a database: manifest.json, state.json, word_counts.json.

The manifest has the settings, the counts of what was stored and left out with the reasons, versions and hashes.
"""

import hashlib
import importlib.metadata
import itertools
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.storage import DATABASE_FORMAT, PARSE_FORMAT, SPLITS
from Config import DatabaseConfig
from sources.folder import NothingUsable
from sources.intake import Intake
from sources.registry import SOURCES
from sources.rows import MISMATCHES, Content
from sources.stored import MANIFEST, STATE, WORD_COUNTS
from sources.units import database_features

PHOTOGRAPHS = "photographs of "  # how most titles of sources begin


def describe(settings: DatabaseConfig, pipeline: str, intake: Intake, content: Content) -> dict[str, Any]:
    """The manifest without its list of what was left out: settings, versions, counts and hashes.

    It contains nothing that differs between two builds of the same input, such as times or the number of workers.
    """
    if not content.files:
        reasons = "; ".join(f"{reason} ({n:,})" for reason, n in commonest_reasons(intake)) or "the folders are empty"
        raise NothingUsable(f"there is no photograph with a caption that can be used: {reasons}")
    sources = {
        source: {
            **account(intake, source, sum(n for (name, _), n in content.kinds.items() if name == source)),
            "splits": count_splits(intake, source),
            "kinds": {kind: n for (name, kind), n in sorted(content.kinds.items()) if name == source},
            "without_markup": intake.with_markup[source],
            "regions": {unit: content.grounded[source, unit] for unit in ("captions", "words")},
            "picture_bytes": content.picture_bytes[source],
        }
        for source in intake.names
    }
    splits, cleaned = count_splits(intake), sorted(intake.with_markup.items())
    assert sum(splits.values()) == sum(file["rows"] for file in content.files.values()), "every photograph has a row"
    return {
        **identify(content.files, pipeline),
        "name": settings.name,
        "settings": settings.shaping,
        "splits": splits,
        "sources": sources,
        "overlaps": intake.overlaps,
        "held_out": intake.held_out,
        "files": content.files,
        "notes": [
            *intake.notes,
            *(f"{source}: entities, tags or addresses were removed from {n:,} texts" for source, n in cleaned),
            *(f"the {split} split is empty" for split in SPLITS if not splits[split]),
        ],
    }


def identify(files: Mapping[str, Mapping[str, Any]], pipeline: str) -> dict[str, Any]:
    """Formats, fingerprints and versions: they identify the Arrow files and the program that wrote them."""
    fingerprint = hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest()
    return {
        "format": DATABASE_FORMAT,
        "parse_format": PARSE_FORMAT,
        "fingerprint": fingerprint,
        "picture_fingerprint": fingerprint,
        "versions": {
            "python": platform.python_version(),
            "pipeline": f"{pipeline} {importlib.metadata.version(pipeline)}",
            **{name: importlib.metadata.version(name) for name in ("spacy", "pillow", "pyarrow", "datasets")},
        },
    }


def account(intake: Intake, source: str, stored_texts: int) -> dict[str, dict[str, int]]:
    """Counts of one source. Seen, stored and left out are counted independently; seen = stored + left out.

    A sentence that only gives its regions to a caption counts as a caption. It is stored if it has found one.
    """
    number = (intake.names.index(source),)
    queries = {
        "photographs": (
            "SELECT count(*) FROM mentions WHERE source = ?",
            """SELECT count(*) FROM mentions JOIN photographs USING (identity)
            WHERE mentions.source = ? AND usable""",
            "SELECT total(photographs) FROM left_out WHERE source = ?",
        ),
        "captions": (
            "SELECT (SELECT count(*) FROM texts WHERE source = ?1) + (SELECT count(*) FROM grounded WHERE source = ?1)",
            f"""SELECT {stored_texts} + count(*) FROM grounded JOIN photographs USING (identity)
            WHERE grounded.source = ? AND fits AND usable""",
            "SELECT total(captions) FROM left_out WHERE source = ?",
        ),
    }
    counts = {}
    for unit, of_unit in queries.items():
        seen, stored, left_out = (int(intake.db.execute(query, number).fetchone()[0]) for query in of_unit)
        seen += intake.unread[source, unit]
        assert seen == stored + left_out, f"{source}: of {seen} {unit} {stored} are stored, {left_out} left out"
        counts[unit] = {"seen": seen, "stored": stored, "left_out": left_out}
    return counts


def count_splits(intake: Intake, source: str | None = None) -> dict[str, int]:
    """Photographs of a source in each split, or rows of the whole database."""
    counts = dict.fromkeys(SPLITS, 0)
    query = "SELECT split, count(*) FROM photographs WHERE usable AND host IS NULL GROUP BY split"
    values: tuple = ()
    if source is not None:
        query = """SELECT split, count(*) FROM mentions JOIN photographs USING (identity)
            WHERE mentions.source = ? AND usable GROUP BY split"""
        values = (intake.names.index(source),)
    return counts | dict(intake.db.execute(query, values))


def commonest_reasons(intake: Intake, most: int = 3) -> list[tuple[str, int]]:
    """(reason, number of entries) of the most frequent reasons why something was left out."""
    query = "SELECT reason, count(*) AS n FROM left_out GROUP BY reason ORDER BY n DESC, reason LIMIT ?"
    return intake.db.execute(query, (most,)).fetchall()


def write_companions(
    folder: Path, manifest: Mapping[str, Any], left_out: Iterable[Mapping[str, Any]], words: Mapping[str, int]
) -> None:
    """Write the small files beside the Arrow files: two that `datasets` needs, the manifest, the counts of words."""
    from datasets import DatasetInfo

    DatasetInfo(features=database_features()).write_to_directory(str(folder))
    state = {
        "_data_files": [{"filename": name} for name in manifest["files"]],
        "_fingerprint": manifest["fingerprint"][:16],  # `datasets` names its caches by it
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
        # For our own reader: the manifest can be long, and opening a database should not have to read it.
        **{key: manifest[key] for key in ("format", "parse_format", "fingerprint", "picture_fingerprint")},
    }
    by_frequency = dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))
    for name, content in ((STATE, state), (WORD_COUNTS, by_frequency)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    # The list of what was left out can be long: it is written entry by entry, one per line.
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "left_out": [')
        for number, entry in enumerate(left_out):
            file.write(("," if number else "") + "\n  " + json.dumps(entry, ensure_ascii=False))
        file.write("\n ]\n}\n")


def name_pictures(manifest: Mapping[str, Any]) -> str:
    """What the training pictures of a database are, for example "drawn scenes" or "photographs of Flickr8k"."""
    used = [name for name, source in manifest["sources"].items() if source["splits"]["train"]]
    known = [SOURCES[name] for name in used if name in SOURCES and SOURCES[name].collection is not None]
    titles = [source.title for source in known] or [""]
    named = [title.removeprefix(PHOTOGRAPHS) for title in titles if title.startswith(PHOTOGRAPHS)]
    others = ["others"] if named and "" in titles else []
    photographs = [PHOTOGRAPHS + listed([*named, *others])] if named else ["photographs"] if "" in titles else []
    return listed([*(title for title in titles if title and not title.startswith(PHOTOGRAPHS)), *photographs])


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def count_captions(manifest: Mapping[str, Any]) -> int:
    """Number of captions, all of which have a parse."""
    kinds = (source["kinds"].items() for source in manifest["sources"].values())
    return sum(n for kind, n in itertools.chain(*kinds) if kind not in MISMATCHES)
