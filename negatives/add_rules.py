"""Finds the phrases of a caption that it can do without: companions, garments, places and actions.

"A man in a red shirt walks with his dog on the beach": without "in a red shirt", "with his dog" or "on the beach" the
caption is still true. So a false phrase in such a place gives the text "shorter caption + false phrase". Phrases with
one `frame` can take each other's places: they have the same link ("in", "with", "and"), stand after the same type of
word and before the same type of word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from negatives.caption import ANY_NOUN, Caption
from negatives.parsed_caption import CONTENT_TAGS, ParsedCaption
from negatives.phrases import BEINGS, WORDS, Phrase, Phrases
from negatives.vocabulary import LIST, VOCABULARY

CATEGORIES = ("attribute", "companion", "garment", "place", "action")
ATTRIBUTE, COMPANION, GARMENT, PLACE, ACTION = CATEGORIES
ANY = "any"  # in the place of a category in a frame: phrases of different categories take each other's places
ADD = VOCABULARY.add
_THINGS = frozenset(("movable", "ridden", "thing"))
_WEARING = frozenset(("in", "with", "wearing", "wears", "wear"))
_PRONOUNS = LIST["he"] | LIST["she"] | {"their", "its"}
_BE = frozenset(("is", "are"))
MOST_CLAUSE = 8  # words after the subject of "while a man watches"
_FINITE = frozenset(("VBZ", "VBP", "VBD", "MD"))


class Extra(NamedTuple):
    """A phrase, tokens first..last, that a caption can do without; the link before it stays.

    frame: phrases of equal frames can take each other's places.
    governor: the lemma that the phrase belongs to: "man", "sit".
    phrases: the noun phrases in it.
    anchor: the noun phrase that a companion, a garment or an action belongs to; None for places.
    lemmas: of its content words. changed: its first token after an article.
    """

    category: str
    frame: tuple[str, ...]
    first: int
    last: int
    governor: str
    phrases: tuple[Phrase, ...]
    anchor: Phrase | None
    words: tuple[str, ...]
    lemmas: frozenset[str]
    changed: int


class Spot(NamedTuple):
    """A place before a token where a caption has no phrase yet. frame: of the phrases that fit there."""

    token: int
    frame: tuple[str, ...]
    anchor: Phrase


class Added(NamedTuple):
    """A caption with its phrases; `extras` are those that it can do without. spots: where it has none."""

    caption: ParsedCaption
    reading: Phrases
    extras: tuple[Extra, ...]
    spots: tuple[Spot, ...]


def read_added(caption: ParsedCaption) -> Added:
    """The phrases of a caption, and those that it can do without."""
    reading = Phrases(Caption(caption.parse))
    found: list[Extra] = []
    spots: list[Spot] = []
    if not caption.parse.text.isupper():
        finder = _Finder(caption, reading)
        for extra in (
            *finder.garments(),
            *finder.companions(),
            *finder.bystanders(),
            *finder.places(),
            *finder.actions(),
        ):
            if finder.is_clear(extra):
                found.append(extra)
        spots += finder.spots()
    return Added(caption, reading, tuple(found), tuple(spots))


class _Finder:
    def __init__(self, caption: ParsedCaption, reading: Phrases) -> None:
        self.caption, self.reading = caption, reading
        self.words, self.word, self.tag = reading.words, reading.word, reading.tag
        self.ends = {phrase.head: phrase for phrase in reading.phrases}

    def is_clear(self, extra: Extra) -> bool:
        """Does the rest of the caption not refer to the phrase, nor the phrase to the rest?"""
        inside = self.words[extra.first : extra.last + 1]
        if not ADD.lists["vague"].isdisjoint(inside) or any(phrase.is_odd for phrase in extra.phrases):
            return False
        if self.word(extra.last + 1) in ("of", "'s", "-", "that", "which", "who"):
            return False
        nouns = {self.caption.lemmas[phrase.head] for phrase in extra.phrases}
        outside = (*self.caption.lemmas[: extra.first], *self.caption.lemmas[extra.last + 1 :])
        return nouns.isdisjoint(outside) and "it" not in self.words[extra.last :]

    def extra(
        self,
        category: str,
        frame: Sequence[str],
        span: tuple[int, int],
        governor: str,
        anchor: Phrase | None,
        changed: int = -1,
    ) -> Extra:
        """changed: for a phrase with its link, the first token after the link."""
        first, last = span
        front = category if changed < 0 else ANY
        changed = max(first, changed)
        tags, lemmas = self.caption.parse.tag, self.caption.lemmas
        inside = tuple(phrase for phrase in self.reading.phrases if first <= phrase.start and phrase.head <= last)
        owner = " ".join(sorted(_PRONOUNS.intersection(self.words[first : last + 1])))
        return Extra(
            category,
            (front, *frame, owner, self.follow(last + 1, exact=front == ACTION)),
            first,
            last,
            governor,
            inside,
            anchor,
            tuple(self.words[first : last + 1]),
            frozenset(lemmas[i] for i in range(first, last + 1) if tags[i] in CONTENT_TAGS),
            changed + (self.words[changed] in ("a", "an", "the")),
        )

    def follow(self, i: int, exact: bool = False) -> str:
        """The type of the word after a phrase. exact: prepositions are types of their own."""
        if i >= self.reading.size or self.words[i] in (".", "!"):
            return "."
        if self.words[i] in _BE or self.tag(i) in _FINITE:
            return "verb"
        if self.tag(i) in ("VBG", "VBN", "RB", "RP") or (self.tag(i) == "IN" and not exact):
            return self.tag(i)
        return self.words[i]

    def before(self, i: int) -> str:
        """The type of the word before a phrase; verbs are types of their own: not all of them end a sentence."""
        tag = self.tag(i - 1)[:2]
        return self.words[i - 1] if tag == "VB" else tag

    def anchor(self, i: int) -> tuple[Phrase | None, str]:
        """The being whose phrase ends before token `i`, or before the "is" there; and this "is"."""
        be = self.words[i] if self.word(i) in _BE else ""
        phrase = self.ends.get(i - 1)
        return (phrase if phrase is not None and phrase.noun.kind in BEINGS else None), be

    def garments(self) -> Iterator[Extra]:
        """ "A man [in] a red shirt and jeans"."""
        at = self.reading.at
        for i, word in enumerate(self.words):
            phrase = at.get(i + 1)
            if word not in _WEARING or phrase is None or phrase.noun.kind not in ("garment", "colour"):
                continue
            start = i - (self.word(i - 1) == "dressed")
            start -= self.word(start - 1) in _BE
            anchor, be = self.anchor(start)
            after = self.words[i - 1] if i - 1 > start else ""
            if anchor is None and word == "wearing" and self.tag(i - 1) in (*ANY_NOUN, ","):
                anchor, after = self.subject(i), "later"
            if anchor is None or anchor.noun.kind != "person" or anchor.is_odd:
                continue
            last = phrase.head
            while self.word(last + 1) in ("and", ",") and last + 2 in at and at[last + 2].noun.kind == "garment":
                last = at[last + 2].head
            frame = (be, after, word, who(anchor), phrase.noun.kind)
            governor = f"{type_worn(phrase)} {self.caption.lemmas[anchor.head]}"
            yield self.extra(GARMENT, frame, (i + 1, last), governor, anchor)
            if not be:
                yield from self.wide(GARMENT, (start, last), i + 1, anchor)

    def companions(self) -> Iterator[Extra]:
        """ "A man [and] a dog", "a man [with] a guitar", "a man walks [with] a dog"."""
        for i, word in enumerate(self.words):
            phrase = self.reading.at.get(i + 1)
            if word not in ("and", "with") or phrase is None or self.tag(i - 1) == "":
                continue
            is_being = phrase.noun.kind in BEINGS
            if not is_being and (word == "and" or phrase.noun.kind not in _THINGS):
                continue
            anchor, after = self.anchor(i)[0], ""
            if anchor is None and word == "with" and self.tag(i - 1).startswith("VB"):
                anchor, after = self.subject(i), self.caption.lemmas[i - 1]
            follow = self.follow(phrase.head + 1)
            after_it = self.word(phrase.head + 1)
            has_tail = after_it == "in" and self.word(phrase.head + 3) in ADD.lists["tail"]
            is_part = after_it in WORDS.lists["link"] or after_it in ("and", ",")
            if anchor is None or anchor.is_odd or (is_part and not has_tail):
                continue
            if follow == "verb" and anchor.start and self.word(anchor.start - 1) not in WORDS.lists["boundary"]:
                continue  # "a man hugs a woman and a dog barks"
            kind = "being" if is_being else "thing"
            last = phrase.head + 3 * has_tail
            governor = self.caption.lemmas[i - 1 if after else anchor.head]
            frame = (after, word, str(has_tail), kind, anchor.noun.kind, str(phrase.plural and not is_being))
            yield self.extra(COMPANION, frame, (i + 1, last), governor, anchor)
            if word == "with":
                yield from self.wide(COMPANION, (i, last), i + 1, anchor)

    def bystanders(self) -> Iterator[Extra]:
        """ "A dog runs [while] a man watches"."""
        end = self.reading.size - (self.words[-1] in (".", "!"))
        for being in self.reading.beings:
            phrase, link = being.phrase, self.word(being.phrase.start - 1)
            anchor = self.subject(phrase.start - 1)
            if link not in ("while", "as") or anchor is None or not being.end < end <= phrase.head + MOST_CLAUSE:
                continue
            is_be = self.words[being.end] in _BE
            is_clause = {",", "and", "while", "as", "."}.isdisjoint(self.words[phrase.head : end])
            if is_clause and (is_be or self.tag(being.end) in ("VBZ", "VBP", "VBG")):
                governor = self.caption.lemmas[anchor.head]
                frame = (link, "clause", str(is_be))
                yield self.extra(COMPANION, frame, (phrase.start, end - 1), governor, anchor)

    def subject(self, i: int) -> Phrase | None:
        """The first being before token `i`."""
        return next((being.phrase for being in self.reading.beings if being.phrase.head < i), None)

    def places(self) -> Iterator[Extra]:
        """ "Walks [on] the beach"."""
        known = _scene_words()
        for i, word in enumerate(self.words):
            phrase = self.reading.at.get(i + 1)
            if word not in ADD.lists["before_place"] or phrase is None:
                continue
            is_scene = self.words[phrase.head] in known
            if not is_scene and phrase.noun.kind not in _THINGS:
                continue
            if not i or self.word(i - 1) in ADD.lists["particle"] or self.tag(i - 1) in ("CC", "DT"):
                continue
            before = self.tag(i - 1)[:2]
            if before == "VB" and word not in ADD.lists["anywhere"]:
                before = self.caption.lemmas[i - 1]  # "playing in", but not "playing over"
            frame = (word, before, str(is_scene), str(bool(phrase.determiner)))
            governor = self.caption.lemmas[self.caption.parse.head[i]]
            yield self.extra(PLACE, frame, (i + 1, phrase.head), governor, None)
            anchor = self.anchor(i)[0] or self.subject(i)
            if anchor is not None:
                yield from self.wide(PLACE, (i, phrase.head), i + 1, anchor)

    def actions(self) -> Iterator[Extra]:
        """ "A man [] holding a cup", "a man sits [while] holding a cup"."""
        for i in range(1, self.reading.size):
            if self.reading.tags[i] != "VBG" or self.words[i] in ADD.lists["ambient"]:
                continue
            is_through = self.tag(i + 1) == "IN"
            phrase = self.reading.at.get(i + 1 + is_through)
            if phrase is None or phrase.noun.kind in ("garment", "colour") or phrase.noun.kind in ("person", "hair"):
                continue
            be = self.words[i - 1] if self.words[i - 1] in _BE else ""
            anchor = self.anchor(i - 1)[0] if be else self.anchor(i)[0]
            before = be or "being"
            if anchor is None and self.words[i - 1] in ("while", ","):
                anchor, before = self.subject(i), self.words[i - 1]
            if anchor is None or anchor.is_odd:
                continue
            frame = (before, anchor.noun.kind, str(is_through), str(bool(phrase.determiner)))
            yield self.extra(ACTION, frame, (i, phrase.head), self.caption.lemmas[anchor.head], anchor)
            if not be:
                start = i - (self.words[i - 1] in ("while", ","))
                yield from self.wide(ACTION, (start, phrase.head), i, anchor)

    def spots(self) -> Iterator[Spot]:
        """After each person or animal that a verb follows, and at the end of the caption."""
        for being in self.reading.beings:
            i = being.phrase.head + 1
            follow = self.follow(i)
            is_subject = being.begins_clause or follow != "verb"  # not in "to the left of a dog is a cat"
            if not being.phrase.is_odd and follow in ("verb", "VBG", ".") and is_subject:
                yield Spot(i, (ANY, "being", being.phrase.noun.kind, "", follow), being.phrase)
        end = self.reading.size - (self.words[-1] in (".", "!"))
        subject = self.subject(end)
        if subject is not None and subject.head < end - 1 and self.tag(end - 1)[:2] in ("NN", "VB"):
            yield Spot(end, (ANY, self.before(end), subject.noun.kind, "", "."), subject)

    def wide(self, category: str, span: tuple[int, int], changed: int, anchor: Phrase) -> Iterator[Extra]:
        """The phrase with its link, which phrases of other categories can take the place of."""
        first, last = span
        follow = self.follow(last + 1)
        if anchor.head == first - 1:
            before = "being"
        elif follow == "." and anchor.head < first and self.tag(first - 1)[:2] in ("NN", "VB"):
            before = self.before(first)
        else:
            return
        governor = self.caption.lemmas[anchor.head]
        yield self.extra(category, (before, anchor.noun.kind), span, governor, anchor, changed)


def who(phrase: Phrase) -> str:
    """What phrases of garments and things must agree with."""
    noun = phrase.noun
    return f"{noun.kind} {noun.gender} {noun.age in ('baby', 'child')} {phrase.plural}"


def type_worn(phrase: Phrase) -> str:
    """The type of a garment, or its word if it has none; "colour" for "in red"."""
    if phrase.noun.kind == "colour":
        return "colour"
    return next((name for name, words in ADD.worn.items() if phrase.word in words), phrase.word)


@lru_cache(maxsize=1)
def _scene_words() -> frozenset[str]:
    return frozenset().union(*ADD.scenes.values())
