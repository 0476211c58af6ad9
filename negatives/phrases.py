"""Reads what exchanges need from a caption: its noun phrases, its people and animals, and what they do.

"Being" means person or animal. Phrases are read from tags and neighbouring words: the heads that small parsers assign
are wrong too often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from negatives.caption import ANY_NOUN, Caption, plain_verbs, third_persons
from negatives.vocabulary import VOCABULARY, inflect, pools

WORDS = VOCABULARY.exchange
BEINGS = frozenset(("person", "animal"))
_MODIFIERS = frozenset(("JJ", "JJR", "JJS", "VBN", "HYPH"))
_DETERMINERS = frozenset(("DT", "CD", "PRP$", "POS", "PDT", "WDT", "WP$"))
_WEARING = frozenset(("in", "with", "wearing", "wears", "dressed"))
_GENDER = "mf"  # every gender pool lists the male group first


class Noun(NamedTuple):
    """What the vocabulary knows of a noun.

    kind: "person", "animal", "garment", ... as in `[exchange]` `kinds`; "" if unknown.
    group: nouns of the same kind and group can name the same thing.
    gender: "m", "f" or "". age: "baby", "child", "teen", "adult" or "". Both only for people.
    """

    kind: str
    group: object
    gender: str = ""
    age: str = ""


class Attribute(NamedTuple):
    """An attribute of a noun phrase, tokens first..last. "Black and white" is one attribute."""

    pool: str
    words: frozenset[str]
    groups: frozenset[int]
    first: int
    last: int


class Phrase(NamedTuple):
    """A noun phrase: determiner at token `start` (none if start == first), modifiers from `first`, noun at `head`."""

    start: int
    first: int
    head: int
    word: str
    noun: Noun
    attributes: tuple[Attribute, ...] = ()
    plural: bool = False
    determiner: str = ""
    is_owned: bool = False  # "his dog": its attributes can be exchanged, but not the noun
    is_odd: bool = False  # "another dog", a hyphen, ...: no part of it can be exchanged
    names_other: bool = False  # another being or garment modifies the noun: "dog house", "hat wave"
    sentence: int = 0

    def is_made_of(self, material: Attribute) -> bool:
        """Is the material just before the noun or before another attribute? Not in "a stone paved street"."""
        before = (self.head - 1, self.head, *(other.first for other in self.attributes))
        return material.last + 1 in before


class Being(NamedTuple):
    """A person or animal with its verb, and its details: (link, phrase), such as ("in", "a red shirt")."""

    phrase: Phrase
    details: tuple[tuple[str, Phrase], ...]
    auxiliary: int  # token; -1: none
    verb: int  # token; -1: none
    end: int  # the first token after phrase and details
    begins_clause: bool  # then the verb after it is its own

    def worn(self) -> list[Phrase]:
        """The garments and colours that it wears."""
        return [
            phrase for link, phrase in self.details if link in _WEARING and phrase.noun.kind in ("garment", "colour")
        ]


class Relation(NamedTuple):
    """A relation that has a direction: "a dog chases a cat", "a cup above a ball"."""

    subject: Phrase
    object: Phrase
    types: frozenset[
        str
    ]  # keys of `[exchange]` verbs or prepositions: "any", "people", "animals", "place", "side", ...
    verb: int  # token; -1: none ("a cup above a ball")


_UNKNOWN = Noun("", None)


@lru_cache(maxsize=1)
def known_nouns() -> dict[str, Noun]:
    """Singular or plural -> noun, for every noun of the vocabulary that takes part in exchanges."""
    found: dict[str, Noun] = {}
    for pool in sorted(pools(), key=lambda pool: not pool.endswith((".any", ".one"))):  # "dog" before its breeds
        for number, group in enumerate(pools()[pool]):
            for word in group.words:
                noun = _noun(pool, number, word)
                if noun is not None and noun.gender:
                    found[word] = noun
                elif noun is not None:
                    found.setdefault(word, noun)
    for word in WORDS.lists["garment"]:
        found.setdefault(word, Noun("garment", word))
    found |= {word: Noun("hair", word) for word in WORDS.lists["hair"]}
    return found | {word: Noun("person", "") for word in WORDS.lists["anybody"]}


def _noun(pool: str, number: int, word: str) -> Noun | None:
    """The noun of a word of a group; None if exchanges do not use the pool."""
    category, _, name = pool.partition(".")
    if category == "gender":
        age = {"child": "child", "sibling": "", "offspring": "", "noun": ""}.get(name, "adult")
        return None if name == "adjective" else Noun("person", "", _GENDER[number], age)
    if pool == "person.age":
        return Noun("person", "", "", _ages().get(word, "child"))
    kind = WORDS.kinds.get(pool) or WORDS.kinds.get(category)
    return Noun(kind, (pool, number)) if kind else None


@lru_cache(maxsize=1)
def _ages() -> dict[str, str]:
    ages = {"baby": "baby", "infant": "baby", "toddler": "baby", "teenager": "teen", "teen": "teen"}
    return ages | {inflect(word, "NNS"): age for word, age in ages.items()}


@lru_cache(maxsize=1)
def known_attributes() -> dict[str, tuple[str, int]]:
    """Attribute word -> its pool and group. Attributes of different groups of a pool exclude each other."""
    found: dict[str, tuple[str, int]] = {}
    for pool in WORDS.attributes:
        for number, group in enumerate(pools().get(pool, ())):
            for word in group.words:
                if " " not in word:
                    found.setdefault(word, (pool, number))
    return found


def verb_forms(verbs: Iterable[str]) -> frozenset[str]:
    """The forms of some infinitives, without the past participle."""
    return frozenset(inflect(verb, form) for verb in verbs for form in ("VB", "VBZ", "VBG", "VBD"))


@lru_cache(maxsize=1)
def _directed_verbs() -> dict[str, frozenset[str]]:
    """Form of a verb with a direction -> the types of its relation ("any", "animals", "people")."""
    forms = {who: verb_forms(verbs) for who, verbs in WORDS.verbs.items()}
    return {word: frozenset(who for who in forms if word in forms[who]) for word in frozenset().union(*forms.values())}


@lru_cache(maxsize=1)
def _movers() -> frozenset[str]:
    """Forms of verbs that a direction can follow: "runs behind", "barks at"."""
    wanted = [pools().get(pool, ()) for pool in ("action.path", "action.place")]
    moving = [verb for groups in wanted for group in groups for verb in group.sources]
    return verb_forms([*moving, "bark", "growl", "lunge"])


@lru_cache(maxsize=1)
def numbers() -> dict[str, str]:
    """Singular of a being -> its plural, and plural -> singular."""
    beings = [
        w for w, noun in known_nouns().items() if (noun.kind in BEINGS and noun.group != "") or noun.gender or noun.age
    ]
    plurals = {word: inflect(word, "NNS") for word in beings}
    plurals = {word: plural for word, plural in plurals.items() if plural in known_nouns() and plural != word}
    return plurals | {plural: word for word, plural in plurals.items()}


@lru_cache(maxsize=1)
def rough_kinds() -> dict[str, str]:
    """Word -> "being", "thing" or a pool of attributes. A caption needs two words of the same value for an exchange."""
    found = {word: "being" if noun.kind in BEINGS else "thing" for word, noun in known_nouns().items()}
    return found | {word: pool for word, (pool, _) in known_attributes().items()}


class Phrases:
    """The phrases, beings and relations of a caption. `tags` are its tags, with wrong noun tags of verbs corrected."""

    def __init__(self, caption: Caption) -> None:
        self.parse, self.words, self.size = caption.parse, caption.words, caption.size
        self.word, self.caption = caption.word, caption
        self.tags = list(caption.tags)
        for i in range(1, self.size):
            if self.tags[i] in ANY_NOUN:
                self.tags[i] = self._verb_tag(i)
        self.phrases = list(self._phrases())
        self.at = {phrase.start: phrase for phrase in self.phrases}
        self.beings = [self._being(phrase) for phrase in self.phrases if phrase.noun.kind in BEINGS]

    def _verb_tag(self, i: int) -> str:
        """The tag of token `i`, a noun or a verb that is tagged as one: "the man skis", "two men in shirts play"."""
        words, tag, known = self.words, self.tags[i], known_nouns()
        if self.tag(i + 1) in ANY_NOUN and known.get(words[i + 1], _UNKNOWN).kind not in BEINGS:
            return tag
        word, kind = words[i], known.get(words[i - 1], _UNKNOWN).kind
        is_colour = words[i - 1] in known_attributes() and self.word(i - 2) == "in"
        if word in plain_verbs() and (kind == "garment" or is_colour or (kind in BEINGS and self.tags[i - 1] == "NNS")):
            return "VBP"
        if (kind in BEINGS or is_colour) and word.endswith("ing"):
            return "VBG"
        if word in third_persons() and (
            kind in BEINGS or is_colour or (tag == "NNS" and kind in ("garment", "movable"))  # "a man with a bag talks"
        ):
            return "VBZ"
        return tag

    def tag(self, i: int) -> str:
        return self.tags[i] if 0 <= i < self.size else ""

    def _phrases(self) -> Iterator[Phrase]:
        """The noun phrases of the caption, in order. A colour without a noun ("a man in red") is a phrase too."""
        words, tags, known, nouns = self.words, self.tags, known_attributes(), known_nouns()
        i = sentence = 0
        while i < self.size:
            sentence += words[i] in (".", "!", "?")
            is_colour = known.get(words[i], ("",))[0] == "colour.any"
            if tags[i] not in ANY_NOUN and not is_colour:
                i += 1
                continue
            last = i
            while self.tag(last + 1) in ANY_NOUN or (words[last] in ("t", "x") and self.word(last + 1) == "-"):
                last += 1 + (words[last + 1] == "-")
            if is_colour and last == i:
                while self.word(last + 1) in ("and", "/") and self.word(last + 2) in known:
                    last += 2
                follows = self.tag(last + 1)
                stands_alone = follows not in ANY_NOUN and follows not in _MODIFIERS and self.word(last + 1) != ","
                if stands_alone and self.word(i - 1) in ("in", "wearing"):
                    colour = self._attribute(i, last)
                    yield Phrase(i, i, last, "", Noun("colour", ""), (colour,), sentence=sentence)
            else:
                yield self._phrase(i, last, nouns.get(words[last]) or Noun("", words[last]), sentence)
            i = last + 1

    def _phrase(self, i: int, last: int, noun: Noun, sentence: int) -> Phrase:
        """The noun phrase whose nouns are the tokens i..last."""
        words, tags = self.words, self.tags
        first, is_odd = self._first(i)
        start, determiner, is_owned = first, "", self.tag(last + 1) == "POS"
        if first and tags[first - 1] in _DETERMINERS:
            start, determiner = first - 1, words[first - 1]
            is_owned = is_owned or tags[start] in ("PRP$", "POS", "WP$")
            is_odd = is_odd or tags[start] == "PDT" or (determiner in ("these", "those") and tags[last] == "NN")
            is_odd = is_odd or (tags[start] == "CD" and self.word(start - 1) == "a")
            if tags[start] == "CD" and self.word(start - 1) == "the":
                start -= 1
        attributes, is_unclear = self._attributes(start, last)
        is_odd = is_odd or self.caption.is_joined(first, last)
        is_odd = is_odd or not WORDS.lists["untouched"].isdisjoint(words[start : last + 1])
        return Phrase(
            start,
            first,
            last,
            words[last],
            noun,
            attributes,
            plural=tags[last] in ("NNS", "NNPS"),
            determiner=determiner,
            is_owned=is_owned,
            is_odd=is_odd or is_unclear,
            names_other=any(
                known_nouns().get(word, _UNKNOWN).kind in ("person", "animal", "garment") for word in words[first:last]
            ),
            sentence=sentence,
        )

    def _first(self, i: int) -> tuple[int, bool]:
        """The first modifier of the noun at `i`; True if it is unclear whether words before it modify the noun too."""
        words, tags, known = self.words, self.tags, known_attributes()
        while i:
            word, tag = words[i - 1], tags[i - 1]
            if (
                tag in _MODIFIERS
                or word == "-"
                or (word in known and tag not in ("CD", "VBZ", "VBP"))
                or (tag == "RB" and tags[i] == "JJ")
                or (tag == "VBG" and (i == 1 or tags[i - 2] == "DT") and self.parse.dep[i - 1] == "amod")
            ):
                i -= 1
            elif word in ("and", "/") and i > 1 and words[i] in known and words[i - 2] in known:
                if known[words[i]][0] != known[words[i - 2]][0]:
                    return i, True
                i -= 2
            else:
                is_listed = word in (",", "or", "&") and i > 1
                return i, is_listed and (tags[i - 2] in _MODIFIERS or words[i - 2] in known)
        return i, False

    def _attribute(self, first: int, last: int) -> Attribute:
        known = known_attributes()
        words = frozenset(word for word in self.words[first : last + 1] if word in known)
        pool = known[self.words[last]][0]
        return Attribute(pool, words, frozenset(known[word][1] for word in words), first, last)

    def _attributes(self, start: int, head: int) -> tuple[tuple[Attribute, ...], bool]:
        """The attributes between determiner and noun; True if they cannot be read reliably."""
        words, known = self.words, known_attributes()
        found: list[Attribute] = []
        i = start
        while i < head:
            if words[i] not in known:
                i += 1
                continue
            pool, last = known[words[i]][0], i
            while last + 2 < head and words[last + 1] in ("and", "/", "-", ","):
                after = last + 2 + (words[last + 2] in ("and", "-"))
                if after >= head or known.get(words[after], ("",))[0] != pool:
                    break
                last = after
            if "-" in (words[last + 1], self.word(i - 1)):  # "three-wheeled", "hot-pink"
                return (), True
            first = i - (i > start and words[i - 1] in WORDS.shades and pool == "colour.any")
            found.append(self._attribute(first, last))
            i = last + 1
        return tuple(found), len({attribute.pool for attribute in found}) < len(found)

    def _being(self, phrase: Phrase) -> Being:
        """The being of a phrase, with the details and the verb that follow it."""
        words, at = self.words, self.at
        details: list[tuple[str, Phrase]] = []
        auxiliary = verb = -1
        i = phrase.head + 1
        while i < self.size:
            word, after = words[i], self.word(i + 1)
            goes_on = word in ("who", "that", ",") and after in ("is", "are", "wearing", "dressed", "holding")
            if goes_on or (word == "also" and after in WORDS.lists["link"]):
                i += 1
            elif word in WORDS.lists["aux"] and auxiliary < 0 and after in ("wearing", "holding", "dressed"):
                auxiliary, verb = i, i + 1
                i += 1
            elif word in WORDS.lists["link"]:
                following = at.get(i + 1 + (word == "dressed" and after == "in"))
                if following is None or following.noun.kind in BEINGS:
                    break
                if self.tags[i] in ("VBZ", "VBP"):
                    verb = i
                details.append((word, following))
                i = following.head + 1
            elif word in ("and", ",") and details and details[-1][1].noun.kind in ("garment", "colour"):
                following = at.get(i + 1)
                if following is None or following.noun.kind != "garment":
                    break
                details.append((details[-1][0], following))
                i = following.head + 1
            else:
                break
        end = i
        if verb < 0:
            i = self._past_adverbs(i)
            if self.word(i) in WORDS.lists["aux"]:
                auxiliary = i
                i = self._past_adverbs(i + 1)
            i += self.word(i) == "being"
            if self.tag(i).startswith("VB"):
                verb = i
        before = self.word(phrase.start - 1)
        begins_clause = not phrase.start or before in WORDS.lists["boundary"]
        begins_clause = begins_clause or (before in WORDS.lists["aux"] and self.word(phrase.start - 2) == "there")
        return Being(phrase, tuple(details), auxiliary, verb, end, begins_clause)

    def _past_adverbs(self, i: int) -> int:
        while self.tag(i) == "RB":
            i += 1
        return i

    def relations(self) -> Iterator[Relation]:
        """The relations of the caption that have a direction."""
        for being in self.beings:
            if not being.begins_clause:
                continue
            verb, i = being.verb, being.end
            if verb >= i:
                i = verb + 1
                types = _directed_verbs().get(self.words[verb])
                is_passive = self.word(i) == "by" and self.tags[verb] in ("VBN", "VBD")
                found = self.at.get(i + (is_passive or self.word(i) == "after"))
                if types is not None and found is not None and found.noun.kind in BEINGS:
                    yield Relation(being.phrase, found, types, verb)
                    continue
            elif being.auxiliary >= i:
                i = being.auxiliary + 1
            elif verb >= 0:
                continue
            while self.tag(i) == "RB" and self.words[i] in WORDS.lists["adverb"]:
                i += 1
            yield from self._preposition(being.phrase, i, verb)
        for phrase in self.phrases:
            before = self.word(phrase.start - 1)
            if phrase.noun.kind in BEINGS or phrase.noun.kind == "colour":
                continue
            if not phrase.start or before in ("exactly", "shows", "see", ",", "while", "is", "are"):
                is_aux = self.word(phrase.head + 1) in WORDS.lists["aux"]
                yield from self._preposition(phrase, phrase.head + 1 + is_aux, -1)

    def _preposition(self, subject: Phrase, i: int, verb: int) -> Iterator[Relation]:
        """The relation of a subject by the preposition at token `i`, if one with a direction is there."""
        for name, words in _prepositions().get(self.word(i), ()):
            if tuple(self.words[i : i + len(words)]) == words:
                if name in ("over", "at", "upon") and verb >= 0 and self.words[verb] not in _movers():
                    return
                i += len(words)
                i += self.word(i) == "exactly"
                if i in self.at:
                    yield Relation(subject, self.at[i], frozenset((name,)), verb)
                return

    def clauses(self) -> Iterator[tuple[Being, Being]]:
        """Every two subjects that do different things at the same time: "a man sits while a woman stands"."""
        tags, lemmas = self.tags, self.parse.lemma
        for one, two in combinations(self.beings, 2):
            before = self.word(two.phrase.start - 1)
            if (
                not one.begins_clause
                or one.verb < 0
                or one.verb > two.phrase.start
                or one.phrase.sentence != two.phrase.sentence
            ):
                continue
            if one.phrase.start and self.word(one.phrase.start - 1) not in WORDS.lists["clause"]:
                continue
            if before == "with" and self.words[two.end - 3 : two.end] == ["in", "the", "background"]:
                yield one, two
                continue
            if two.verb < 0 or lemmas[one.verb] == lemmas[two.verb]:
                continue
            if before == "with":
                if tags[two.verb] != "VBG":
                    continue
            elif before in WORDS.lists["clause"]:
                if before == "as" and self.word(two.phrase.start - 2) in WORDS.lists["not_as"]:
                    continue
            else:
                finite = all(being.auxiliary >= 0 or tags[being.verb] in ("VBZ", "VBP") for being in (one, two))
                between = self.words[one.phrase.head : two.phrase.start]
                if before not in ("and", "but") or not finite or sum(w in ("and", "while", "as") for w in between) > 1:
                    continue
            yield one, two

    def owner(self, phrase: Phrase) -> Being | None:
        """The being that wears or has what a phrase names."""
        return next((being for being in self.beings if any(phrase is detail for _, detail in being.details)), None)


@lru_cache(maxsize=1)
def _prepositions() -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """First word -> (type, words) of the prepositions that begin with it, the longest first."""
    index: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name, prepositions in WORDS.prepositions.items():
        for words in prepositions:
            index.setdefault(words[0], []).append((name, words))
    return {first: tuple(sorted(found, key=lambda item: -len(item[1]))) for first, found in index.items()}
