"""The vocabulary of hard negatives: words that can replace each other, and their inflected forms.

The words are in `vocabulary.toml`, whose comments explain groups, pools and lists. The rest of the program knows only
*categories*: the category `action` is the union of all pools `action.*`.
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
# The keys of a row of [fits] and [avoid]; each of CONTEXT_KEYS also exists as "not_...".
CONTEXT_KEYS = ("before", "after", "near", "ahead", "earlier", "has", "preposition", "noun", "tags", "after_tags")
FLAGS = ("object", "human", "being")
_ROW_KEYS: dict[str, type] = dict.fromkeys((*CONTEXT_KEYS, *(f"not_{key}" for key in CONTEXT_KEYS)), str)
_ROW_KEYS |= {"words": str, "not_words": str, "last_resort": str, "avoid": str, **dict.fromkeys(FLAGS, bool)}


class ExchangeWords(NamedTuple):
    """The section `[exchange]`, whose comments explain each key."""

    verbs: Mapping[str, tuple[str, ...]]  # who subject and object are ("any", "people", "animals") -> infinitives
    prepositions: Mapping[str, tuple[tuple[str, ...], ...]]  # type ("place", "side", ...) -> words of each preposition
    confused: tuple[Words, ...]
    shades: Words
    attributes: tuple[str, ...]  # pools
    kinds: Mapping[str, str]  # pool or category -> type of its nouns ("person", "garment", ...)
    lists: Mapping[str, Words]


class AddWords(NamedTuple):
    """The section `[add]`, whose comments explain each key."""

    scenes: Mapping[str, Words]
    apart: Mapping[str, Words]  # scene -> scenes; each pair in both directions
    worn: Mapping[str, Words]
    generic: Mapping[str, Words]  # category -> words
    implied: tuple[Words, ...]
    lists: Mapping[str, Words]


class Vocabulary(NamedTuple):
    """The content of a vocabulary file. Phrases have spaces: "hot dog", not "hot_dog"."""

    pools: Mapping[str, tuple[tuple[str, ...], ...]]  # groups of entries as they are written, with "+", "-" and "="
    near: Mapping[str, tuple[tuple[Words, Words], ...]]  # pool -> (words, words that must not replace them)
    one_form: Words  # categories and pools
    irregular: Mapping[tuple[str, str], str]  # (word, Penn Treebank tag) -> inflected word
    fixed: tuple[str, ...]
    picture: Mapping[str, Words]
    lists: Mapping[str, Words]
    fits: Mapping[str, tuple[Row, ...]]  # pool -> rows of conditions, see `conditions.py`
    avoid: Mapping[str, tuple[Row, ...]]
    exchange: ExchangeWords
    add: AddWords


def read(file: Path) -> Vocabulary:
    """Read and check a vocabulary file. Raises ValueError with file, line, section, and what was expected."""
    return _Reader(file).read()


class _Reader:
    """Reads a vocabulary file. `sections` holds the values of each section by dotted key ("colour.any")."""

    SECTIONS = ("pools", "near", "forms", "fixed", "picture", "lists", "fits", "avoid", "exchange", "add")

    def __init__(self, file: Path) -> None:
        self.name, self.text = file.name, file.read_text(encoding="utf-8")
        try:
            sections = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            message, _, place = str(error).partition(" (at ")
            found = re.match(r"line (\d+)", place)
            line = int(found[1]) if found else self.text.count("\n")  # else "(at end of document)"
            raise ValueError(f"{self.name}:{line}: not valid TOML: {message}") from None
        for name, section in sections.items():
            if name not in self.SECTIONS or not isinstance(section, dict):
                self.fail(f"unknown section {name!r}; expected one of {', '.join(self.SECTIONS)}", name, name)
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
            add=self.add(),
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
        """Check one row of conditions."""
        if not isinstance(row, dict):
            self.fail(f'{pool} must be a row of conditions, such as {pool} = {{ before = "the" }}', section, pool)
        if section == "avoid" and "avoid" not in row:
            self.fail('every row needs the words that are not drawn, such as avoid = "@star"', section, pool)
        for key, value in row.items():
            known = [name for name in _ROW_KEYS if name != "avoid" or section == "avoid"]
            if key not in known:
                self.fail(
                    f"unknown condition {key!r} in {pool}; expected one of {', '.join(known)}", section, pool, key
                )
            if not isinstance(value, _ROW_KEYS[key]):
                expected = "true or false, without quotes" if _ROW_KEYS[key] is bool else "a text in quotes"
                self.fail(f"{key} must be {expected}, not {value!r}", section, pool, key)
            if key == "last_resort" and value not in ("only", "always"):
                self.fail(f'last_resort must be "only" or "always", not "{value}"', section, pool, str(value))
            for word in value.split() if isinstance(value, str) else ():
                if word[0] == "@" and word[1:] not in self.sections["lists"]:
                    self.fail(f"unknown list {word!r} in {pool}; add {word[1:]} to [lists]", section, pool, word)
                if word[0] == "*" and word[1:] not in self.tables["pools"]:
                    known = [f"*{name}" for name in self.tables["pools"]]
                    self.fail(
                        f"unknown category {word!r} in {pool}; expected one of {', '.join(known)}", section, pool, word
                    )

    def part(self, section: str, table: str) -> Iterator[tuple[str, str]]:
        """(key, full key) of a table of a section."""
        return ((key.removeprefix(table), key) for key in self.sections[section] if key.startswith(table))

    def add(self) -> AddWords:
        tables = ("scenes.", "apart.", "worn.", "generic.", "lists.")
        self.only("add", "implied", *tables)
        read = {
            table: {key: frozenset(self.words("add", full)) for key, full in self.part("add", table)}
            for table in tables
        }
        scenes, apart = read["scenes."], read["apart."]
        for scene, others in apart.items():
            for name in sorted({scene, *others} - set(scenes)):
                self.fail(f"unknown scene {name!r}; expected one that is in scenes", "add", f"apart.{scene}", name)
        both = {
            scene: frozenset(
                other for other in scenes if other in apart.get(scene, ()) or scene in apart.get(other, ())
            )
            for scene in scenes
        }
        implied = tuple(frozenset(group) for group in self.groups("add", "implied"))
        return AddWords(scenes, both, read["worn."], read["generic."], implied, read["lists."])

    def exchange(self, known: Mapping[str, set[str]]) -> ExchangeWords:
        single = ("confused", "shades", "attributes")
        self.only("exchange", *single, "verbs.", "prepositions.", "kinds.", "lists.")
        for key in single:
            if key not in self.sections["exchange"]:
                self.fail(f"the key {key!r} is missing", "exchange")
        return ExchangeWords(
            verbs={key: self.words("exchange", full) for key, full in self.part("exchange", "verbs.")},
            prepositions={
                key: tuple(tuple(text.split()) for text in self.words("exchange", full))
                for key, full in self.part("exchange", "prepositions.")
            },
            confused=tuple(frozenset(group) for group in self.groups("exchange", "confused")),
            shades=frozenset(self.words("exchange", "shades")),
            attributes=self.names("exchange", "attributes", known, "pool"),
            kinds={
                name: kind
                for kind, full in self.part("exchange", "kinds.")
                for name in self.names("exchange", full, known, "pool or category")
            },
            lists={key: frozenset(self.words("exchange", full)) for key, full in self.part("exchange", "lists.")},
        )

    def pool(self, pool: str) -> tuple[tuple[str, ...], ...]:
        """The groups of a pool, as they are written; each word must be in one group only."""
        if pool.count(".") != 1:
            self.fail(f"the name of a pool must be like colour.any (category.pool), not {pool!r}", "pools", pool)
        groups = self.groups("pools", pool)
        if len(groups) < 2:
            self.fail(f"{pool} needs two groups or more: a word is replaced by one of another group", "pools", pool)
        count = Counter(entry.lstrip("+-=") for group in groups for entry in group)
        for word in count:
            if not word:
                self.fail(f"{pool} has a mark (+, - or =) without a word", "pools", pool)
            if count[word] > 1:
                self.fail(f"{word!r} is in {pool} twice; expected once", "pools", pool, word, 2)
        return groups

    def near(self, pool: str, pools: Mapping[str, tuple[tuple[str, ...], ...]]) -> tuple[tuple[Words, Words], ...]:
        """(words, words that must not replace them) for a pool. "a > b c" gives ({a}, {b, c}) and ({b, c}, {a})."""
        if pool not in pools:
            self.fail(f"unknown pool {pool!r}", "near", pool)
        known = {entry.lstrip("+-=") for group in pools[pool] for entry in group}
        near: list[tuple[Words, Words]] = []
        for clause in self.groups("near", pool):
            for word in clause:
                if word != ">" and word not in known:
                    self.fail(f"{word!r} is not a word of the pool {pool}; add it to [pools]", "near", pool, word)
            parts = " , ".join(clause).split(" , > , ")
            some, *others = (frozenset(part.split(" , ")) for part in parts)
            near += [(some, others[0]), (others[0], some)] if others else [(some, some)]
        return tuple(near)

    def names(self, section: str, key: str, known: Mapping[str, set[str]], what: str) -> tuple[str, ...]:
        """Names of pools or categories under a key. what: the key of `known` that must have them."""
        names = self.words(section, key)
        for name in names:
            if name not in known[what]:
                self.fail(f"unknown {what} {name!r} in {key}; expected one that is in [pools]", section, key, name)
        return names

    def groups(self, section: str, key: str) -> tuple[tuple[str, ...], ...]:
        """The words of each text in a list of texts."""
        groups = self.sections[section][key]
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            self.fail(f'{key} must be a list of texts, such as {key} = ["red", "blue navy"]', section, key)
        return tuple(self.split(group, section, key) for group in groups)

    def words(self, section: str, key: str) -> tuple[str, ...]:
        """The words of a text."""
        text = self.sections[section].get(key)
        if not isinstance(text, str):
            self.fail(f'{key} must be a text in quotes, such as {key} = "red blue"', section, key)
        return self.split(text, section, key)

    def split(self, text: str, section: str, key: str) -> tuple[str, ...]:
        """The words of a text. It must have at least one word, and each word only once."""
        words = text.split()
        if not words:
            self.fail(f"{key} has an empty text; expected at least one word", section, key)
        if len(set(words)) < len(words):
            word = Counter(words).most_common(1)[0][0]
            self.fail(f"{word!r} is in one text of {key} twice; expected once", section, key, word, 2)
        if text != text.lower():
            word = next(word for word in words if word != word.lower())
            self.fail(f"{word!r} in {key} must be lower case", section, key, word)
        return tuple(word.replace("_", " ") for word in words)

    def only(self, section: str, *keys: str) -> None:
        """Fail if the section has another key than these; "verbs." allows every key that begins with it."""
        for key in self.sections[section]:
            if not any(key.startswith(known) if known.endswith(".") else key == known for known in keys):
                self.fail(f"unknown key {key!r}; expected one of {', '.join(keys)}", section, key)

    def fail(self, message: str, section: str = "", key: str = "", word: str = "", count: int = 1) -> NoReturn:
        """Raise ValueError with the line of a word under a key, or else the line of the key, or of the section.

        count: number of the wrong occurrence of the word, from 1.
        """
        lines = self.text.splitlines()
        line = next((i for i, text in enumerate(lines) if section and text.startswith(f"[{section}")), 0)
        keys = {key, key.partition(".")[2]} - {""}  # "any" under [pools.colour] is colour.any
        line = next((i for i in range(line, len(lines)) if _KEY.sub("", lines[i].partition("=")[0]) in keys), line)
        found = [i for i in range(line, len(lines)) for token in _tokens(lines[i]) if _same(token, word)]
        if word and len(found) >= count:
            line = found[count - 1]
        where = f"[{section}] " if section in self.SECTIONS else ""
        raise ValueError(f"{self.name}:{line + 1}: {where}{message}")


_KEY = re.compile(r"[\s\"']")  # characters around a key that are not part of it


def _tokens(line: str) -> list[str]:
    """The words of a line, without the key and the comment."""
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
# Words that become false, or letters that become unreadable, in a mirror image (see also COLOURED, for colour changes).
SIDED, WRITTEN = VOCABULARY.picture["sided"], VOCABULARY.picture["written"]


class Entry(NamedTuple):
    """One inflected form of one vocabulary entry. `entries` finds it by its first word."""

    words: tuple[str, ...]  # as they are written in a caption
    category: str
    pool: str  # "" for a fixed compound
    group: int
    word: str  # as it is in the vocabulary: singular or infinitive
    form: str  # Penn Treebank tag; "" if the entry has one form
    near: frozenset[str] = frozenset()  # words of other groups that can be true at the same time
    kin: frozenset[str] = frozenset()  # the other forms of all words of its group


class Group(NamedTuple):
    """Words that can be true of the same thing."""

    targets: tuple[str, ...]  # entries that can be drawn
    sources: tuple[str, ...]  # entries that can be replaced
    words: frozenset[str]  # every form of every entry; if one of them is true, the whole group counts as true
    uncounted: frozenset[str] = frozenset()  # sources without a plural of their own


@lru_cache(maxsize=1)
def _inflections() -> Any:
    """lemminflect's inflector, imported without lemminflect's __init__.

    That __init__ imports spaCy if it is installed: 3.0 s and hundreds of modules in every training process. So an empty
    package of the same name replaces it while the one submodule loads (0.07 s), and is removed afterwards: `import
    lemminflect` elsewhere still gets the real package.
    """
    loaded = sys.modules.get("lemminflect")
    if loaded is None:
        spec = importlib.util.find_spec("lemminflect")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("no module lemminflect; install it: python -m pip install lemminflect")
        empty = types.ModuleType("lemminflect")
        empty.__path__ = list(spec.submodule_search_locations)
        sys.modules["lemminflect"] = empty
    try:
        return importlib.import_module("lemminflect.core.Inflections").Inflections()
    finally:
        if loaded is None:
            del sys.modules["lemminflect"]


@cache
def inflect(entry: str, form: str) -> str:
    """An entry inflected to a Penn Treebank tag: ("play", "VBZ") -> "plays", ("hot dog", "NNS") -> "hot dogs"."""
    *front, last = entry.split(" ")
    if form not in ("NN", "VB", "VBP", ""):
        known = VOCABULARY.irregular.get((last, form)) or next(iter(_inflections().getInflection(last, form)), last)
        return " ".join((*front, known))
    return entry


def forms_of(pool: str) -> tuple[str, ...]:
    """The tags of all forms of the words of a pool; ("",) if they have one form."""
    category = pool.partition(".")[0]
    if category == "action":
        return VERB_FORMS
    return ("",) if category in VOCABULARY.one_form or pool in VOCABULARY.one_form else _NOUN_FORMS


@lru_cache(maxsize=1)
def pools() -> Mapping[str, tuple[Group, ...]]:
    """Pool -> its groups."""
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
    """Category -> its groups. Nothing is inflected here: that would slow down the import of this module."""
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
    """For each group of a pool, the words of other groups that must not replace its words (`[near]`)."""
    near = []
    for group in pools()[pool]:
        known = {*group.targets, *group.sources}
        near.append(frozenset().union(*(b for a, b in VOCABULARY.near.get(pool, ()) if not a.isdisjoint(known))))
    return tuple(near)


@lru_cache(maxsize=1)
def entries() -> Mapping[str, tuple[Entry, ...]]:
    """First word -> the entries that begin with it, the longest first, then in the order of the vocabulary."""
    index: dict[str, list[Entry]] = {}
    for phrase in VOCABULARY.fixed:
        words = tuple(phrase.split())
        index.setdefault(words[0], []).append(Entry(words, "", "", 0, phrase, ""))
    for entry in _all_entries():
        index.setdefault(entry.words[0], []).append(entry)
    return {first: tuple(sorted(found, key=lambda entry: -len(entry.words))) for first, found in index.items()}


def _all_entries() -> Iterator[Entry]:
    """Every form of every word that can be replaced, in the order of the vocabulary."""
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
    """All forms of all entries of a category."""
    return frozenset(
        word
        for pool, groups in pools().items()
        if pool.partition(".")[0] == category
        for g in groups
        for word in g.words
    )
