"""The vocabulary of hard negatives: words that may stand in for each other, and their inflected forms.

The words are in `vocabulary.toml`; its comments explain groups, pools and lists. A *category* is what the outside sees
(weights, statistics): `action` is the union of all `action.*` pools.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import tomllib
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

FILE = Path(__file__).with_name("vocabulary.toml")
VERB_FORMS = ("VB", "VBP", "VBZ", "VBG", "VBD")
_NOUN_FORMS = ("NN", "NNS")
Words = frozenset[str]
Row = Mapping[str, str | bool]
# What a row of [fits] and [avoid] may say; each of LOOKED_AT also as "not_...".
LOOKED_AT = ("before", "after", "near", "ahead", "earlier", "has", "preposition", "noun", "tags", "after_tags")
FLAGS = ("object", "human", "being")
_ROW_KEYS: dict[str, type] = dict.fromkeys((*LOOKED_AT, *(f"not_{key}" for key in LOOKED_AT)), str)
_ROW_KEYS |= {"words": str, "not_words": str, "last_resort": str, "avoid": str, **dict.fromkeys(FLAGS, bool)}


class Exchanged(NamedTuple):
    """What exchanges need (`[exchange]`). Lists are named sets of words."""

    verbs: Mapping[str, tuple[str, ...]]  # who -> infinitives
    prepositions: Mapping[str, tuple[tuple[str, ...], ...]]  # how -> the words of each preposition
    confused: tuple[Words, ...]
    shades: Words
    attributes: tuple[str, ...]  # pools
    kinds: Mapping[str, str]  # pool or category -> what its nouns are
    lists: Mapping[str, Words]


class Vocabulary(NamedTuple):
    """A vocabulary file as it was read; "hot_dog" has become "hot dog"."""

    pools: Mapping[str, tuple[tuple[str, ...], ...]]  # groups of entries as they are written, "+" and "-" included
    near: Mapping[str, tuple[tuple[Words, Words], ...]]  # pool -> (words, the words that are near them)
    one_form: Words  # categories and pools
    irregular: Mapping[tuple[str, str], str]  # (word, Penn form) -> inflected word
    fixed: tuple[str, ...]
    picture: Mapping[str, Words]
    lists: Mapping[str, Words]
    fits: Mapping[str, tuple[Row, ...]]  # pool -> rows of conditions, see `conditions.py`
    avoid: Mapping[str, tuple[Row, ...]]
    exchange: Exchanged


def read(file: Path) -> Vocabulary:
    """Read and check a vocabulary file. ValueError names its line and the mistake."""
    return _Reader(file).read()


class _Reader:
    """A file's sections by dotted key ("colour.any"), each read with a check of its words."""

    SECTIONS = ("pools", "near", "forms", "fixed", "picture", "lists", "fits", "avoid", "exchange")

    def __init__(self, file: Path) -> None:
        self.name, self.text = file.name, file.read_text(encoding="utf-8")
        try:
            sections = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            message, _, place = str(error).partition(" (at ")
            found = re.match(r"line (\d+)", place)
            line = int(found[1]) if found else self.text.count("\n")  # else "(at end of document)"
            raise ValueError(f"{self.name}:{line}: {message}") from None
        for name, section in sections.items():
            if name not in self.SECTIONS or not isinstance(section, dict):
                self.fail(f"unknown section {name!r}; there are {', '.join(self.SECTIONS)}", name, name)
        self.tables = sections
        self.sections = {name: dict(_flatten(sections.get(name, {}))) for name in self.SECTIONS}
        for name, keys in self.sections.items():
            if not keys:
                self.fail(f"the section [{name}] is missing or empty")

    def read(self) -> Vocabulary:
        pools = {pool: self.pool(pool) for pool in self.sections["pools"]}
        known = {"pool": set(pools), "pool or category": {*pools, *(pool.partition(".")[0] for pool in pools)}}
        self.only("forms", "one_form", "irregular.")
        self.only("fixed", "phrases")
        self.only("picture", "sided", "written", "coloured")
        return Vocabulary(
            pools=pools,
            near={pool: self.near(pool, pools) for pool in self.sections["near"]},
            one_form=frozenset(self.names("forms", "one_form", known, "pool or category")),
            irregular={
                (key.split(".")[2], key.split(".")[1]): " ".join(self.words("forms", key))
                for key in self.sections["forms"]
                if key.count(".") == 2
            },
            fixed=self.words("fixed", "phrases"),
            picture={key: frozenset(self.words("picture", key)) for key in self.sections["picture"]},
            lists={key: frozenset(self.words("lists", key)) for key in self.sections["lists"]},
            fits=self.rules("fits", pools),
            avoid=self.rules("avoid", pools),
            exchange=self.exchange(known),
        )

    def rules(self, section: str, pools: Mapping[str, object]) -> dict[str, tuple[Row, ...]]:
        """Pool -> its rows of conditions."""
        rules: dict[str, tuple[Row, ...]] = {}
        for category, table in self.tables[section].items():
            for name, rows in table.items() if isinstance(table, dict) else ():
                pool = f"{category}.{name}"
                if pool not in pools:
                    self.fail(f"unknown pool {pool!r}", section, pool)
                rules[pool] = tuple(rows) if isinstance(rows, list) else (rows,)
                for row in rules[pool]:
                    self.row(row, section, pool)
        return rules

    def row(self, row: Any, section: str, pool: str) -> None:
        if not isinstance(row, dict):
            self.fail(f'{pool} must be a row of conditions: {pool} = {{ before = "the" }}', section, pool)
        if ("avoid" in row) != (section == "avoid"):
            self.fail("each row of [avoid] has a key avoid, and none of [fits] has one", section, pool)
        for key, value in row.items():
            if key not in _ROW_KEYS:
                self.fail(f"unknown condition {key!r}; there are {', '.join(_ROW_KEYS)}", section, pool, key)
            if not isinstance(value, _ROW_KEYS[key]):
                kind = "true or false" if _ROW_KEYS[key] is bool else "a text"
                self.fail(f"{key} must be {kind}", section, pool, key)
            if key == "last_resort" and value not in ("only", "always"):
                self.fail(f'last_resort is "only" or "always", not {value!r}', section, pool, str(value))
            for word in value.split() if isinstance(value, str) else ():
                if word[0] == "@" and word[1:] not in self.sections["lists"]:
                    self.fail(f"unknown list {word!r}", section, pool, word)
                if word[0] == "*" and word[1:] not in self.tables["pools"]:
                    self.fail(f"unknown category {word!r}", section, pool, word)

    def exchange(self, known: Mapping[str, set[str]]) -> Exchanged:
        def part(table: str) -> Iterator[tuple[str, str]]:
            """(key, full key) of a table of the section."""
            return ((key.removeprefix(table), key) for key in self.sections["exchange"] if key.startswith(table))

        single = ("confused", "shades", "attributes")
        self.only("exchange", *single, "verbs.", "prepositions.", "kinds.", "lists.")
        for key in single:
            if key not in self.sections["exchange"]:
                self.fail(f"[exchange] has no {key}", "exchange")
        return Exchanged(
            verbs={key: self.words("exchange", full) for key, full in part("verbs.")},
            prepositions={
                key: tuple(tuple(text.split()) for text in self.words("exchange", full))
                for key, full in part("prepositions.")
            },
            confused=tuple(frozenset(group) for group in self.groups("exchange", "confused")),
            shades=frozenset(self.words("exchange", "shades")),
            attributes=self.names("exchange", "attributes", known, "pool"),
            kinds={
                name: kind
                for kind, full in part("kinds.")
                for name in self.names("exchange", full, known, "pool or category")
            },
            lists={key: frozenset(self.words("exchange", full)) for key, full in part("lists.")},
        )

    def pool(self, pool: str) -> tuple[tuple[str, ...], ...]:
        if pool.count(".") != 1:
            self.fail(f"a pool is named category.pool, not {pool!r}", "pools", pool)
        groups = self.groups("pools", pool)
        if len(groups) < 2:
            self.fail(f"{pool} needs two groups or more, for a word of one replaces a word of another", "pools", pool)
        count = Counter(entry.lstrip("+-=") for group in groups for entry in group)
        for word in count:
            if not word:
                self.fail(f"{pool} has a mark without a word", "pools", pool)
            if count[word] > 1:
                self.fail(f"{word!r} stands twice in {pool}", "pools", pool, word, 2)
        return groups

    def near(self, pool: str, pools: Mapping[str, tuple[tuple[str, ...], ...]]) -> tuple[tuple[Words, Words], ...]:
        if pool not in pools:
            self.fail(f"unknown pool {pool!r}", "near", pool)
        known = {entry.lstrip("+-=") for group in pools[pool] for entry in group}
        near: list[tuple[Words, Words]] = []
        for clause in self.groups("near", pool):
            for word in clause:
                if word != ">" and word not in known:
                    self.fail(f"{word!r} is no word of the pool {pool}", "near", pool, word)
            parts = " , ".join(clause).split(" , > , ")
            some, *others = (frozenset(part.split(" , ")) for part in parts)
            near += [(some, others[0]), (others[0], some)] if others else [(some, some)]
        return tuple(near)

    def names(self, section: str, key: str, known: Mapping[str, set[str]], what: str) -> tuple[str, ...]:
        names = self.words(section, key)
        for name in names:
            if name not in known[what]:
                self.fail(f"unknown {what} {name!r}", section, key, name)
        return names

    def groups(self, section: str, key: str) -> tuple[tuple[str, ...], ...]:
        groups = self.sections[section][key]
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            self.fail(f'{key} must be a list of texts: {key} = ["red", "blue navy"]', section, key)
        return tuple(self.split(group, section, key) for group in groups)

    def words(self, section: str, key: str) -> tuple[str, ...]:
        text = self.sections[section].get(key)
        if not isinstance(text, str):
            self.fail(f'{key} must be a text: {key} = "red blue"', section, key)
        return self.split(text, section, key)

    def split(self, text: str, section: str, key: str) -> tuple[str, ...]:
        """The words of a text, at least one, each once."""
        words = text.split()
        if not words:
            self.fail(f"{key} has an empty text", section, key)
        if len(set(words)) < len(words):
            word = Counter(words).most_common(1)[0][0]
            self.fail(f"{word!r} stands twice in one text of {key}", section, key, word, 2)
        if text != text.lower():
            word = next(word for word in words if word != word.lower())
            self.fail(f"{word!r} must be lower case", section, key, word)
        return tuple(word.replace("_", " ") for word in words)

    def only(self, section: str, *keys: str) -> None:
        """Fail for a key that is none of these; "verbs." is for all that begin so."""
        for key in self.sections[section]:
            if not any(key.startswith(known) if known.endswith(".") else key == known for known in keys):
                self.fail(f"unknown key {key!r} in [{section}]; there are {', '.join(keys)}", section, key)

    def fail(self, message: str, section: str = "", key: str = "", word: str = "", count: int = 1) -> NoReturn:
        """Name the line of the `count`-th mention of a word under a key; if it is not found, of the key or section."""
        lines = self.text.splitlines()
        line = next((i for i, text in enumerate(lines) if section and text.startswith(f"[{section}")), 0)
        keys = {key, key.partition(".")[2]} - {""}  # "any" under [pools.colour] is colour.any
        line = next((i for i in range(line, len(lines)) if _KEY.sub("", lines[i].partition("=")[0]) in keys), line)
        said = [i for i in range(line, len(lines)) for token in _tokens(lines[i]) if _same(token, word)]
        if word and len(said) >= count:
            line = said[count - 1]
        raise ValueError(f"{self.name}:{line + 1}: {message}")


_KEY = re.compile(r"[\s\"']")  # what may stand around a key


def _tokens(line: str) -> list[str]:
    """The words of a line, without its key and comment."""
    return re.split(r"[\s\"',\[\]]+", re.sub(r"^[\w.]+ *=", "", line.partition("#")[0]))


def _same(token: str, word: str) -> bool:
    word = word.replace(" ", "_")
    return token == word or token.lstrip("+-=") == word


def _flatten(section: Mapping[str, Any], front: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested tables, joined by dots."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{front}{key}.")
        else:
            yield f"{front}{key}", value


VOCABULARY = read(FILE)
LIST = VOCABULARY.lists
# What a mirror image makes false or unreadable, and what another tint does.
SIDED, WRITTEN = VOCABULARY.picture["sided"], VOCABULARY.picture["written"]


class Entry(NamedTuple):
    """One surface form of one vocabulary entry, as found by its first word in `entries`."""

    words: tuple[str, ...]
    category: str
    pool: str
    group: int
    word: str
    form: str
    near: frozenset[str] = frozenset()  # words of other groups that may be true at the same time
    kin: frozenset[str] = frozenset()  # the other surface forms of its group


class Group(NamedTuple):
    targets: tuple[str, ...]  # entries that may be drawn
    sources: tuple[str, ...]  # entries that may be replaced
    words: frozenset[str]  # every surface form of every entry: if one of them is known to be true, the group is
    uncounted: frozenset[str] = frozenset()  # sources that have one form


@lru_cache(maxsize=1)
def _inflections() -> Any:
    """lemminflect's inflector without lemminflect's __init__.

    That __init__ imports spaCy if it is installed, to hook into it: 3.0 s and hundreds of modules in every training
    process. A bare package of the same name stands in while the one submodule loads (0.07 s), then goes away, so
    that `import lemminflect` elsewhere still gets the real one.
    """
    loaded = sys.modules.get("lemminflect")
    if loaded is None:
        spec = importlib.util.find_spec("lemminflect")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("no module lemminflect, needed to inflect; install it: pip install lemminflect")
        stand_in = types.ModuleType("lemminflect")
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules["lemminflect"] = stand_in
    try:
        return importlib.import_module("lemminflect.core.Inflections").Inflections()
    finally:
        if loaded is None:
            del sys.modules["lemminflect"]


@cache
def inflect(entry: str, form: str) -> str:
    """The surface of a vocabulary entry in a Penn form; of a multi-word entry the last word is inflected."""
    *front, last = entry.split(" ")
    if form not in ("NN", "VB", "VBP", ""):
        known = VOCABULARY.irregular.get((last, form)) or next(iter(_inflections().getInflection(last, form)), last)
        return " ".join((*front, known))
    return entry


def forms_of(pool: str) -> tuple[str, ...]:
    category = pool.partition(".")[0]
    if category == "action":
        return VERB_FORMS
    return ("",) if category in VOCABULARY.one_form or pool in VOCABULARY.one_form else _NOUN_FORMS


@lru_cache(maxsize=1)
def pools() -> Mapping[str, tuple[Group, ...]]:
    read: dict[str, tuple[Group, ...]] = {}
    for pool, groups in VOCABULARY.pools.items():
        forms = forms_of(pool)
        read[pool] = tuple(
            Group(
                targets=tuple(entry.lstrip("+") for entry in group if entry[0] not in "-="),
                sources=tuple(entry.lstrip("-=") for entry in group if entry[0] != "+"),
                words=frozenset(inflect(entry.lstrip("+-="), form) for entry in group for form in forms),
                uncounted=frozenset(entry[1:] for entry in group if entry[0] == "="),
            )
            for group in groups
        )
    return read


def _categories() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Category -> its groups; nothing is inflected for it, so that the import stays instant."""
    categories: dict[str, tuple[tuple[str, ...], ...]] = {}
    for pool, groups in VOCABULARY.pools.items():
        category = pool.partition(".")[0]
        plain = tuple(tuple(entry.lstrip("+-=") for entry in group) for group in groups)
        categories[category] = categories.get(category, ()) + plain
    return categories


CATEGORIES: Mapping[str, tuple[tuple[str, ...], ...]] = _categories()
_COLOURS = {word for group in CATEGORIES["colour"] for word in group}
COLOURED = VOCABULARY.picture["coloured"].union(*({word, f"{word}s", f"{word}ish"} for word in _COLOURS))


def _near(pool: str) -> tuple[frozenset[str], ...]:
    """For each group of a pool, words of the groups that must not replace it although they are others."""
    near = []
    for group in pools()[pool]:
        known = {*group.targets, *group.sources}
        near.append(frozenset().union(*(b for a, b in VOCABULARY.near.get(pool, ()) if not a.isdisjoint(known))))
    return tuple(near)


@lru_cache(maxsize=1)
def entries() -> Mapping[str, tuple[Entry, ...]]:
    """First word of a surface form -> the entries it may begin, the longest first, then in vocabulary order."""
    index: dict[str, list[Entry]] = {}
    for phrase in VOCABULARY.fixed:
        words = tuple(phrase.split())
        index.setdefault(words[0], []).append(Entry(words, "", "", 0, phrase, ""))
    for entry in _all_entries():
        index.setdefault(entry.words[0], []).append(entry)
    return {first: tuple(sorted(found, key=lambda entry: -len(entry.words))) for first, found in index.items()}


def _all_entries() -> Iterator[Entry]:
    """Every form of every word that may be replaced, in vocabulary order."""
    for pool, groups in pools().items():
        category, near = pool.partition(".")[0], _near(pool)
        for number, group in enumerate(groups):
            forms = ((form, word) for form in forms_of(pool) for word in group.sources)
            for form, word in forms:
                if form != "NNS" or word not in group.uncounted:
                    surface = inflect(word, form)
                    kin = group.words - {surface}
                    yield Entry(tuple(surface.split(" ")), category, pool, number, word, form, near[number], kin)


@cache
def words_of(category: str) -> frozenset[str]:
    """All one-word surface forms of a category."""
    return frozenset(
        word
        for pool, groups in pools().items()
        if pool.partition(".")[0] == category
        for g in groups
        for word in g.words
    )
