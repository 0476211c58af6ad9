"""Hard negatives with the words of the caption itself: two of its phrases change places.

exchanges = find_exchanges(parse)                # once per caption
negative = exchange(parse, rng.choice(exchanges))

"A red apple and a green cup" -> "a green apple and a red cup": a judge of single words cannot tell the two apart. The
kinds are those of Winoground (Thrush et al. 2022), ARO (Yuksekgonul et al. 2023) and the "swap" of SugarCrepe (Hsieh
et al. 2023). As SugarCrepe found, most exchanges of arbitrary words are nonsense that gives itself away without the
picture: so both phrases must fit both places here.

Such pairs are rare: of 30,045 captions of Flickr8k's training split, 30 % name two beings, two colours or two garments,
and 4.4 % have an exchange; of drawn scenes' captions, 29 %. Of 310 read, 3 % were odd English and none was true.

Only what is surely false is offered. An exchange leaves the caption true where the meaning is symmetric ("a man next
to a woman") and where both descriptions may fit one thing ("a child pushes a girl": she may well be a child too).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from negatives.edits import like, splice, takes_an
from negatives.text import Edit, Negative, Parse
from negatives.vocabulary import LIST, VOCABULARY, inflect, pools

Offer = tuple[str, tuple[Edit, ...] | None]  # category, edits; None where they cannot be written


class Exchange(NamedTuple):
    """Two phrases that may change places: the edits (start, end, new text, is it content?) that do it.

    category: attribute (colours, sizes, ... of two things), number, clothing (who wears what), agent (who does what,
    or to whom), action (what two agents do), object (what two agents have), relation (what is where).
    """

    category: str
    edits: tuple[Edit, ...]


class _Noun(NamedTuple):
    """What is known of a noun. Nouns of one kind and group may name the same thing; people also have gender and age."""

    kind: str
    group: object
    gender: str = ""
    age: str = ""


class _Unit(NamedTuple):
    """An attribute of a noun phrase, tokens first..last: "black and white" is one."""

    pool: str
    words: frozenset[str]
    groups: frozenset[int]
    first: int
    last: int


class _Phrase(NamedTuple):
    """A noun phrase: determiner at `start` (none: start == first), modifiers from `first`, noun at `head`."""

    start: int
    first: int
    head: int
    word: str
    noun: _Noun
    units: tuple[_Unit, ...] = ()
    plural: bool = False
    determiner: str = ""
    is_owned: bool = False  # "his dog": its attributes may be exchanged, but nothing else takes its place
    is_odd: bool = False  # "another dog", a hyphen, ...: left alone
    names_other: bool = False  # "the dog house", "a hat wave": the noun is no being and no garment
    sentence: int = 0

    def is_made_of(self, unit: _Unit) -> bool:
        """Does the unit stand just before the noun, or before another attribute? Not "a stone paved street"."""
        return unit.last + 1 in (self.head, self.head - 1) or any(unit.last + 1 == other.first for other in self.units)


class _Being(NamedTuple):
    """A person or animal with what follows it: what it wears or has (link, phrase), its auxiliary and its verb."""

    phrase: _Phrase
    tail: tuple[tuple[str, _Phrase], ...]
    auxiliary: int
    verb: int
    end: int  # the first token after phrase and tail
    leads: bool  # is it at the start of its clause, so that the verb behind it is its own?

    def worn(self) -> list[_Phrase]:
        return [phrase for link, phrase in self.tail if link in _WEARING and phrase.noun.kind in ("garment", "colour")]


class _Link(NamedTuple):
    """A relation that has a direction: "a dog chases a cat", "a cup above a ball"."""

    subject: _Phrase
    object: _Phrase
    how: frozenset[str]
    verb: int
    auxiliary: int


_WORDS = VOCABULARY.exchange
_LIST = _WORDS.lists
_NOUN_TAGS = frozenset(("NN", "NNS", "NNP", "NNPS"))
_ADJECTIVES = frozenset(("JJ", "JJR", "JJS", "VBN", "HYPH"))
_DETERMINERS = frozenset(("DT", "CD", "PRP$", "POS", "PDT", "WDT", "WP$"))
_BEINGS = frozenset(("person", "animal"))
_WEARING = frozenset(("in", "with", "wearing", "wears", "dressed"))
_MOVABLE = frozenset(("held", "food", "garment", "animal"))
_AGREEMENT = {"is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has"}
_UNKNOWN = _Noun("", None)


@lru_cache(maxsize=1)
def _nouns() -> dict[str, _Noun]:
    ages = {"baby": "baby", "infant": "baby", "toddler": "baby", "teenager": "teen", "teen": "teen"}
    ages |= {inflect(word, "NNS"): age for word, age in ages.items()}
    by_name = {"child": "child", "sibling": "", "offspring": "", "noun": ""}
    found: dict[str, _Noun] = {}
    for pool in sorted(pools(), key=lambda pool: not pool.endswith((".any", ".one"))):  # "dog" before its breeds
        category, _, name = pool.partition(".")
        for number, group in enumerate(pools()[pool]):
            group_id = (pool, number)
            for word in group.words:
                if category == "gender" and name != "adjective":
                    noun = _Noun("person", "", "mf"[number], by_name.get(name, "adult"))
                elif pool == "person.age":
                    noun = _Noun("person", "", "", ages.get(word, "child"))
                elif category in ("person", "animal", "food"):
                    noun = _Noun(category, group_id)
                elif category == "clothing":
                    noun = _Noun("garment", group_id)
                elif category == "vehicle":
                    noun = _Noun("vehicle" if name in ("large", "boat") else "ridden", group_id)
                elif category == "object":
                    noun = _Noun("held" if pool in _WORDS.held else "fixture", group_id)
                else:
                    continue
                if noun.kind == "person" and category == "gender":
                    found[word] = noun
                else:
                    found.setdefault(word, noun)
    for word in _LIST["garment"]:
        found.setdefault(word, _Noun("garment", word))
    found |= {word: _Noun("hair", word) for word in _LIST["hair"]}
    return found | {word: _Noun("person", "") for word in _LIST["anybody"]}


@lru_cache(maxsize=1)
def _attributes() -> dict[str, tuple[str, int]]:
    """Attribute word -> its pool and group. Those of a pool exclude each other, so that they may be exchanged."""
    found: dict[str, tuple[str, int]] = {}
    for pool in _WORDS.attributes:
        for number, group in enumerate(pools().get(pool, ())):
            for word in group.words:
                if " " not in word:
                    found.setdefault(word, (pool, number))
    return found


def _forms(verbs: Iterable[str]) -> frozenset[str]:
    return frozenset(inflect(verb, form) for verb in verbs for form in ("VB", "VBZ", "VBG", "VBD"))


@lru_cache(maxsize=1)
def _directed_verbs() -> dict[str, frozenset[str]]:
    forms = {who: _forms(verbs) for who, verbs in _WORDS.verbs.items()}
    return {word: frozenset(who for who in forms if word in forms[who]) for word in frozenset().union(*forms.values())}


@lru_cache(maxsize=1)
def _giving() -> frozenset[str]:
    return _forms(_LIST["gives"])


@lru_cache(maxsize=1)
def _needs_size() -> frozenset[str]:
    """Words that tell who is the larger: "a man carries a boy"."""
    return _forms((*_WORDS.verbs["peers"], "hug")) | {"lap", "shoulders", "shoulder", "arms", "piggyback", "baby"}


@lru_cache(maxsize=1)
def _movers() -> frozenset[str]:
    """Forms of verbs that a direction may follow: "runs behind", "barks at"."""
    wanted = [pools().get(pool, ()) for pool in ("action.path", "action.place")]
    return _forms(
        [*(verb for groups in wanted for group in groups for verb in group.sources), "bark", "growl", "lunge"]
    )


@lru_cache(maxsize=1)
def _plain_verbs() -> frozenset[str]:
    groups = [group for pool, groups in pools().items() if pool.startswith("action.") for group in groups]
    return frozenset(verb for group in groups for verb in group.sources) | {"pose"}


@lru_cache(maxsize=1)
def _third_persons() -> frozenset[str]:
    return LIST["third_person"] | {inflect(verb, "VBZ") for verb in _plain_verbs()}


@lru_cache(maxsize=1)
def _small() -> frozenset[str]:
    return _LIST["small"].union(inflect(word, "NNS") for word in _LIST["small"])


@lru_cache(maxsize=1)
def _numbers() -> dict[str, str]:
    """Singular of a being -> its plural, and the other way round."""
    beings = [
        w for w, noun in _nouns().items() if (noun.kind in _BEINGS and noun.group != "") or noun.gender or noun.age
    ]
    plurals = {word: inflect(word, "NNS") for word in beings}
    plurals = {word: plural for word, plural in plurals.items() if plural in _nouns() and plural != word}
    return plurals | {plural: word for word, plural in plurals.items()}


@lru_cache(maxsize=1)
def _rough_kinds() -> dict[str, str]:
    """Word -> what it may be exchanged as. Two of a sort must be there, or the caption need not be read at all."""
    found = {word: "thing" for places in _WORDS.places.values() for word in places}
    found |= {word: "being" if noun.kind in _BEINGS else "thing" for word, noun in _nouns().items()}
    return found | {word: pool for word, (pool, _) in _attributes().items()}


class _Reading:
    """Noun phrases, beings and their verbs, by tags and neighbours: heads of small parsers are wrong too often."""

    def __init__(self, parse: Parse, words: list[str]) -> None:
        self.parse, self.words, self.size = parse, words, len(words)
        self.tags = list(parse.tag)
        nouns, thirds, plains = _nouns(), _third_persons(), _plain_verbs()
        for i in range(1, self.size):  # "the man skis", "a dog playing", "two men in shirts play": tagged as nouns
            if self.tags[i] not in _NOUN_TAGS:
                continue
            if self.tag(i + 1) in _NOUN_TAGS and nouns.get(words[i + 1], _UNKNOWN).kind not in _BEINGS:
                continue
            word, kind = words[i], nouns.get(words[i - 1], _UNKNOWN).kind
            is_colour = words[i - 1] in _attributes() and self.word(i - 2) == "in"
            if kind in _BEINGS or is_colour:
                if word.endswith("ing"):
                    self.tags[i] = "VBG"
                elif word in thirds:
                    self.tags[i] = "VBZ"
            if word in thirds and self.tags[i] == "NNS" and kind in ("garment", "held"):  # "a man with a bag talks"
                self.tags[i] = "VBZ"
            if word in plains and (kind == "garment" or is_colour or (kind in _BEINGS and self.tags[i - 1] == "NNS")):
                self.tags[i] = "VBP"
        self.phrases = list(self._phrases())
        self.at = {phrase.start: phrase for phrase in self.phrases}
        self.beings = [self._being(phrase) for phrase in self.phrases if phrase.noun.kind in _BEINGS]

    def word(self, i: int) -> str:
        return self.words[i] if 0 <= i < self.size else ""

    def tag(self, i: int) -> str:
        return self.tags[i] if 0 <= i < self.size else ""

    def _phrases(self) -> Iterator[_Phrase]:
        words, tags, attributes, nouns = self.words, self.tags, _attributes(), _nouns()
        i = sentence = 0
        while i < self.size:
            sentence += words[i] in (".", "!", "?")
            is_colour = attributes.get(words[i], ("",))[0] == "colour.any"
            if tags[i] not in _NOUN_TAGS and not is_colour:
                i += 1
                continue
            last = i
            while self.tag(last + 1) in _NOUN_TAGS or (words[last] in ("t", "x") and self.word(last + 1) == "-"):
                last += 1 + (words[last + 1] == "-")
            if is_colour and last == i:
                while self.word(last + 1) in ("and", "/") and self.word(last + 2) in attributes:
                    last += 2
                follows = self.tag(last + 1)
                stands_alone = follows not in _NOUN_TAGS and follows not in _ADJECTIVES and self.word(last + 1) != ","
                if stands_alone and self.word(i - 1) in ("in", "wearing"):
                    unit = self._unit(i, last)
                    yield _Phrase(i, i, last, "", _Noun("colour", ""), (unit,), sentence=sentence)
            else:
                yield self._phrase(i, last, nouns.get(words[last]) or _Noun("", words[last]), sentence)
            i = last + 1

    def _phrase(self, i: int, last: int, noun: _Noun, sentence: int) -> _Phrase:
        """The noun phrase whose nouns are the tokens i..last."""
        words, tags, text = self.words, self.tags, self.parse.text
        first, is_odd = self._first(i)
        start, determiner, is_owned = first, "", self.tag(last + 1) == "POS"
        if first and tags[first - 1] in _DETERMINERS:
            start, determiner = first - 1, words[first - 1]
            is_owned = is_owned or tags[start] in ("PRP$", "POS", "WP$")
            is_odd = is_odd or tags[start] == "PDT" or (determiner in ("these", "those") and tags[last] == "NN")
            is_odd = is_odd or (tags[start] == "CD" and self.word(start - 1) == "a")
            if tags[start] == "CD" and self.word(start - 1) == "the":
                start -= 1
        units, is_doubled = self._units(start, last)
        begin, end = self.parse.start[first], self.parse.end[last]
        is_glued = (begin > 0 and text[begin - 1] in "-'’/") or text[end : end + 1] in ("-", "/")
        return _Phrase(
            start,
            first,
            last,
            words[last],
            noun,
            units,
            plural=tags[last] in ("NNS", "NNPS"),
            determiner=determiner,
            is_owned=is_owned,
            is_odd=is_odd or is_doubled or is_glued or not _LIST["untouched"].isdisjoint(words[start : last + 1]),
            names_other=any(
                _nouns().get(word, _UNKNOWN).kind in ("person", "animal", "garment") for word in words[first:last]
            ),
            sentence=sentence,
        )

    def _first(self, i: int) -> tuple[int, bool]:
        """The first modifier of the noun at `i`, and whether more than that may belong to it."""
        words, tags, attributes = self.words, self.tags, _attributes()
        while i:
            word, tag = words[i - 1], tags[i - 1]
            if (
                tag in _ADJECTIVES
                or word == "-"
                or (word in attributes and tag not in ("CD", "VBZ", "VBP"))
                or (tag == "RB" and tags[i] == "JJ")
                or (tag == "VBG" and (i == 1 or tags[i - 2] == "DT") and self.parse.dep[i - 1] == "amod")
            ):
                i -= 1
            elif word in ("and", "/") and i > 1 and words[i] in attributes and words[i - 2] in attributes:
                if attributes[words[i]][0] != attributes[words[i - 2]][0]:
                    return i, True
                i -= 2
            else:
                is_listed = word in (",", "or", "&") and i > 1
                return i, is_listed and (tags[i - 2] in _ADJECTIVES or words[i - 2] in attributes)
        return i, False

    def _unit(self, first: int, last: int) -> _Unit:
        attributes = _attributes()
        said = frozenset(word for word in self.words[first : last + 1] if word in attributes)
        pool = attributes[self.words[last]][0]
        return _Unit(pool, said, frozenset(attributes[word][1] for word in said), first, last)

    def _units(self, start: int, head: int) -> tuple[tuple[_Unit, ...], bool]:
        """The attributes between determiner and noun, and whether they are too involved to be told apart."""
        words, attributes = self.words, _attributes()
        units: list[_Unit] = []
        i = start
        while i < head:
            if words[i] not in attributes:
                i += 1
                continue
            pool, last = attributes[words[i]][0], i
            while last + 2 < head and words[last + 1] in ("and", "/", "-", ","):
                after = last + 2 + (words[last + 2] in ("and", "-"))
                if after >= head or attributes.get(words[after], ("",))[0] != pool:
                    break
                last = after
            if "-" in (words[last + 1], self.word(i - 1)):  # "three-wheeled", "hot-pink"
                return (), True
            first = i - (i > start and words[i - 1] in _WORDS.shades and pool == "colour.any")
            units.append(self._unit(first, last))
            i = last + 1
        return tuple(units), len({unit.pool for unit in units}) < len(units)

    def _being(self, phrase: _Phrase) -> _Being:
        words, at = self.words, self.at
        tail: list[tuple[str, _Phrase]] = []
        auxiliary = verb = -1
        i = phrase.head + 1
        while i < self.size:
            word, after = words[i], self.word(i + 1)
            goes_on = word in ("who", "that", ",") and after in ("is", "are", "wearing", "dressed", "holding")
            if goes_on or (word == "also" and after in _LIST["link"]):
                i += 1
            elif word in _LIST["aux"] and auxiliary < 0 and after in ("wearing", "holding", "dressed"):
                auxiliary, verb = i, i + 1
                i += 1
            elif word in _LIST["link"]:
                following = at.get(i + 1 + (word == "dressed" and after == "in"))
                if following is None or following.noun.kind in _BEINGS:
                    break
                if self.tags[i] in ("VBZ", "VBP"):
                    verb = i
                tail.append((word, following))
                i = following.head + 1
            elif word in ("and", ",") and tail and tail[-1][1].noun.kind in ("garment", "colour"):
                following = at.get(i + 1)
                if following is None or following.noun.kind != "garment":
                    break
                tail.append((tail[-1][0], following))
                i = following.head + 1
            else:
                break
        end = i
        if verb < 0:
            i = self._past_adverbs(i)
            if self.word(i) in _LIST["aux"]:
                auxiliary = i
                i = self._past_adverbs(i + 1)
            i += self.word(i) == "being"
            if self.tag(i).startswith("VB"):
                verb = i
        before = self.word(phrase.start - 1)
        leads = not phrase.start or before in _LIST["boundary"]
        leads = leads or (before in _LIST["aux"] and self.word(phrase.start - 2) == "there")
        return _Being(phrase, tuple(tail), auxiliary, verb, end, leads)

    def _past_adverbs(self, i: int) -> int:
        while self.tag(i) == "RB":
            i += 1
        return i

    def links(self) -> Iterator[_Link]:
        words, at = self.words, self.at
        for being in self.beings:
            if not being.leads:
                continue
            verb, i = being.verb, being.end
            if verb >= i:
                i = verb + 1
                how = _directed_verbs().get(words[verb])
                if how is not None:
                    object_at = i + (self.word(i) == "after")
                    object_at += self.word(i) == "by" and self.tags[verb] in ("VBN", "VBD")
                    if object_at in at and at[object_at].noun.kind in _BEINGS:
                        yield _Link(being.phrase, at[object_at], how, verb, being.auxiliary)
                        continue
                if words[verb] in _giving():  # "throws a ball to", "takes a picture of"
                    given = at.get(i)
                    if given is not None and self.word(given.head + 1) in ("to", "at", "of") and given.head + 2 in at:
                        how = frozenset(("people",))
                        yield _Link(being.phrase, at[given.head + 2], how, verb, being.auxiliary)
                    continue
            elif being.auxiliary >= i:
                i = being.auxiliary + 1
            elif verb >= 0:
                continue
            while self.tag(i) == "RB" and words[i] in _LIST["adverb"]:
                i += 1
            yield from self._preposition(being.phrase, i, verb, being.auxiliary)
        for phrase in self.phrases:
            before = self.word(phrase.start - 1)
            if phrase.noun.kind in _BEINGS or phrase.noun.kind == "colour":
                continue
            if not phrase.start or before in ("exactly", "shows", "see", ",", "while", "is", "are"):
                is_aux = self.word(phrase.head + 1) in _LIST["aux"]
                i = phrase.head + 1 + is_aux
                yield from self._preposition(phrase, i, -1, phrase.head + 1 if is_aux else -1)

    def _preposition(self, subject: _Phrase, i: int, verb: int, auxiliary: int) -> Iterator[_Link]:
        for how, words in _prepositions().get(self.word(i), ()):
            if tuple(self.words[i : i + len(words)]) == words:
                if how in ("over", "at", "upon") and verb >= 0 and self.words[verb] not in _movers():
                    return
                i += len(words)
                i += self.word(i) == "exactly"
                if i in self.at:
                    yield _Link(subject, self.at[i], frozenset((how,)), verb, auxiliary)
                return

    def clauses(self) -> Iterator[tuple[_Being, _Being]]:
        """Pairs of subjects that do different things at a time: "a man sits while a woman stands"."""
        tags, lemmas = self.tags, self.parse.lemma
        for one, two in combinations(self.beings, 2):
            before = self.word(two.phrase.start - 1)
            if (
                not one.leads
                or one.verb < 0
                or one.verb > two.phrase.start
                or one.phrase.sentence != two.phrase.sentence
            ):
                continue
            if one.phrase.start and self.word(one.phrase.start - 1) not in _LIST["clause"]:
                continue
            if before == "with" and self.words[two.end - 3 : two.end] == ["in", "the", "background"]:
                yield one, two
                continue
            if two.verb < 0 or lemmas[one.verb] == lemmas[two.verb]:
                continue
            if before == "with":
                if tags[two.verb] != "VBG":
                    continue
            elif before in _LIST["clause"]:
                if before == "as" and self.word(two.phrase.start - 2) in _LIST["not_as"]:
                    continue
            else:
                finite = all(being.auxiliary >= 0 or tags[being.verb] in ("VBZ", "VBP") for being in (one, two))
                between = self.words[one.phrase.head : two.phrase.start]
                if before not in ("and", "but") or not finite or sum(w in ("and", "while", "as") for w in between) > 1:
                    continue
            yield one, two

    def owner(self, phrase: _Phrase) -> _Being | None:
        return next((being for being in self.beings if any(phrase is worn for _, worn in being.tail)), None)

    def fits_pronouns(self, one: _Phrase, two: _Phrase) -> bool:
        """Does every pronoun of the caption fit either of the two?"""
        genders = {one.noun.gender, two.noun.gender}
        if "f" in genders and not LIST["he"].isdisjoint(self.words):
            return False
        if "m" in genders and not LIST["she"].isdisjoint(self.words):
            return False
        kinds = {one.noun.kind, two.noun.kind}
        if kinds == {"person"}:
            return True
        pronouns = {"it", "its", "itself"}
        if len(kinds) > 1:
            pronouns |= LIST["he"] | LIST["she"]
        return pronouns.isdisjoint(self.words)

    def may_rename(self, one: _Phrase, two: _Phrase) -> bool:
        """May two beings take each other's name, as far as the rest of the caption is concerned?"""
        if one.is_odd or two.is_odd or one.is_owned or two.is_owned or _alike(one, two, "number"):
            return False
        if one.names_other or two.names_other or not self.fits_pronouns(one, two):
            return False
        words = {one.word, two.word, _numbers().get(one.word), _numbers().get(two.word)}
        if any(
            other.noun.kind in _BEINGS and other.word in words
            for other in self.phrases
            if other is not one and other is not two
        ):
            return False
        if one.noun.kind != two.noun.kind:  # no dog wears jeans
            tails = [being.tail for being in self.beings if being.phrase is one or being.phrase is two]
            return all(phrase.word == "background" for tail in tails for _, phrase in tail)
        if one.noun.gender != two.noun.gender and not _LIST["one_gender"].isdisjoint(self.words):
            return False
        return one.noun.age == two.noun.age or _needs_size().isdisjoint(self.words)

    def edits(
        self, one: tuple[int, int], two: tuple[int, int], *more: Edit, forms: tuple[str, str] | None = None
    ) -> tuple[Edit, ...] | None:
        """The edits that exchange the tokens of two spans (first, last); None if it is not clear how to write them.

        forms: the last word of what comes to the first and to the second span, where its number must change.
        """
        text, starts, ends = self.parse.text, self.parse.start, self.parse.end
        (a, b), (c, d) = one, two
        said = [text[starts[a] : ends[b]], text[starts[c] : ends[d]]]
        if said[0].lower() == said[1].lower():
            return None
        if forms is not None:
            said = [
                text[starts[first] : starts[last]] + like(text[starts[last] : ends[last]], form)
                for (first, last), form in ((one, forms[1]), (two, forms[0]))
            ]
        opens = [token == 0 or self.words[token - 1] in (".", "!", "?", '"') for token in (a, c)]
        for i, token in enumerate((a, c)):
            if (
                opens[i]
                and said[i][0].isupper()
                and not (said[i].isupper() and len(said[i]) > 1 and said[i][:2] != "A ")
            ):
                word = self.words[token]
                if word in _LIST["proper"] or (self.tags[token] in ("NNP", "NNPS") and word not in _rough_kinds()):
                    return None
                said[i] = said[i][0].lower() + said[i][1:]
        made: list[Edit] = []
        for token, last, new, is_first in ((a, b, said[1], opens[0]), (c, d, said[0], opens[1])):
            if is_first and text[starts[token]].isupper():
                new = new[0].upper() + new[1:]
            made.append((starts[token], ends[last], new, True))
            if token and self.words[token - 1] in ("a", "an"):
                old = text[starts[token - 1] : ends[token - 1]]
                article = "an" if takes_an(new.lower()) else "a"
                if article != old.lower():
                    fitted = article.upper() if old.isupper() and new.isupper() else like(old, article)
                    made.append((starts[token - 1], ends[token - 1], fitted, False))
        return tuple(sorted((*made, *more)))


@lru_cache(maxsize=1)
def _prepositions() -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """First word -> the prepositions it may begin and what they mean, the longest first."""
    index: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for how, prepositions in _WORDS.prepositions.items():
        for words in prepositions:
            index.setdefault(words[0], []).append((how, words))
    return {first: tuple(sorted(found, key=lambda item: -len(item[1]))) for first, found in index.items()}


def _may_be(one: _Phrase, two: _Phrase) -> bool:
    """May both nouns name one thing, whatever their attributes are?"""
    a, b = one.noun, two.noun
    if a.kind != b.kind:
        return False
    if a.kind != "person":
        return a.group == b.group
    if (a.gender and b.gender and a.gender != b.gender) or (a.age and b.age and a.age != b.age):
        return False
    if one.word in _LIST["anybody"] or two.word in _LIST["anybody"]:
        return True
    return a.group == b.group  # a skier and a man in one caption are not the same one


def _exclude(one: _Unit, two: _Unit) -> bool:
    """Are both attributes never said of one thing?"""
    if one.pool != two.pool or not one.groups.isdisjoint(two.groups):
        return False
    return not any(one.words & some and two.words & some for some in _WORDS.confused)


def _alike(one: _Phrase, two: _Phrase, but: str = "") -> bool:
    """May both phrases describe one thing? Attributes of the pool or category `but` are not looked at."""
    if one.plural != two.plural or not _may_be(one, two):
        return False
    return not any(_exclude(a, b) for a in one.units if not (but and a.pool.startswith(but)) for b in two.units)


def _interchangeable(one: _Phrase, two: _Phrase) -> bool:
    return one.plural == two.plural and bool(one.determiner) == bool(two.determiner)


def find_exchanges(parse: Parse) -> tuple[Exchange, ...]:
    """Every exchange that makes the caption false, each new text once, in a fixed order."""
    text, kinds = parse.text, _rough_kinds()
    words = [text[start:end].lower() for start, end in zip(parse.start, parse.end)]
    known = [kinds[word] for word in words if word in kinds]
    if len(set(known)) == len(known):
        return ()
    found: list[Exchange] = []
    seen = {text}
    for category, edits in _offers(_Reading(parse, words)):
        if edits is not None:
            new = splice(text, edits, "exchange", category).text
            if new not in seen and not _only_reorders(text, new):
                seen.add(new)
                found.append(Exchange(category, edits))
    return tuple(found)


def _only_reorders(text: str, new: str) -> bool:
    """Did two phrases change places around a word that does not care? "A man in red and a man in blue" """
    old, other = (["a" if word == "an" else word for word in each.lower().split()] for each in (text, new))
    changed = [i for i, (a, b) in enumerate(zip(old, other)) if a != b]
    if len(old) != len(other) or not changed:
        return False
    for i in range(1, len(old) - 1):
        for link in _SYMMETRIC:
            after = i + len(link)
            if tuple(old[i:after]) != link:
                continue
            for start in range(min(i, changed[0] + 1)):
                for end in range(max(after, changed[-1]) + 1, len(old) + 1):
                    if other[start:end] == [*old[after:end], *link, *old[start:i]]:
                        return True
    return False


_SYMMETRIC = tuple(tuple(link.split()) for link in "and|,|or|while|as|beside|near|with|next to|alongside".split("|"))


def exchange(parse: Parse, exchange: Exchange) -> Negative:
    """The caption with the two phrases in each other's place."""
    return splice(parse.text, exchange.edits, "exchange", exchange.category)


def _offers(reading: _Reading) -> Iterator[Offer]:
    links, clauses = list(reading.links()), list(reading.clauses())
    # Phrases that cannot stand for each other even if they have the same noun: they do not do the same.
    distinct = {frozenset((link.subject.start, link.object.start)) for link in links}
    distinct |= {frozenset((one.phrase.start, two.phrase.start)) for one, two in clauses}
    yield from _exchange_attributes(reading, distinct)
    for link in links:
        yield from _exchange_linked(reading, link)
    for one, two in clauses:
        yield from _exchange_subjects(reading, one, two)
    yield from _exchange_places(reading)
    for one, two in combinations(reading.beings, 2):
        if one.phrase.sentence == two.phrase.sentence and not _alike(one.phrase, two.phrase):
            yield from _exchange_clothing(reading, one, two)
            yield from _exchange_actions(reading, one, two)
            yield from _exchange_objects(reading, one, two)
            yield from _exchange_counted(reading, one, two)


def _exchange_attributes(reading: _Reading, distinct: set[frozenset[int]]) -> Iterator[Offer]:
    """ "A red apple and a green cup", "two dogs and three cats": attributes of one pool that exclude each other."""
    told = [(phrase, unit) for phrase in reading.phrases for unit in phrase.units]
    for (one, a), (two, b) in combinations(told, 2):
        if one is two or one.is_odd or two.is_odd or one.sentence != two.sentence or not _exclude(a, b):
            continue
        if not (_fits(a, b, two) and _fits(b, a, one) and _differ(reading, one, two, a.pool, distinct)):
            continue
        if any(  # "a red cup, a blue ball and a blue cup": true of the other cup
            other is not one
            and other is not two
            and ((_may_be(other, one) and not _exclude(unit, b)) or (_may_be(other, two) and not _exclude(unit, a)))
            for other, unit in told
            if unit.pool == a.pool
        ):
            continue
        category = "number" if a.pool.startswith("number") else "attribute"
        yield category, reading.edits((a.first, a.last), (b.first, b.last))


def _differ(reading: _Reading, one: _Phrase, two: _Phrase, pool: str, distinct: set[frozenset[int]]) -> bool:
    """Is it sure that what is said of the one is not true of the other?"""
    if frozenset((one.start, two.start)) in distinct:
        return True
    mine, other = reading.owner(one), reading.owner(two)
    is_worn = [
        phrase.noun.kind in ("garment", "colour", "hair") or (phrase.noun.kind == "" and owner is not None)
        for phrase, owner in ((one, mine), (two, other))
    ]
    if not all(is_worn):
        return not _alike(one, two, pool)
    if mine is other:  # worn by one person, or by nobody who is known
        return "colour" not in (one.noun.kind, two.noun.kind) and one.noun.group != two.noun.group
    if mine is None or other is None:
        return False
    return frozenset((mine.phrase.start, other.phrase.start)) in distinct or not _alike(mine.phrase, other.phrase)


def _fits(new: _Unit, old: _Unit, phrase: _Phrase) -> bool:
    """May the noun of `phrase` be described by `new` as naturally as by `old`?"""
    kind, word, pool = phrase.noun.kind, phrase.word, new.pool
    if pool.startswith("number"):
        counts = phrase.plural and word not in _LIST["not_counted"] and "one" not in new.words
        return counts and (kind != "" or word not in _third_persons())
    if pool == "colour.any":
        if kind == "person" or word in _LIST["no_colour"] or phrase.names_other:
            return False
        if kind == "hair":
            return new.words <= _LIST["natural"] | {"red"}
        if kind == "animal":  # a drawn purple cat may as well be green
            return new.words <= _LIST["natural"] or not old.words.isdisjoint(("purple", "pink", "green", "blue"))
        return word != "tree" or "green" not in new.words | old.words
    if pool == "state.age":
        return kind == "person" and phrase.noun.age == "adult"
    if pool == "material.any":
        is_plain = new.words | old.words <= {"wooden", "wood", "metal", "plastic", "stone"}
        return is_plain and kind not in ("person", "animal", "garment") and phrase.is_made_of(old)
    if pool == "pattern.any":
        return kind not in _BEINGS or kind == "animal"
    return kind != "person"


def _exchange_linked(reading: _Reading, link: _Link) -> Iterator[Offer]:
    """ "A dog chases a cat": subject and object, with the verb's agreement if their numbers differ."""
    words, (one, two, *_) = reading.words, link
    if not _may_turn(link) or not reading.may_rename(one, two):
        return
    category = "agent" if {one.noun.kind, two.noun.kind} <= _BEINGS else "relation"
    if _interchangeable(one, two):
        yield category, reading.edits((one.first, one.head), (two.first, two.head))
        return
    if one.start and words[one.start - 1] not in _LIST["clause"]:
        return
    if "peers" in link.how or not LIST["plural_only"].isdisjoint(words):
        return
    if any(being.tail for being in reading.beings if being.phrase is one or being.phrase is two):
        return
    if any(not phrase.plural and not phrase.determiner for phrase in (one, two)):
        return
    finite = [i for i, tag in enumerate(reading.tags) if tag in ("VBZ", "VBP") or words[i] in _LIST["aux"]]
    if any(word in _third_persons() and words[i] in ("and", ",") for i, word in enumerate(words[1:])):
        return
    more: list[Edit] = []
    if finite and one.plural != two.plural:
        acting = link.auxiliary if link.auxiliary >= 0 else link.verb
        if finite != [acting]:
            return
        new = _AGREEMENT.get(words[acting])
        if new is None:
            base = reading.parse.lemma[acting].lower()
            new = inflect(base, "VBP" if two.plural else "VBZ")
            if words[acting] not in (base, inflect(base, "VBZ")) or new == words[acting]:
                return
        start, end = reading.parse.start[acting], reading.parse.end[acting]
        more.append((start, end, like(reading.parse.text[start:end], new), False))
    yield category, reading.edits((one.start, one.head), (two.start, two.head), *more)


def _may_turn(link: _Link) -> bool:
    """Is the relation as natural the other way round?"""
    one, two, how = link.subject, link.object, link.how
    a, b = one.noun, two.noun
    kinds = {a.kind, b.kind}
    if "side" in how:
        return link.verb < 0 or kinds <= _BEINGS
    if kinds <= _BEINGS:
        if "baby" in (a.age, b.age) or (one.word in _small()) != (two.word in _small()):
            return False
        if not how.isdisjoint(("any", "place", "over", "height")):
            return True
        if len(kinds) > 1:
            return False
        if "at" in how:
            return True
        if kinds == {"animal"}:
            return not how.isdisjoint(("animals", "upon"))
        return "people" in how or ("peers" in how and a.age == b.age)
    if link.verb < 0 and not how.isdisjoint(("place", "height", "upon")):
        return {one.word, two.word} <= _LIST["stacked"] if "upon" in how else kinds <= _MOVABLE
    return False


def _exchange_subjects(reading: _Reading, one: _Being, two: _Being) -> Iterator[Offer]:
    """ "A man sits while a woman stands": who does what."""
    a, b = one.phrase, two.phrase
    if not _interchangeable(a, b) or not reading.may_rename(a, b):
        return
    verbs = {reading.parse.lemma[being.verb] for being in (one, two) if being.verb >= 0}
    if a.noun.kind != b.noun.kind:
        objects = ("DT", "NN", "NNS", "PRP$", "JJ")
        has_object = any(being.verb >= 0 and reading.tag(being.verb + 1) in objects for being in (one, two))
        if not verbs <= _LIST["general"] or has_object:
            return
    if "baby" in (a.noun.age, b.noun.age) and not verbs <= _LIST["baby"]:
        return
    yield "agent", reading.edits((a.first, a.head), (b.first, b.head))


def _exchange_clothing(reading: _Reading, one: _Being, two: _Being) -> Iterator[Offer]:
    """ "A man in a red shirt and a woman in a blue hat": the first garments, and the wearers."""
    a, b = one.phrase, two.phrase
    worn, others = one.worn(), two.worn()
    if {a.noun.kind, b.noun.kind} != {"person"}:
        return
    # A hat may well be on both heads; a red hat, or what is held or ridden, tells who is who.
    tells = any(phrase.units for phrase in worn + others) or any(
        link in ("holding", "holds", "carrying", "carries", "riding", "rides") or phrase.noun.kind in ("held", "ridden")
        for being in (one, two)
        for link, phrase in being.tail
    )
    if not tells:
        return
    if "baby" in (a.noun.age, b.noun.age) or not reading.may_rename(a, b):
        return
    if not one.tail and a.head + 2 == b.start:  # "a man and a woman in blue": he may be in blue too
        return
    if worn and others:
        mine, other = worn[0], others[0]
        if mine.noun.group == other.noun.group and not any(_exclude(x, y) for x in mine.units for y in other.units):
            return
        links = {link == "with" for being in (one, two) for link, phrase in being.tail if phrase is being.worn()[0]}
        sure = len(links) == 1 and not (mine.is_odd or other.is_odd)
        sure = sure and mine.noun.kind == other.noun.kind and a.plural == b.plural
        if sure and any(phrase.units for phrase in worn + others) and _interchangeable(mine, other):
            yield "clothing", reading.edits((mine.first, mine.head), (other.first, other.head))
    if _interchangeable(a, b):
        yield "clothing", reading.edits((a.first, a.head), (b.first, b.head))


def _exchange_actions(reading: _Reading, one: _Being, two: _Being) -> Iterator[Offer]:
    """ "A man sits on a bench next to a standing woman": postures, which exclude each other."""
    if one.verb < 0 or two.verb < 0 or one.verb > two.phrase.start or reading.tags[one.verb] != reading.tags[two.verb]:
        return
    verbs = {reading.parse.lemma[being.verb] for being in (one, two)}
    objects = [reading.at.get(being.verb + 1) for being in (one, two)]
    if all(found is not None and found.noun.kind == "held" for found in objects):
        fits = len(verbs) == 2 and verbs <= _LIST["handling"] and verbs not in ({"hold", "carry"}, {"throw", "toss"})
    elif (
        len(verbs) == 2
        and verbs <= _LIST["posture"]
        and verbs not in ({"lie", "lay"}, {"sleep", "lie"}, {"run", "jog"})
    ):
        after = {reading.word(being.verb + 1) for being in (one, two)}
        fits = after <= _LIST["after_posture"] | {""} and {"air", "hind"}.isdisjoint(reading.words)
        kinds = {one.phrase.noun.kind, two.phrase.noun.kind}
        fits = fits and ("animal" not in kinds or verbs.isdisjoint(("kneel", "dance", "squat")))
    else:
        fits = False
    if fits:
        yield "action", reading.edits((one.verb, one.verb), (two.verb, two.verb))


def _exchange_objects(reading: _Reading, one: _Being, two: _Being) -> Iterator[Offer]:
    """ "A man with a guitar and a woman with a drum": what they have or ride on."""
    if {one.phrase.noun.kind, two.phrase.noun.kind} != {"person"}:
        return
    on = ("on", "in", "riding", "rides")
    had = [list(being.tail) for being in (one, two)]
    for being, things in zip((one, two), had):
        following = reading.at.get(being.verb + 1) if being.verb >= 0 else None
        if following is not None:
            things.append((reading.words[being.verb], following))
    for (link, mine), (other_link, other) in ((x, y) for x in had[0] for y in had[1] if x[1] is not y[1]):
        kind = mine.noun.kind
        if kind != other.noun.kind or kind not in ("held", "ridden", "vehicle", "food"):
            continue
        if (link in on) != (other_link in on) or _alike(mine, other) or not _interchangeable(mine, other):
            continue
        if not any(p.is_odd or p.is_owned or p.names_other for p in (mine, other)):
            yield "object", reading.edits((mine.first, mine.head), (other.first, other.head))


def _exchange_places(reading: _Reading) -> Iterator[Offer]:
    """ "On a bench near a wall": on which of two things, and near which."""
    words = reading.words
    for one in reading.phrases:
        places = _WORDS.places.get(reading.word(one.start - 1))
        if places is None or one.word not in places:
            continue
        i = one.head + 1
        i += 2 if words[i : i + 2] == ["next", "to"] else reading.word(i) in ("near", "beside", "by")
        two = reading.at.get(i)
        if i == one.head + 1 or two is None or two.word not in places:
            continue
        (mine, me), (other, you) = places[one.word], places[two.word]
        sure = not (one.is_odd or two.is_odd or one.is_owned or two.is_owned)
        if sure and mine == other and me != you and _interchangeable(one, two):  # with the article: "in the ocean"
            yield "relation", reading.edits((one.start, one.head), (two.start, two.head))


def _exchange_counted(reading: _Reading, one: _Being, two: _Being) -> Iterator[Offer]:
    """ "Two boys and a girl" -> "two girls and a boy": the words stay the same but for their number."""
    a, b = one.phrase, two.phrase
    if a.plural == b.plural or {a.noun.kind, b.noun.kind} == {"animal"} or not reading.may_rename(a, b):
        return
    between = " ".join(reading.words[a.head + 1 : b.start])
    joins = ("and", ", and", "with", "next to", "beside", "near", "behind", "in front of")
    if between not in joins:
        return
    if a.noun.kind != b.noun.kind and (not between.endswith("and") or "sheep" in (a.word, b.word)):
        return
    many, single = (a, b) if a.plural else (b, a)
    if reading.word(many.start - 1) == "of" or not _small().isdisjoint((a.word, b.word)):
        return
    if not _LIST["one_of_a_kind"].isdisjoint((a.word, b.word)):
        return
    if single.determiner not in ("a", "an", "one", "the") or "baby" in (a.noun.age, b.noun.age):
        return
    if many.determiner and not many.units and many.determiner not in ("the", "some"):
        return
    to_a, to_b = _numbers().get(b.word), _numbers().get(a.word)
    if to_a is not None and to_b is not None:
        yield "number", reading.edits((a.first, a.head), (b.first, b.head), forms=(to_a, to_b))
