"""Finds the exchanges of a caption: two of its phrases change places.

"A red apple and a green cup" -> "a green apple and a red cup": a model that only checks single words cannot see the
difference. Winoground (Thrush et al. 2022), ARO (Yuksekgonul et al. 2023) and the "swap" part of SugarCrepe (Hsieh et
al. 2023) test the same. As SugarCrepe found, most exchanges of arbitrary words are nonsense, which a text-only model
detects. So both phrases must fit both places here.

Such captions are rare: of 30,000 captions of Flickr8k's training split, 30 % name two beings, two colours or two
garments, and 4.2 % have an exchange; of the captions of drawn scenes, 28 %.

An exchange must also be surely false. It is not offered where the relation is symmetric ("a man next to a woman"), or
where both descriptions can fit one thing ("a child pushes a girl": the girl may be a child too).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from negatives.caption import Caption, third_persons
from negatives.edits import match_case, splice, takes_an
from negatives.phrases import (
    BEINGS,
    WORDS,
    Attribute,
    Being,
    Phrase,
    Phrases,
    Relation,
    numbers,
    rough_kinds,
    verb_forms,
)
from negatives.text import Edit, Parse
from negatives.vocabulary import LIST, inflect

Offer = tuple[str, tuple[Edit, ...] | None]  # category, edits; None if it is unclear how to write them
_LIST = WORDS.lists
_MOVABLE = frozenset(("movable", "garment", "animal"))


class PossibleExchange(NamedTuple):
    """Two phrases that can change places, as the edits of the caption that do it.

    category: attribute (colours, sizes, ... of two things), number, clothing (who wears what), agent (who does what,
    or to whom), relation (what is where).
    """

    category: str
    edits: tuple[Edit, ...]


def find_exchanges(parse: Parse) -> tuple[PossibleExchange, ...]:
    """All exchanges of a caption that make it false, without two that give the same text, in a fixed order."""
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
    """Do the texts differ only in the order of two sides of a symmetric link? "A man in red and a man in blue"."""
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
    relations, clauses = list(reading.relations()), list(reading.clauses())
    # Two phrases (by their first tokens) that cannot describe the same thing, even with equal nouns: they do different
    # things, or one does something to the other.
    distinct = {frozenset((relation.subject.start, relation.object.start)) for relation in relations}
    distinct |= {frozenset((one.phrase.start, two.phrase.start)) for one, two in clauses}
    yield from _exchange_attributes(reading, distinct)
    for relation in relations:
        yield from _exchange_related(reading, relation)
    for one, two in clauses:
        yield from _exchange_subjects(reading, one, two)
    for one, two in combinations(reading.beings, 2):
        if one.phrase.sentence == two.phrase.sentence and not _can_be_same(one.phrase, two.phrase):
            yield from _exchange_clothing(reading, one, two)
            yield from _exchange_numbers(reading, one, two)


def _exchange_attributes(reading: Phrases, distinct: set[frozenset[int]]) -> Iterator[Offer]:
    """ "A red apple and a green cup", "two dogs and three cats": attributes of one pool that exclude each other."""
    attributes = [(phrase, attribute) for phrase in reading.phrases for attribute in phrase.attributes]
    for (one, a), (two, b) in combinations(attributes, 2):
        if one is two or one.is_odd or two.is_odd or one.sentence != two.sentence or not exclude(a, b):
            continue
        if not (_fits(a, b, two) and _fits(b, a, one) and _surely_differ(reading, one, two, a.pool, distinct)):
            continue
        if any(  # "a red cup, a blue ball and a blue cup": after the exchange it is true of the other cup
            other is not one
            and other is not two
            and (
                (same_noun(other, one) and not exclude(attribute, b))
                or (same_noun(other, two) and not exclude(attribute, a))
            )
            for other, attribute in attributes
            if attribute.pool == a.pool
        ):
            continue
        category = "number" if a.pool.startswith("number") else "attribute"
        yield category, exchange_spans(reading, (a.first, a.last), (b.first, b.last))


def _surely_differ(reading: Phrases, one: Phrase, two: Phrase, pool: str, distinct: set[frozenset[int]]) -> bool:
    """Is an attribute of the pool that is said of phrase `one` surely false of phrase `two`?"""
    if frozenset((one.start, two.start)) in distinct:
        return True
    owner, other_owner = reading.owner(one), reading.owner(two)
    is_worn = [
        phrase.noun.kind in ("garment", "colour", "hair") or (phrase.noun.kind == "" and being is not None)
        for phrase, being in ((one, owner), (two, other_owner))
    ]
    if not all(is_worn):
        return not _can_be_same(one, two, pool)
    if owner is other_owner:  # worn by one person, or both by unknown persons
        return "colour" not in (one.noun.kind, two.noun.kind) and one.noun.group != two.noun.group
    if owner is None or other_owner is None:
        return False
    are_distinct = frozenset((owner.phrase.start, other_owner.phrase.start)) in distinct
    return are_distinct or not _can_be_same(owner.phrase, other_owner.phrase)


def _fits(new: Attribute, old: Attribute, phrase: Phrase) -> bool:
    """Does the attribute `new` describe the noun of a phrase as naturally as its attribute `old`?"""
    kind, word, pool = phrase.noun.kind, phrase.word, new.pool
    if pool.startswith("number"):
        counts = phrase.plural and word not in _LIST["not_counted"] and "one" not in new.words
        return counts and (kind != "" or word not in third_persons())
    if pool == "colour.any":
        if kind == "person" or word in _LIST["no_colour"] or phrase.names_other:
            return False
        if kind == "hair":
            return new.words <= _LIST["natural"] | {"red"}
        if kind == "animal":  # natural colours only, but a drawn purple cat can get any colour
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


def _exchange_related(reading: Phrases, relation: Relation) -> Iterator[Offer]:
    """ "A dog chases a cat": subject and object of a relation."""
    one, two = relation.subject, relation.object
    if _is_reversible(relation) and _can_exchange_nouns(reading, one, two) and _agree(one, two):
        category = "agent" if {one.noun.kind, two.noun.kind} <= BEINGS else "relation"
        yield category, exchange_spans(reading, (one.first, one.head), (two.first, two.head))


def _is_reversible(relation: Relation) -> bool:
    """Is the relation as natural in the other direction? Not "a man rides a horse"."""
    one, two, types = relation.subject, relation.object, relation.types
    a, b = one.noun, two.noun
    kinds = {a.kind, b.kind}
    if "side" in types:
        return relation.verb < 0 or kinds <= BEINGS
    if not kinds <= BEINGS:
        return relation.verb < 0 and not types.isdisjoint(("place", "height")) and kinds <= _MOVABLE
    if "baby" in (a.age, b.age) or (one.word in _small()) != (two.word in _small()):
        return False
    if not types.isdisjoint(("any", "place", "over", "height")):
        return True
    if len(kinds) > 1:
        return False
    return "at" in types or not types.isdisjoint(("animals", "upon") if kinds == {"animal"} else ("people",))


def _exchange_subjects(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "A man sits while a woman stands": the subjects of two clauses."""
    a, b = one.phrase, two.phrase
    if not _agree(a, b) or not _can_exchange_nouns(reading, a, b):
        return
    verbs = {reading.parse.lemma[being.verb] for being in (one, two) if being.verb >= 0}
    if a.noun.kind != b.noun.kind:
        objects = ("DT", "NN", "NNS", "PRP$", "JJ")
        has_object = any(being.verb >= 0 and reading.tag(being.verb + 1) in objects for being in (one, two))
        if not verbs <= _LIST["general"] or has_object:
            return
    if "baby" in (a.noun.age, b.noun.age) and not verbs <= _LIST["baby"]:
        return
    yield "agent", exchange_spans(reading, (a.first, a.head), (b.first, b.head))


def _exchange_clothing(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "A man in a red shirt and a woman in a blue hat": their first garments, and the two people."""
    a, b = one.phrase, two.phrase
    worn, others = one.worn(), two.worn()
    if {a.noun.kind, b.noun.kind} != {"person"}:
        return
    # Both may wear a hat. Only a garment with an attribute, or something held or ridden, makes the exchange false.
    distinguishes = any(phrase.attributes for phrase in worn + others) or any(
        link in ("holding", "holds", "carrying", "carries", "riding", "rides")
        or phrase.noun.kind in ("movable", "ridden")
        for being in (one, two)
        for link, phrase in being.details
    )
    if not distinguishes:
        return
    if "baby" in (a.noun.age, b.noun.age) or not _can_exchange_nouns(reading, a, b):
        return
    if not one.details and a.head + 2 == b.start:  # "a man and a woman in blue": he may be in blue too
        return
    if worn and others:
        mine, other = worn[0], others[0]
        exclusive = any(exclude(x, y) for x in mine.attributes for y in other.attributes)
        if mine.noun.group == other.noun.group and not exclusive:
            return
        with_garment = {
            link == "with" for being in (one, two) for link, phrase in being.details if phrase is being.worn()[0]
        }
        fits = len(with_garment) == 1 and not (mine.is_odd or other.is_odd)
        fits = fits and mine.noun.kind == other.noun.kind and a.plural == b.plural
        if fits and any(phrase.attributes for phrase in worn + others) and _agree(mine, other):
            yield "clothing", exchange_spans(reading, (mine.first, mine.head), (other.first, other.head))
    if _agree(a, b):
        yield "clothing", exchange_spans(reading, (a.first, a.head), (b.first, b.head))


def _exchange_numbers(reading: Phrases, one: Being, two: Being) -> Iterator[Offer]:
    """ "Two boys and a girl" -> "two girls and a boy": the nouns change places and their number."""
    a, b = one.phrase, two.phrase
    if a.plural == b.plural or {a.noun.kind, b.noun.kind} == {"animal"} or not _can_exchange_nouns(reading, a, b):
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
    if many.determiner and not many.attributes and many.determiner not in ("the", "some"):
        return
    to_a, to_b = numbers().get(b.word), numbers().get(a.word)
    if to_a is not None and to_b is not None:
        yield "number", exchange_spans(reading, (a.first, a.head), (b.first, b.head), forms=(to_a, to_b))


def same_noun(one: Phrase, two: Phrase) -> bool:
    """Can both nouns name the same thing, if attributes and number are ignored?"""
    a, b = one.noun, two.noun
    if a.kind != b.kind:
        return False
    if a.kind != "person":
        return a.group == b.group
    if (a.gender and b.gender and a.gender != b.gender) or (a.age and b.age and a.age != b.age):
        return False
    if one.word in _LIST["anybody"] or two.word in _LIST["anybody"]:
        return True
    return a.group == b.group  # "a skier and a man": two people


def exclude(one: Attribute, two: Attribute) -> bool:
    """Are the attributes never both true of one thing?"""
    if one.pool != two.pool or not one.groups.isdisjoint(two.groups):
        return False
    return not any(one.words & group and two.words & group for group in WORDS.confused)


def _can_be_same(one: Phrase, two: Phrase, but: str = "") -> bool:
    """Can both phrases describe the same thing? Attributes whose pool begins with `but` are ignored."""
    if one.plural != two.plural or not same_noun(one, two):
        return False
    compared = [attribute for attribute in one.attributes if not (but and attribute.pool.startswith(but))]
    return not any(exclude(a, b) for a in compared for b in two.attributes)


def _agree(one: Phrase, two: Phrase) -> bool:
    """Are the phrases alike in number, and in having a determiner, so that they can change places unaltered?"""
    return one.plural == two.plural and bool(one.determiner) == bool(two.determiner)


@lru_cache(maxsize=1)
def _small() -> frozenset[str]:
    return _LIST["small"].union(inflect(word, "NNS") for word in _LIST["small"])


@lru_cache(maxsize=1)
def _needs_size() -> frozenset[str]:
    """Words that show who is larger: "a man carries a boy"."""
    return verb_forms(_LIST["verbs_of_lifting"]) | _LIST["carried"]


def _fits_pronouns(reading: Phrases, one: Phrase, two: Phrase) -> bool:
    """Does every pronoun of the caption fit both phrases?"""
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


def _can_exchange_nouns(reading: Phrases, one: Phrase, two: Phrase) -> bool:
    """Does the rest of the caption allow that the nouns of two phrases change places?"""
    if one.is_odd or two.is_odd or one.is_owned or two.is_owned or _can_be_same(one, two, "number"):
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
        details = [being.details for being in reading.beings if being.phrase is one or being.phrase is two]
        return all(phrase.word == "background" for own in details for _, phrase in own)
    if one.noun.gender != two.noun.gender and not _LIST["one_gender"].isdisjoint(reading.words):
        return False
    return one.noun.age == two.noun.age or _needs_size().isdisjoint(reading.words)


def exchange_spans(
    reading: Phrases, one: tuple[int, int], two: tuple[int, int], forms: tuple[str, str] | None = None
) -> tuple[Edit, ...] | None:
    """The edits that exchange two spans of tokens (first, last), with articles and letter case; None if it is unclear.

    forms: the inflected last word of the text that moves to the first and to the second span, if its number changes.
    """
    text, starts, ends = reading.parse.text, reading.parse.start, reading.parse.end
    (a, b), (c, d) = one, two
    moved = [text[starts[a] : ends[b]], text[starts[c] : ends[d]]]
    if moved[0].lower() == moved[1].lower():
        return None
    if forms is not None:
        moved = [
            text[starts[first] : starts[last]] + match_case(text[starts[last] : ends[last]], form)
            for (first, last), form in ((one, forms[1]), (two, forms[0]))
        ]
    opens = [token == 0 or reading.words[token - 1] in (".", "!", "?", '"') for token in (a, c)]
    for i, token in enumerate((a, c)):
        old = moved[i]
        if opens[i] and old[0].isupper() and not (old.isupper() and len(old) > 1 and old[:2] != "A "):
            word = reading.words[token]
            if word in _LIST["proper"] or (reading.tags[token] in ("NNP", "NNPS") and word not in rough_kinds()):
                return None
            moved[i] = old[0].lower() + old[1:]
    edits: list[Edit] = []
    for token, last, new, is_first in ((a, b, moved[1], opens[0]), (c, d, moved[0], opens[1])):
        if is_first and text[starts[token]].isupper():
            new = new[0].upper() + new[1:]
        edits.append((starts[token], ends[last], new, True))
        if token and reading.words[token - 1] in ("a", "an"):
            old = text[starts[token - 1] : ends[token - 1]]
            article = "an" if takes_an(new.lower()) else "a"
            if article != old.lower():
                fitted = article.upper() if old.isupper() and new.isupper() else match_case(old, article)
                edits.append((starts[token - 1], ends[token - 1], fitted, False))
    return tuple(sorted(edits))
