"""Is a text true of a scene? A small parser for the captions of `write_captions` and for their negatives."""

import itertools
import re
from collections.abc import Callable
from functools import partial

from sources.scenes.captions import NUMBERS, SIZE_WORDS, plural
from sources.scenes.drawings import COLOURS, KINDS, PATTERNS
from sources.scenes.scene import CLEAR, OFF_MIDDLE, PICTURE, WAYS, fits, is_off

Test = Callable[[dict], bool]  # of one object of a scene

# Word -> (fact, value). Other words describe no object.
_MEANINGS = {word: ("kind", kind) for kind in KINDS for word in (kind, plural(kind))}
_MEANINGS |= {word: ("size", size) for size, words in SIZE_WORDS.items() for word in words}
_MEANINGS |= {word: ("colour", word) for word in COLOURS} | {word: ("pattern", word) for word in PATTERNS}
_COUNTS = dict.fromkeys(("a", "an", "the", "this")) | {word: n for n, word in enumerate(NUMBERS) if n}
# No object is behind or inside another one. Words such as "near" could be true: texts with them raise an error.
_WAY_WORDS = {way: way for way in WAYS} | dict.fromkeys(("behind", "inside"))
_WAY_WORDS |= dict.fromkeys(("upper", "top", "over"), "above")
_WAY_WORDS |= dict.fromkeys(("lower", "bottom", "under", "beneath"), "below")
_PLACING = {"on", "in", "at", "to", *_WAY_WORDS}
_STRUCTURE = {*_COUNTS, *_PLACING, "exactly", "there", "you", "can", "see", "be", "seen", "is", "are"}
_STRUCTURE |= {"and", "of", "with", "has", "shows"}
_VAGUE = {"near", "beside", "by", "next", "between", "some", "many", "several", "few", "no", "not", "all"}


def is_true(caption: str, scene: dict) -> bool:
    """Does the text describe the scene? It can be a caption of `write_captions`, or one with words replaced.

    - "a", "an", "the": at least one object fits. A number: exactly that many fit. An object must fit the whole clause:
      "two balls are on the left side" counts the balls on the left side.
    - "above two cups": there are exactly two cups, and it is above both. "Above a cup": it is above at least one cup.
    - The members of a list are different objects: "a ball and a red ball" needs two balls.
    - left, right, above, below: the centres are apart by 0.15 of the picture's side in this direction, or by 0.1 from
      the middle of the picture. Two directions can hold at once; "upper left" needs both.
    - Other words describe no object: "a wooden ball" and "in a kitchen" are false.
    - a/an and singular/plural are not checked, so a negative can have them wrong.

    Raises ValueError for a text that it cannot parse, or with words whose truth does not follow from the scene ("near",
    "several").
    """
    clauses = re.split(r",? while ", caption.strip().removesuffix(".").lower())
    try:
        # Parse every clause, also after a false one, to raise errors in all of them.
        truths = [_Clause(re.findall(r"[a-z]+(?:-[a-z]+)*|\S", clause), scene).is_true() for clause in clauses]
    except _Unreadable as error:
        raise ValueError(f"cannot parse the text {caption!r}: {error}") from None
    return all(truths)


class _Unreadable(Exception):
    """Why a text cannot be parsed; `is_true` adds the text."""


class _Clause:
    """Parses one clause from left to right and compares it with the scene.

    clause   = [place [","]] ["there" be | "you can see" | be | headline] list {place | be adjectives | ...}
    headline = noun phrase ("shows" | "has" | "with"), of the picture or of a background
    list     = noun phrase {("," | "and") noun phrase}
    place    = on/in/at/to [the] directions [side] [of] noun phrase, or on/in/at/to background
    """

    def __init__(self, words: list[str], scene: dict):
        self.words, self.at = [*words, "<end>"], 0
        self.objects, self.background = scene["objects"], scene["background"]

    def is_true(self) -> bool:
        """Parse the whole clause, and look for different objects that fit all of its noun phrases and tests."""
        tests = []
        if self.next in _PLACING:
            tests.append(self.place())
            self.take(",")
        if self.take("there"):
            self.need("is", "are")
        elif self.take("you"):
            self.need("can")
            self.need("see")
        elif not self.take("is", "are"):
            tests += self.headline()
        phrases = [self.noun_phrase()]
        while self.next in (",", "and") and self.words[self.at + 1] in {*_COUNTS, "exactly"}:
            self.at += 1
            phrases.append(self.noun_phrase())
        tests += self.rest()
        found = [
            [item for item in self.objects if _describes(words, item) and all(test(item) for test in tests)]
            for _, words in phrases
        ]
        if any(len(items) != number if number else not items for (number, _), items in zip(phrases, found)):
            return False
        slots = [items for (number, _), items in zip(phrases, found) for _ in range(number or 1)]
        choices = itertools.permutations(self.objects, len(slots))
        return any(all(item in items for item, items in zip(choice, slots)) for choice in choices)

    def headline(self) -> list[Test]:
        """ "The picture shows", "a beach with": a test of the background, or none."""
        start = self.at
        number, words = self.noun_phrase()
        if self.take("shows", "has", "with"):
            return [] if words == ["picture"] and number in (None, 1) else [self.is_background(number, words)]
        self.at = start
        return []

    def rest(self) -> list[Test]:
        """What follows the list: places, adjectives after "is", and "can be seen", in any order."""
        tests: list[Test] = []
        while self.next != "<end>":
            if self.next in _PLACING:
                tests.append(self.place())
            elif self.take("is", "are"):
                adjectives = self.content()
                while adjectives and self.next == "and" and self.is_content(self.words[self.at + 1]):
                    self.at += 1
                    adjectives += self.content()
                tests.append(partial(_describes, adjectives))
            elif self.take("can"):
                self.need("be")
                self.need("seen")
            else:
                self.need("and")
        return tests

    def place(self) -> Test:
        """Parse a place or a direction: "on a beach", "above two cups", "on the left side of the picture"."""
        preposition = self.take("on", "in", "at", "to")
        start = self.at
        self.take(*_COUNTS)
        named = []
        while self.next in _WAY_WORDS:
            named.append(_WAY_WORDS[self.need(*_WAY_WORDS)])
        if not named:
            self.at = start
            number, words = self.noun_phrase()
            if not preposition:
                raise _Unreadable(f"no place in {words}")
            if self.take("of"):  # "to the front of the house"
                self.noun_phrase()
                words = [*words, "of"]
            return self.is_background(number, words)
        sideways = self.content()
        self.take("of")
        number, words = self.noun_phrase()
        ways = [way for way in named if way]
        axes = {WAYS[way][0] for way in ways}
        if len(axes) < len(named) or not {"side", "half", "part"}.issuperset(sideways):
            # An impossible direction ("behind"), two on one axis ("lower above"), or an unknown noun.
            return lambda item: False
        if words == ["picture"]:
            return lambda item: all(is_off(item, way, PICTURE, OFF_MIDDLE) for way in ways)
        targets = [item for item in self.objects if _describes(words, item)]
        if number and len(targets) != number:
            return lambda item: False
        some = all if number else any
        return lambda item: some(all(is_off(item, way, other, CLEAR) for way in ways) for other in targets)

    def is_background(self, number: int | None, words: list[str]) -> Test:
        """A test that is the same for all objects: does the noun phrase name the background?"""
        truth = number in (None, 1) and words in ([self.background], [self.background + "s"])
        return lambda item: truth

    def noun_phrase(self) -> tuple[int | None, list[str]]:
        """Parse a noun phrase: its number, None for "at least one", and its words without articles."""
        exactly = self.take("exactly")
        number = _COUNTS[self.need(*_COUNTS)] or (1 if exactly else None)
        words = self.content()
        if not words or _MEANINGS.get(words[-1], ("kind",))[0] != "kind":
            raise _Unreadable(f"no noun before {self.next!r}")
        return number, words

    def content(self) -> list[str]:
        """Parse all content words that follow, perhaps none."""
        start = self.at
        while self.is_content(self.next):
            self.at += 1
        return self.words[start : self.at]

    @staticmethod
    def is_content(word: str) -> bool:
        return word[0].isalpha() and word not in _STRUCTURE and word not in _VAGUE

    @property
    def next(self) -> str:
        return self.words[self.at]

    def take(self, *options: str) -> str | None:
        """The next word, which is passed, if it is one of these; else None."""
        if self.next not in options:
            return None
        self.at += 1
        return self.words[self.at - 1]

    def need(self, *options: str) -> str:
        """The same, but any other word is an error."""
        word = self.take(*options)
        if word is None:
            raise _Unreadable(f"unexpected {self.next!r} at word {self.at + 1}")
        return word


def _describes(words: list[str], item: dict) -> bool:
    return all(word in _MEANINGS and fits([_MEANINGS[word]], item) for word in words)
