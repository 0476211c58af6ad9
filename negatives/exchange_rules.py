"""Hard negatives with the words of the caption itself: two of its phrases change places.

"A red apple and a green cup" -> "a green apple and a red cup": a judge of single words cannot tell the two apart. The
kinds are those of Winoground (Thrush et al. 2022), ARO (Yuksekgonul et al. 2023) and the "swap" of SugarCrepe (Hsieh
et al. 2023). As SugarCrepe found, most exchanges of arbitrary words are nonsense that gives itself away without the
picture: so both phrases must fit both places here.

Such pairs are rare: of 30,000 captions of Flickr8k's training split, 30 % name two beings, two colours or two garments,
and 4.2 % have an exchange; of drawn scenes' captions, 28 %.

Only what is surely false is offered. An exchange leaves the caption true where the meaning is symmetric ("a man next
to a woman") and where both descriptions may fit one thing ("a child pushes a girl": she may well be a child too).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from negatives.caption import Caption, third_persons
from negatives.edits import match_case, splice, takes_an
from negatives.phrases import BEINGS, WORDS, Being, Link, Phrase, Phrases, Unit, numbers, rough_kinds, verb_forms
from negatives.text import Edit, Parse
from negatives.vocabulary import LIST, inflect

Offer = tuple[str, tuple[Edit, ...] | None]  # category, edits; None where they cannot be written
_LIST = WORDS.lists
_MOVABLE = frozenset(("movable", "garment", "animal"))


class PossibleExchange(NamedTuple):
    """Two phrases that may change places: the edits (start, end, new text, is it content?) that do it.

    category: attribute (colours, sizes, ... of two things), number, clothing (who wears what), agent (who does what,
    or to whom), relation (what is where).
    """

    category: str
    edits: tuple[Edit, ...]


def find_exchanges(parse: Parse) -> tuple[PossibleExchange, ...]:
    """Every exchange that makes the caption false, each new text once, in a fixed order."""
    text, kinds, caption = parse.text, rough_kinds(), Caption(parse)
    known = [kinds[word] for word in caption.words if word in kinds]
    if len(set(known)) == len(known):
        return ()
    found: list[PossibleExchange] = []
    seen = {text}
    for category, edits in _offers(Phrases(caption)):
        if edits is not None:
            new = splice(text, edits, "exchange", category).text
            if new not in seen and not _only_reorders(text, new):
                seen.add(new)
                found.append(PossibleExchange(category, edits))
    return tuple(found)


def _only_reorders(text: str, new: str) -> bool:
    """Did two phrases change places around a word that does not care? "A man in red and a man in blue" """
    old, other = (["a" if word == "an" else word for word in each.lower().split()] for each in (text, new))
    changed = [i for i, (a, b) in enumerate(zip(old, other)) if a != b]
    if len(old) != len(other) or not changed:
        return False
    return any(
        other[start:end] == [*old[i + len(link) : end], *link, *old[start:i]]
        for i in range(1, len(old) - 1)
        for link in _SYMMETRIC
        if tuple(old[i : i + len(link)]) == link
        for start in range(min(i, changed[0] + 1))
        for end in range(max(i + len(link), changed[-1]) + 1, len(old) + 1)
    )


_SYMMETRIC = tuple(tuple(link.split()) for link in "and|,|or|while|as|beside|near|with|next to|alongside".split("|"))


def _offers(reading: Phrases) -> Iterator[Offer]:
    links, clauses = list(reading.links()), list(reading.clauses())
    # Phrases that cannot stand for each other even if they have the same noun: they do not do the same.
    distinct = {frozenset((link.subject.start, link.object.start)) for link in links}
    distinct |= {frozenset((one.phrase.start, two.phrase.start)) for one, two in clauses}
    yield from _exchange_attributes(reading, distinct)
    for link in links:
        yield from _exchange_linked(reading, link)
    for one, two in clauses:
        yield from _exchange_subjects(reading, one, two)
    for one, two in combinations(reading.beings, 2):
        if one.phrase.sentence == two.phrase.sentence and not _alike(one.phrase, two.phrase):
            yield from _exchange_clothing(reading, one, two)
            yield from _exchange_counted(reading, one, two)


def _exchange_attributes(reading: Phrases, distinct: set[frozenset[int]]) -> Iterator[Offer]:
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
        yield category, _edits(reading, (a.first, a.last), (b.first, b.last))


def _differ(reading: Phrases, one: Phrase, two: Phrase, pool: str, distinct: set[frozenset[int]]) -> bool:
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


def _fits(new: Unit, old: Unit, phrase: Phrase) -> bool:
    """May the noun of `phrase` be described by `new` as naturally as by `old`?"""
    kind, word, pool = phrase.noun.kind, phrase.word, new.pool
    if pool.startswith("number"):
        counts = phrase.plural and word not in _LIST["not_counted"] and "one" not in new.words
        return counts and (kind != "" or word not in third_persons())
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
        return kind not in BEINGS or kind == "animal"
    return kind != "person"


def _exchange_linked(reading: Phrases, link: Link) -> Iterator[Offer]:
    """ "A dog chases a cat": subject and object."""
    one, two = link.subject, link.object
    if _may_turn(link) and _may_rename(reading, one, two) and _interchangeable(one, two):
        category = "agent" if {one.noun.kind, two.noun.kind} <= BEINGS else "relation"
        yield category, _edits(reading, (one.first, one.head), (two.first, two.head))


def _may_turn(link: Link) -> bool:
    """Is the relation as natural the other way round?"""
    one, two, how = link.subject, link.object, link.how
    a, b = one.noun, two.noun
    kinds = {a.kind, b.kind}
    if "side" in how:
        return link.verb < 0 or kinds <= BEINGS
    if not kinds <= BEINGS:
        return link.verb < 0 and not how.isdisjoint(("place", "height")) and kinds <= _MOVABLE
    if "baby" in (a.age, b.age) or (one.word in _small()) != (two.word in _small()):
        return False
    if not how.isdisjoint(("any", "place", "over", "height")):
        return True
    if len(kinds) > 1:
        return False
    return "at" in how or not how.isdisjoint(("animals", "upon") if kinds == {"animal"} else ("people",))


def _exchange_subjects(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "A man sits while a woman stands": who does what."""
    a, b = one.phrase, two.phrase
    if not _interchangeable(a, b) or not _may_rename(reading, a, b):
        return
    verbs = {reading.parse.lemma[being.verb] for being in (one, two) if being.verb >= 0}
    if a.noun.kind != b.noun.kind:
        objects = ("DT", "NN", "NNS", "PRP$", "JJ")
        has_object = any(being.verb >= 0 and reading.tag(being.verb + 1) in objects for being in (one, two))
        if not verbs <= _LIST["general"] or has_object:
            return
    if "baby" in (a.noun.age, b.noun.age) and not verbs <= _LIST["baby"]:
        return
    yield "agent", _edits(reading, (a.first, a.head), (b.first, b.head))


def _exchange_clothing(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "A man in a red shirt and a woman in a blue hat": the first garments, and the wearers."""
    a, b = one.phrase, two.phrase
    worn, others = one.worn(), two.worn()
    if {a.noun.kind, b.noun.kind} != {"person"}:
        return
    # A hat may well be on both heads; a red hat, or what is held or ridden, tells who is who.
    tells = any(phrase.units for phrase in worn + others) or any(
        link in ("holding", "holds", "carrying", "carries", "riding", "rides")
        or phrase.noun.kind in ("movable", "ridden")
        for being in (one, two)
        for link, phrase in being.tail
    )
    if not tells:
        return
    if "baby" in (a.noun.age, b.noun.age) or not _may_rename(reading, a, b):
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
            yield "clothing", _edits(reading, (mine.first, mine.head), (other.first, other.head))
    if _interchangeable(a, b):
        yield "clothing", _edits(reading, (a.first, a.head), (b.first, b.head))


def _exchange_counted(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "Two boys and a girl" -> "two girls and a boy": the words stay the same but for their number."""
    a, b = one.phrase, two.phrase
    if a.plural == b.plural or {a.noun.kind, b.noun.kind} == {"animal"} or not _may_rename(reading, a, b):
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
    to_a, to_b = numbers().get(b.word), numbers().get(a.word)
    if to_a is not None and to_b is not None:
        yield "number", _edits(reading, (a.first, a.head), (b.first, b.head), forms=(to_a, to_b))


def _may_be(one: Phrase, two: Phrase) -> bool:
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


def _exclude(one: Unit, two: Unit) -> bool:
    """Are both attributes never said of one thing?"""
    if one.pool != two.pool or not one.groups.isdisjoint(two.groups):
        return False
    return not any(one.words & some and two.words & some for some in WORDS.confused)


def _alike(one: Phrase, two: Phrase, but: str = "") -> bool:
    """May both phrases describe one thing? Attributes of the pool or category `but` are not looked at."""
    if one.plural != two.plural or not _may_be(one, two):
        return False
    return not any(_exclude(a, b) for a in one.units if not (but and a.pool.startswith(but)) for b in two.units)


def _interchangeable(one: Phrase, two: Phrase) -> bool:
    return one.plural == two.plural and bool(one.determiner) == bool(two.determiner)


@lru_cache(maxsize=1)
def _small() -> frozenset[str]:
    return _LIST["small"].union(inflect(word, "NNS") for word in _LIST["small"])


@lru_cache(maxsize=1)
def _needs_size() -> frozenset[str]:
    """Words that tell who is the larger: "a man carries a boy"."""
    return verb_forms(_LIST["verbs_of_lifting"]) | _LIST["carried"]


def _fits_pronouns(reading: Phrases, one: Phrase, two: Phrase) -> bool:
    """Does every pronoun of the caption fit either of the two?"""
    genders = {one.noun.gender, two.noun.gender}
    if "f" in genders and not LIST["he"].isdisjoint(reading.words):
        return False
    if "m" in genders and not LIST["she"].isdisjoint(reading.words):
        return False
    kinds = {one.noun.kind, two.noun.kind}
    if kinds == {"person"}:
        return True
    pronouns = {"it", "its", "itself"}
    if len(kinds) > 1:
        pronouns |= LIST["he"] | LIST["she"]
    return pronouns.isdisjoint(reading.words)


def _may_rename(reading: Phrases, one: Phrase, two: Phrase) -> bool:
    """May two beings take each other's name, as far as the rest of the caption is concerned?"""
    if one.is_odd or two.is_odd or one.is_owned or two.is_owned or _alike(one, two, "number"):
        return False
    if one.names_other or two.names_other or not _fits_pronouns(reading, one, two):
        return False
    words = {one.word, two.word, numbers().get(one.word), numbers().get(two.word)}
    if any(
        other.noun.kind in BEINGS and other.word in words
        for other in reading.phrases
        if other is not one and other is not two
    ):
        return False
    if one.noun.kind != two.noun.kind:  # no dog wears jeans
        tails = [being.tail for being in reading.beings if being.phrase is one or being.phrase is two]
        return all(phrase.word == "background" for tail in tails for _, phrase in tail)
    if one.noun.gender != two.noun.gender and not _LIST["one_gender"].isdisjoint(reading.words):
        return False
    return one.noun.age == two.noun.age or _needs_size().isdisjoint(reading.words)


def _edits(
    reading: Phrases, one: tuple[int, int], two: tuple[int, int], forms: tuple[str, str] | None = None
) -> tuple[Edit, ...] | None:
    """The edits that exchange the tokens of two spans (first, last); None if it is not clear how to write them.

    forms: the last word of what comes to the first and to the second span, where its number must change.
    """
    text, starts, ends = reading.parse.text, reading.parse.start, reading.parse.end
    (a, b), (c, d) = one, two
    said = [text[starts[a] : ends[b]], text[starts[c] : ends[d]]]
    if said[0].lower() == said[1].lower():
        return None
    if forms is not None:
        said = [
            text[starts[first] : starts[last]] + match_case(text[starts[last] : ends[last]], form)
            for (first, last), form in ((one, forms[1]), (two, forms[0]))
        ]
    opens = [token == 0 or reading.words[token - 1] in (".", "!", "?", '"') for token in (a, c)]
    for i, token in enumerate((a, c)):
        if opens[i] and said[i][0].isupper() and not (said[i].isupper() and len(said[i]) > 1 and said[i][:2] != "A "):
            word = reading.words[token]
            if word in _LIST["proper"] or (reading.tags[token] in ("NNP", "NNPS") and word not in rough_kinds()):
                return None
            said[i] = said[i][0].lower() + said[i][1:]
    made: list[Edit] = []
    for token, last, new, is_first in ((a, b, said[1], opens[0]), (c, d, said[0], opens[1])):
        if is_first and text[starts[token]].isupper():
            new = new[0].upper() + new[1:]
        made.append((starts[token], ends[last], new, True))
        if token and reading.words[token - 1] in ("a", "an"):
            old = text[starts[token - 1] : ends[token - 1]]
            article = "an" if takes_an(new.lower()) else "a"
            if article != old.lower():
                fitted = article.upper() if old.isupper() and new.isupper() else match_case(old, article)
                made.append((starts[token - 1], ends[token - 1], fitted, False))
    return tuple(sorted(made))
