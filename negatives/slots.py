"""Which words of a parsed caption may be swapped: the rules of sense, agreement and reference.

The parse is made once, when the database is built; the rules need no parser and no torch. What may stand in for what
is in `negatives.vocabulary`; what is drawn is decided in `negatives.edits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from negatives.text import Parse, Slot
from negatives.vocabulary import LIST, VERB_FORMS, Entry, entries, inflect, pools, words_of

_NONE: frozenset[str] = frozenset()
_NOUN_TAGS = frozenset(("NN", "NNS"))
_ANY_NOUN = frozenset(("NN", "NNS", "NNP", "NNPS"))
_OBJECT_TAGS = frozenset(("DT", "PRP$", "PRP", "NN", "NNS", "NNP", "JJ", "CD", "WP", "PDT"))
_PREMODIFIERS = frozenset(
    ("JJ", "JJR", "JJS", "NN", "CD", "VBN", "VBG", "RB", "PRP$", "DT", "PDT", "POS", "HYPH", "CC")
)
_ADJECTIVES = frozenset(("JJ", "VBN", "VBG", "CD", ",", "HYPH", "CC"))
_DETERMINERS = frozenset(("DT", "CD", "PRP$", "POS"))
_RETAGGED = frozenset(("NNP", "NNPS", "NNS"))

_PRONOUNS = {
    ("he", ""): "she",
    ("she", ""): "he",
    ("his", "PRP$"): "her",
    ("his", ""): "hers",
    ("him", ""): "her",
    ("her", "PRP$"): "his",
    ("her", ""): "him",
    ("hers", ""): "his",
    ("himself", ""): "herself",
    ("herself", ""): "himself",
}
_FIRST_IS_MALE = 0  # every gender pool lists the male group first
_AGREEMENT = {"is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has"}
_AGREEMENT |= {"does": "do", "do": "does"}


@lru_cache(maxsize=1)
def _third_persons() -> frozenset[str]:
    groups = [group for pool, groups in pools().items() if pool.startswith("action.") for group in groups]
    return LIST["third_person"].union(inflect(word, "VBZ") for group in groups for word in group.sources)


@lru_cache(maxsize=2)
def _beings(animals: bool) -> frozenset[str]:
    people = LIST["person"] | words_of("person") | words_of("gender")
    return people | words_of("animal") if animals else people


class _Caption:
    """The parse in the shape the rules ask it: lower-case words and padded look-ups."""

    __slots__ = ("deps", "fixed", "heads", "joined", "lenient", "parse", "size", "tags", "words")

    def __init__(self, parse: Parse) -> None:
        text, tags = parse.text, list(parse.tag)
        lower = text.lower()
        if len(lower) == len(text):  # not so for a few letters, such as the Turkish capital I with a dot
            words = [lower[start:end] for start, end in zip(parse.start, parse.end)]
        else:
            words = [text[start:end].lower() for start, end in zip(parse.start, parse.end)]
        self.parse, self.words, self.tags = parse, words, tags
        self.heads, self.deps = parse.head, parse.dep
        self.size = len(words)
        self.joined = "-" in text or "/" in text or "'" in text or "’" in text
        if not _RETAGGED.isdisjoint(tags):
            for i, tag in enumerate(tags):
                if tag == "NNS":
                    if words[i] in _third_persons() and self._is_verb(i):
                        tags[i] = "VBZ"
                elif tag in _RETAGGED and (text.isupper() or text[parse.start[i] : parse.end[i]].islower()):
                    tags[i] = "NN" if tag == "NNP" else "NNS"  # "the white/NNP house/NNP", "A RED/NNP BUS/NNP"
        self.fixed: set[int] = set()  # tokens of fixed compounds met so far
        self.lenient = False  # take swaps too that read oddly

    def _is_verb(self, i: int) -> bool:
        """Is this plural noun really a verb? "A child plays": an article for one, and a noun before it."""
        before = i - 1
        while before >= 0 and self.tags[before] in ("NN", "JJ"):
            before -= 1
        return before >= 0 and self.tags[i - 1] == "NN" and self.words[before] in ("a", "an", "one", "this")

    def word(self, i: int) -> str:
        return self.words[i] if 0 <= i < self.size else ""

    def tag(self, i: int) -> str:
        return self.tags[i] if 0 <= i < self.size else ""

    def has(self, name: str) -> bool:
        """Does any word of the caption stand in this list?"""
        return not LIST[name].isdisjoint(self.words)

    def glued(self, first: int, last: int) -> bool:
        """Is a hyphen or apostrophe attached on either side ("two-story", "multi-coloured")?"""
        if not self.joined:
            return False
        text, start, end = self.parse.text, self.parse.start[first], self.parse.end[last]
        return (start > 0 and text[start - 1] in "-'’/") or text[end : end + 1] in ("-", "/")

    def noun_after(self, last: int) -> int:
        """The head noun of the noun phrase that goes on after token `last`; -1 if none does."""
        words, tags, size, i = self.words, self.tags, self.size, last + 1
        while i < size and (tags[i] in _ADJECTIVES or words[i] in words_of("colour")):
            if tags[i] == "CC" and words[i - 1] not in words_of("colour"):
                return -1
            i += 1
        if i >= size or tags[i] not in _ANY_NOUN:
            return -1
        while i + 1 < size and tags[i + 1] in _NOUN_TAGS:
            i += 1
        return i

    def phrase_start(self, first: int) -> int:
        """The last token before the noun phrase around token `first`; -1 at the beginning."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            i -= 1
        return i

    def preposition(self, first: int) -> str:
        """The preposition that governs the noun phrase around token `first`, or ""."""
        i = self.phrase_start(first)
        return self.words[i] if i >= 0 and self.tags[i] in ("IN", "TO", "RP") else ""

    def has_being(self, animals: bool = True) -> bool:
        """Is anybody there who sits or stands? A vase that stands may as well be said to sit."""
        return not _beings(animals).isdisjoint(self.words)

    def absent(self, first: int) -> bool:
        """Is the noun phrase around token `first` said to be missing?"""
        if "no" not in self.words and "without" not in self.words:
            return False
        i = self.phrase_start(first)
        return "no" in self.words[i + 1 : first] or (i >= 0 and self.words[i] == "without")

    def determiner(self, first: int) -> str:
        """What makes the noun phrase around token `first` countable in the singular: "the", "two", "'s"; or ""."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS and self.tags[i] != "CC":
            if self.tags[i] in _DETERMINERS:
                return self.words[i]
            i -= 1
        return ""

    def definite(self, first: int) -> bool:
        word = self.determiner(first)
        return word in LIST["definite"] or word in ("'s", "’s", "'")

    def named_again(self, entry: Entry, first: int, last: int) -> tuple[tuple[int, int], ...] | None:
        """The later mentions of the noun at `first`..`last` that must change with it; None if that is not sure.

        "A dog ... The dog": one thing, named twice. "A black dog and a white dog": two things, each on its own.
        "A dog ... another dog" and "a puppy ... the dog" fit no replacement of one of them.
        """
        words, own = self.words, last - len(entry.words) + 1
        if first and words[first - 1] in ("other", "another"):
            return None
        if not entry.kin.isdisjoint(words) and any(
            word in entry.kin and (self.definite(i) or words[i - 1] == "one" or words[i - 1] in LIST["contrast"])
            for i, word in enumerate(words)
        ):
            return None
        word = words[last]
        if words.count(word) == 1:
            return ()
        mentions = [
            i for i, other in enumerate(words) if other == word and (i == last or self.tag(i + 1) not in _ANY_NOUN)
        ]
        spans = []
        for i in mentions:
            begin = i - (last - own)
            if tuple(words[begin : i + 1]) != entry.words:  # "a hot dog ... the dog"
                return () if self.lenient else None
            if i != last:
                modifiers = last - own + own - first  # "tennis ball ... the tennis ball"
                if modifiers and words[max(0, i - modifiers) : begin] == words[first:own]:
                    begin = i - modifiers
                elif begin > 0 and self.tags[begin - 1] in _NOUN_TAGS:
                    return None
                if self.glued(begin, i):
                    return None
            spans.append((begin, i))
            if not LIST["contrast"].isdisjoint(words[self.phrase_start(begin) + 1 : begin]):
                return None
        known = [self.definite(begin) for begin, _ in spans[1:]]
        if not any(known):
            return ()
        return tuple(spans[1:]) if mentions[0] == last and all(known) else None

    def said_again(self, first: int, last: int, noun: int) -> tuple[tuple[int, int], ...] | None:
        """The later places where the adjective at `first`..`last` tells the same noun again ("the red car")."""
        words = self.words
        if first != last or noun < 0 or words.count(words[first]) == 1:
            return ()
        again = [
            i
            for i, word in enumerate(words)
            if i != first
            and word == words[first]
            and (found := self.noun_after(i)) >= 0
            and words[found] == words[noun]
        ]
        if any(i < first for i in again):
            return None if self.definite(first) else ()
        return tuple((i, i) for i in again if self.definite(i))


def find_slots(parse: Parse, lenient: bool = False) -> tuple[Slot, ...]:
    """Every place of the caption that may be swapped, in reading order.

    lenient: also places whose swaps a blind reader may suspect; they are a last resort.

    Words are looked up by surface, not by the parser's lemma (small models say "rid" for "riding"); tags and
    neighbours then decide about the sense. Heads are wrong too often to build on, and only confirm.
    """
    caption = _Caption(parse)
    slots = [] if lenient else _read(caption)
    if not slots:  # 2 % of photo captions: "A surfer rides a wave." has only swaps that a blind reader suspects
        caption.lenient = True
        slots = _read(caption)
    return tuple(slots)


class _Reading(NamedTuple):
    """What may begin at a word: phrases by their second word, the longest first, and single words with their tag."""

    phrases: dict[str, tuple[Entry, ...]]
    single: tuple[tuple[str, Entry, Callable[[_Caption, Entry, int, int], Slot | None]], ...]


@lru_cache(maxsize=1)
def _readings() -> dict[str, _Reading]:
    """The index of the vocabulary, laid out for `_read`: most words of a caption cost one look-up."""
    readings = {}
    for first, found in entries().items():
        phrases: dict[str, tuple[Entry, ...]] = {}
        single = []
        for entry in found:
            if len(entry.words) > 1:
                phrases[entry.words[1]] = (*phrases.get(entry.words[1], ()), entry)
            else:
                tag = entry.form if entry.category == "action" else ""
                single.append((tag, entry, _RULES[entry.category]))
        readings[first] = _Reading(phrases, tuple(single))
    return readings


def _read(caption: _Caption) -> list[Slot]:
    readings, words, tags = _readings(), caption.words, caption.tags
    slots: list[Slot] = []
    after = 0
    for i in [i for i, word in enumerate(words) if word in readings]:  # half of the words are in no vocabulary
        if i < after:
            continue
        phrases, single = readings[words[i]]
        if phrases and i + 1 < caption.size and words[i + 1] in phrases:
            after = i + _read_phrase(caption, phrases[words[i + 1]], i, slots)
            if after > i:
                continue
        tag = tags[i]
        for wanted, entry, rule in single:
            if wanted and wanted != tag:
                continue
            slot = rule(caption, entry, i, i)
            if slot is not None:
                if not caption.glued(slot.first, i):
                    slots.append(slot)
                break
    return slots


def _read_phrase(caption: _Caption, phrases: tuple[Entry, ...], i: int, slots: list[Slot]) -> int:
    """Read the longest phrase at token `i`; how many tokens it takes, 0 if none is there.

    If "ice cream" does not fit ("ice cream cone"), neither does a part of it.
    """
    step = 0
    for entry in phrases:
        size = len(entry.words)
        if size < step or tuple(caption.words[i : i + size]) != entry.words:
            continue
        step = size
        if not entry.pool:  # a fixed compound
            caption.fixed.update(range(i, i + size))
            break
        slot = _RULES[entry.category](caption, entry, i, i + size - 1)
        if slot is not None:
            if not caption.glued(slot.first, slot.last):
                slots.append(slot)
            break
    return step


@lru_cache(maxsize=4096)
def _union(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Made once for each pair: `avoid` of verbs holds hundreds of forms, and captions repeat a few combinations."""
    return some | others


def _slot(
    entry: Entry,
    first: int,
    last: int,
    repairs: tuple[tuple[int, str, bool], ...] = (),
    avoid: frozenset[str] = _NONE,
    echoes: tuple[tuple[int, int], ...] = (),
) -> Slot:
    avoid = _union(entry.near, avoid) if avoid else entry.near
    return Slot(entry.category, first, last, entry.word, entry.form, entry.pool, entry.group, repairs, avoid, echoes)


@lru_cache(maxsize=1)
def _adjectives() -> frozenset[str]:
    """Words that small models tag as nouns in front of a noun; they stay when it is swapped."""
    return frozenset().union(*(words_of(category) for category in ("material", "colour", "pattern", "shape", "size")))


def _is_noun(caption: _Caption, entry: Entry, first: int, last: int) -> bool:
    """Does the tag say that this is a noun, in this number, and the head of its phrase?"""
    tag = caption.tags[last]
    if tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN):
        return False
    if tag != entry.form and entry.form and tag in _NOUN_TAGS and inflect(entry.word, tag) == entry.words[-1]:
        return False
    return caption.tag(last + 1) not in _ANY_NOUN


def _noun(caption: _Caption, entry: Entry, first: int, last: int, avoid: frozenset[str] = _NONE) -> Slot | None:
    """A noun that heads its phrase. Its compound modifiers go with it: "tennis ball" -> "frisbee"."""
    words, tags = caption.words, caption.tags
    if caption.absent(first):  # "without a shirt" stays true with any other garment
        return None
    while first > 0 and tags[first - 1] in _ANY_NOUN:
        if words[first - 1] in _adjectives():
            break
        is_compound = tags[first - 1] == "NN" and caption.deps[first - 1] == "compound"
        if not is_compound or not first <= caption.heads[first - 1] <= last or first - 1 in caption.fixed:
            return None
        first -= 1
    if first and tags[last] == "NNS" and words[first - 1] in ("a", "an"):  # "a runner slides": a verb taken for a noun
        return None
    if first and entry.form == "NN" and tags[first - 1] == "CD" and words[first - 1] not in ("one", "1"):
        return None  # "two giraffe"
    echoes = caption.named_again(entry, first, last)
    return None if echoes is None else _slot(entry, first, last, (), avoid, echoes)


def _person(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    if not _is_noun(caption, entry, first, last):
        return None
    if entry.pool == "person.age":
        aged = caption.word(first - 1) in LIST["still_young"]  # no "young adult"
        return None if aged or caption.has("tells_gender") else _noun(caption, entry, first, last)
    if caption.has("sport") and not caption.lenient:  # "a cyclist rides a wave" is known for false without the picture
        return None
    return _noun(caption, entry, first, last)


def _animal(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """An animal, by others that can do the same: no bird runs with a stick in its mouth, no dog is ridden."""
    if not _is_noun(caption, entry, first, last):
        return None
    if caption.word(first - 1) in words_of("animal"):  # "husky dogs"
        return None
    if entry.pool == "animal.ridden":
        return _noun(caption, entry, first, last) if caption.has("riding") else None
    if entry.pool != "animal.any":
        return _noun(caption, entry, first, last)
    if entry.word == "bird":
        if caption.has("winged"):
            return None
        return _noun(caption, entry, first, last, LIST["hoofed"])
    avoid = _NONE
    if entry.word not in LIST["in_air"]:
        avoid = LIST["in_air"] if caption.has("mammal") or entry.word not in ("cat", "dog") else LIST["sea"]
        if caption.has("indoors"):
            avoid = _union(avoid, LIST["hoofed"])
    return _noun(caption, entry, first, last, avoid)


def _clothing(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    if not _is_noun(caption, entry, first, last):
        return None
    following = caption.word(last + 1)
    if following == "of" or (entry.word == "glasses" and following == "on"):
        return None
    if entry.word == "costume" and not caption.determiner(first):
        return None
    if entry.pool == "clothing.dog" and words_of("animal").isdisjoint(caption.words):
        return None
    before = caption.word(first - 1)
    if before in LIST["leathery"]:
        return None
    # Nearly everybody wears a shirt, trousers and shoes: drawn only where a colour or pattern makes them wrong.
    told = caption.tag(first - 1) in ("JJ", "VBN") or before in words_of("colour") or before in words_of("pattern")
    avoid = LIST["always_worn"] if not told and caption.has_being(animals=False) else _NONE
    if caption.has("male") and not caption.has("female"):
        avoid = _union(avoid, LIST["womens_clothes"])
    return _noun(caption, entry, first, last, avoid)


def _food(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    if not _is_noun(caption, entry, first, last):
        return None
    if entry.pool in ("food.mass", "food.drink"):
        if (caption.tags[last] == "NNS" and entry.word != "broccoli") or caption.determiner(first) in ("a", "an"):
            return None
    elif entry.form == "NN" and not caption.determiner(first):
        return None
    return _noun(caption, entry, first, last)


def _vehicle(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A vehicle, by others that move on the same ground: no canoe drives down a road."""
    if not _is_noun(caption, entry, first, last):
        return None
    avoid = _NONE
    if first and entry.form == "NN" and not caption.determiner(first) and not caption.lenient:
        return None
    if caption.word(last + 1) == "of":
        return None
    if entry.word == "cart" and caption.has("shopping") and not caption.lenient:
        return None
    if entry.pool == "vehicle.large":
        if caption.has("aloft"):
            avoid = LIST["not_aloft"]
        elif entry.word in ("boat", "ship") and caption.has("afloat") and not caption.lenient:
            return None
        elif caption.has("road"):
            avoid = LIST["not_on_road"]
        if caption.preposition(first) == "on":
            avoid = _union(avoid, LIST["boarded"])
    return _noun(caption, entry, first, last, avoid)


def _ground(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """What somebody stands, sits or runs on: "in the grass" -> "in the snow"."""
    preposition, before = caption.preposition(first), caption.word(first - 1)
    if preposition not in LIST["ground"] or before in ("a", "an") or before in LIST["ground_adjective"]:
        return None
    if entry.word == "water" and (preposition in ("out", "at", "on", "from") or before not in ("the", preposition)):
        return None  # "soapy water"
    # Nobody swims in grass or skis on sand: such a negative is known without the picture.
    if not caption.lenient and (
        (entry.word == "water" and caption.has("aquatic")) or (entry.word in ("snow", "ice") and caption.has("wintry"))
    ):
        return None
    avoid = LIST["wet_ground"] if preposition in ("on", "onto") or caption.has("posed") else _NONE
    if preposition in ("in", "into", "through"):
        avoid = _union(avoid, LIST["hard_ground"])
    return _noun(caption, entry, first, last, avoid)


def _is_place(caption: _Caption, entry: Entry, first: int, last: int, preposition: str) -> bool:
    """Does something happen there, so that another place makes it false?"""
    match entry.pool:
        case "place.at":
            return preposition == "at"
        case "place.air":
            return caption.lenient and caption.word(first - 1) == "the" and caption.word(first - 2) in ("in", "through")
        case "place.on":
            known = LIST["place.on"]
        case _:
            known = LIST["place.in"]
    if preposition not in known and (preposition or caption.tags[last] == "NNS" or entry.word == "bar"):
        return False
    if caption.lenient:
        return True
    if (entry.word in LIST["paved"] and caption.has("urban")) or (entry.word == "island" and caption.has("in_kitchen")):
        return False
    climbed = not preposition and caption.has("climbing")
    return entry.pool != "place.on" or not (climbed or caption.has("wintry"))


def _place(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    if not _is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    pool = entry.pool
    if caption.word(first - 1) in LIST["terrain"] or caption.tag(first - 1) == "VBG":  # no "grassy river"
        return None
    if pool == "place.ground":
        return _ground(caption, entry, first, last)
    preposition = caption.preposition(first)
    if not _is_place(caption, entry, first, last, preposition):
        return None
    avoid = _NONE
    if entry.word in LIST["room"] or (pool == "place.outdoor" and preposition != "in"):
        avoid = LIST["just_room"]
    elif pool == "place.room":
        avoid = LIST["open_land"] if caption.has("furnished") or caption.has_being() else _NONE
    elif pool == "place.on" and preposition in ("down", "up", "along", "across"):
        avoid = LIST["not_path"]
    elif pool == "place.water" and caption.has("afloat_by"):
        avoid = LIST["small_water"]
    return _noun(caption, entry, first, last, avoid)


def _object(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    pool = entry.pool
    if pool == "object.game":
        return _game(caption, entry, first, last)
    if not _is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    if pool in ("object.ridden", "object.stunt"):
        verbs = LIST["riding" if pool == "object.ridden" else "doing"]
        done = not verbs.isdisjoint(caption.words[max(0, first - 4) : first])
        return _noun(caption, entry, first, last) if caption.lenient and done else None
    if entry.form == "NN" and not caption.determiner(first):
        return None
    preposition, before = caption.preposition(first), caption.word(first - 1)
    if before in LIST["open_or_shut"] and pool != "object.sportball":  # of the things here, only a few can be
        return None
    if pool in ("object.furniture", "object.fixture", "object.scene"):
        return _furniture(caption, entry, first, last, preposition)
    avoid, fits = _NONE, True
    match pool:
        case "object.over":
            fits = preposition == "over" and caption.has("jumping")
        case "object.ball":
            fits = preposition != "on" and before != "long" and not (entry.word == "bubble" and caption.has("blowing"))
            if entry.word == "rope":  # a dog's toy, not a climber's
                fits = fits and not words_of("animal").isdisjoint(caption.words)
            elif entry.word == "ball":
                fits = fits and (caption.lenient or not caption.has("ballgame"))
            avoid = _NONE if caption.has("hoop_like") else LIST["odd_toy"]
        case "object.held":
            if entry.word in ("umbrella", "parasol"):
                fits = not (preposition.startswith("under") or caption.has("rainy_words"))
            elif entry.word in LIST["read_or_smoked"]:
                fits = not caption.has("read")
        case "object.tool":
            fits = preposition not in ("in", "on")
            avoid = LIST["household"] if caption.has("ballgame") else _NONE
        case "object.vessel":
            fits = caption.has("pouring")
        case "object.plate":
            fits = preposition == "on" or caption.lenient
        case "object.bowl":
            fits = preposition == "in" or caption.lenient
        case "object.seat":
            top = caption.phrase_start(first)
            fits = preposition == "on" or (preposition == "of" and caption.word(top - 1) == "top")
        case "object.desk":
            fits = preposition == "at"
    return _noun(caption, entry, first, last, avoid) if fits else None


def _game(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """ "playing soccer", "a game of soccer", "a soccer game", and where nothing else is left "a soccer player" """
    if caption.tags[last] != "NN":
        return None
    before = caption.word(first - 1)
    played = before in LIST["played"] or (before == "of" and caption.word(first - 2) in LIST["match"])
    played = played and caption.tag(last + 1) not in _NOUN_TAGS
    following = caption.word(last + 1)
    named = following in LIST["match"] or (following in LIST["teams"] and caption.lenient)
    return _slot(entry, first, last) if played or named else None


def _furniture(caption: _Caption, entry: Entry, first: int, last: int, preposition: str) -> Slot | None:
    """What stands in a room or a street, by what would be seen there but is not everywhere."""
    if preposition in LIST["within"] and not caption.lenient:
        return None
    if not LIST["handled"].isdisjoint(caption.words[max(0, first - 4) : first]):
        return None
    avoid, before = _NONE, caption.word(first - 1)
    if entry.pool == "object.scene":
        if caption.has("inside_house") or (entry.word in LIST["grown"] and caption.has("climbing")):
            return None
    else:
        if caption.has("in_kitchen"):
            avoid = LIST["not_kitchen"]
        if "bathroom" in caption.words:
            avoid = _union(avoid, LIST["not_bathroom"])
    # "There is a table" may well go on "and a chair", unseen by the writer; "a cat under the table" may not.
    exists = preposition in LIST["exists"] or not preposition
    if exists and caption.word(caption.phrase_start(first)) not in LIST["landmark_side"]:
        avoid = _union(avoid, LIST["everywhere"])
    # Trees and flowers stand nearly everywhere: drawn only where a colour or pattern makes them wrong.
    if before not in words_of("colour") and before not in words_of("pattern"):
        avoid = _union(avoid, LIST["grown"])
    return _noun(caption, entry, first, last, avoid)


def _weather(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """Weather and light: "a sunny day", "in the rain", "at night"."""
    pool, tag = entry.pool, caption.tags[last]
    if pool == "weather.sky":
        if tag not in ("JJ", "NN", "RB", "VBN"):
            return None
        noun = caption.noun_after(last)
        if noun >= 0:
            fits = caption.words[noun] in LIST["sky"]
        else:
            fits = caption.word(first - 1) in ("is", "looks", "very", "and") and caption.has("sky")
        return _slot(entry, first, last) if fits else None
    if tag not in _ANY_NOUN or caption.tag(last + 1) in _ANY_NOUN:
        return None
    before, preposition = caption.word(first - 1), caption.preposition(first)
    if pool == "weather.hour":
        return _slot(entry, first, last) if before == "at" else None
    if pool == "weather.day":
        return _slot(entry, first, last) if preposition == "during" and before in ("the", "during") else None
    if pool == "weather.low":
        fits = before == "a" and preposition in ("during", "against", "into", "in", "at")
        return _slot(entry, first, last) if fits else None
    return _slot(entry, first, last) if preposition == "in" and before in ("the", "in") else None


def _gender(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A gendered noun, with the pronouns that surely refer to it; none of it where that is unclear."""
    tag, words = caption.tags[first], caption.words
    if entry.pool == "gender.adjective":
        if tag != "JJ" or caption.tag(first + 1) not in _ANY_NOUN or caption.word(first + 1) in words_of("gender"):
            return None
    elif (tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN)) or caption.tag(last + 1) in _ANY_NOUN:
        return None
    if caption.has("tells_gender"):
        return None
    echoes = caption.named_again(entry, first, last) if entry.form else ()
    if echoes is None:
        return None
    male = entry.group == _FIRST_IS_MALE
    own = LIST["he"] if male else LIST["she"]
    if own.isdisjoint(words):
        return _slot(entry, first, last, echoes=echoes)
    candidates = sum(word in _singular_nouns(male) for word in words) - len(echoes)
    if entry.form == "NNS":  # "one of the men ... his"
        return _slot(entry, first, last, echoes=echoes) if candidates else None
    if candidates > (entry.form != "") and not (entry.form == "" and candidates == 1):
        return None
    repairs = []
    for i, word in enumerate(words):
        if word in own:
            tag = caption.tags[i]
            if word == "her" and caption.tag(i + 1) in ("JJ", *_ANY_NOUN):  # tagged PRP now and then
                tag = "PRP$"
            repairs.append((i, _PRONOUNS.get((word, tag)) or _PRONOUNS[word, ""], True))
    return _slot(entry, first, last, tuple(repairs), echoes=echoes)


@lru_cache(maxsize=2)
def _singular_nouns(male: bool) -> frozenset[str]:
    """What a male (or female) pronoun may refer to: gendered nouns of that side and nouns of no gender."""
    side = 0 if male else 1
    gendered = {
        word
        for pool, groups in pools().items()
        if pool.startswith("gender.") and pool != "gender.adjective"
        for word in groups[side].sources
    }
    neutral = {word for pool in ("person.age", "person.role") for group in pools()[pool] for word in group.sources}
    return frozenset(gendered | neutral | {"person", "someone", "individual"}) - {"male", "female"}


def _number(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A number that counts a plural noun; "one" and its exchange with the others only where agreement is sure."""
    if caption.tags[first] != "CD" or caption.word(first - 1) in ("number", "no", "#"):
        return None
    colours, within = words_of("colour"), ("JJ", "VBN", "VBG", "NN", ",", "CC")
    noun = first + 1
    while caption.tag(noun) in within and caption.tag(noun + 1) in (*within, *_ANY_NOUN):
        if caption.tags[noun] == "CC" and not {caption.word(noun - 1), caption.word(noun + 1)} <= colours:
            return None
        noun += 1
    if entry.word == "one":
        repairs = _agreement(caption, first, noun, "NNS") if caption.tag(noun) == "NN" else None
        return None if repairs is None else _slot(entry, first, last, repairs)
    if caption.tag(noun) != "NNS":
        return None
    repairs = _agreement(caption, first, noun, "NN") if entry.pool == "number.word" else None
    return _slot(entry, first, last, repairs or (), _NONE if repairs else LIST["one"])


def _agreement(caption: _Caption, first: int, noun: int, form: str) -> tuple[tuple[int, str, bool], ...] | None:
    """What must follow if the noun counted at `first` turns plural (NNS) or singular (NN); None if not sure."""
    words, tags = caption.words, caption.tags
    if caption.tag(first - 1) in ("DT", "PRP$", "PDT", "CD", "JJ") or caption.tag(noun + 1) == "POS":
        return None
    if caption.has("plural_only"):  # words that speak of several, or of one, later on
        return None
    changed = _other_number(words[noun], form)
    if changed is None or words.count(words[noun]) > 1 or changed in words:  # "two dogs ... the dogs"
        return None
    repairs = [(noun, changed, False)]
    finite = [i for i, tag in enumerate(tags) if tag in ("VBZ", "VBP") or words[i] in ("was", "were")]
    if not finite:
        return tuple(repairs) if "VBD" in tags or "MD" in tags or "VBG" in tags or len(words) < 8 else None
    verb = finite[0]
    # "There is exactly one dog", "in the corner are two dogs": the verb before the number agrees with it.
    ahead_of_number = words[verb] in ("is", "are", "was", "were") and first - 1 - (tags[first - 1] == "RB") == verb
    if ahead_of_number or (
        len(finite) == 1 and verb > noun and not any(tags[i] in ("CC", ",") for i in range(noun, verb))
    ):
        if not ahead_of_number and caption.deps[noun] not in ("nsubj", "nsubjpass", "ROOT"):
            return None
        wanted = "VBP" if form == "NNS" else "VBZ"
        if tags[verb] == wanted:  # the tagger and the noun disagree
            return None
        new = _AGREEMENT.get(words[verb])
        if new is None:
            base = caption.parse.lemma[verb].lower()
            new = inflect(base, wanted) if words[verb] in (base, inflect(base, "VBZ")) else None
        return None if new is None else (*repairs, (verb, new, False))
    if verb < first and caption.deps[noun] in ("dobj", "pobj", "conj", "attr") and len(finite) == 1:
        return tuple(repairs)
    return None


@lru_cache(maxsize=4096)
def _other_number(surface: str, form: str) -> str | None:
    """The plural (NNS) or singular (NN) of a noun of the vocabulary; None for a noun that is not in it."""
    for entry in entries().get(surface, ()):
        if entry.words == (surface,) and entry.form and entry.form in _NOUN_TAGS and entry.form != form:
            return inflect(entry.word, form)
    return {"person": "people", "people": "person"}.get(surface)


def _colour(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    word, tag, before = caption.words[first], caption.tags[first], caption.word(first - 1)
    if tag not in ("JJ", "NN") or caption.word(last + 1) in words_of("colour"):  # "golden brown"
        return None
    noun = caption.noun_after(last)
    if noun < 0:
        if entry.pool != "colour.any":
            return None
        if tag == "NN" or word in LIST["ambiguous_colour"]:
            joined = before == "and" and caption.word(first - 2) in words_of("colour")
            if not joined and before not in ("in", "wearing", "is", "are"):
                return None
        return None if before in ("is", "are") and caption.has("fixed_hue") else _slot(entry, first, last)
    head = caption.words[noun]
    if (
        before in ("hot", "neon")
        or head in LIST["person"]
        or head in LIST["fixed_hue"]
        or caption.tag(first + 1) == "NNP"
    ):
        return None
    if head == "hair":
        pool = "colour.blond" if word in ("blond", "blonde") else "colour.natural"
    else:
        natural = any(w in LIST["hair"] or w in words_of("animal") for w in caption.words[last + 1 : noun + 1])
        pool = "colour.natural" if natural else "colour.any"
    if entry.pool != pool:
        return None
    echoes = caption.said_again(first, last, noun)
    avoid = LIST["not_tinted"] if before in LIST["tinted"] else _NONE
    return None if echoes is None else _slot(entry, first, last, (), avoid, echoes)


@lru_cache(maxsize=1)
def _unmeasured() -> frozenset[str]:
    """What is small or large, but of a medium size only for some: the smaller of two dogs may be called medium."""
    return LIST["person"] | words_of("animal") | {"one"}


def _modifier(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """Material, pattern, shape, size and state words that stand before a noun they fit."""
    tag, pool = caption.tags[last], entry.pool
    if pool in _MARKS:
        return _MARKS[pool](caption, entry, first, last)
    if tag not in ("JJ", "NN", "VBN", "VBG", "VBD", "JJR", "RB"):
        return None
    noun = caption.noun_after(last)
    if noun < 0 or tag == "RB" or (tag == "NN" and entry.category in ("state", "size")):
        return None
    head = caption.words[noun]
    if not _fits(pool, head, caption.words):
        return None
    avoid = _NONE
    if entry.category == "pattern" and head in words_of("animal"):
        avoid = LIST["woven"]
    elif pool == "size.any" and (caption.word(first - 1) == "very" or head in _unmeasured()):
        if entry.word in LIST["middling"]:
            return None
        avoid = LIST["middling"]
    echoes = caption.said_again(first, last, noun)
    return None if echoes is None else _slot(entry, first, last, (), avoid, echoes)


def _openable(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    near = {caption.word(first - 1), caption.word(last + 1)}
    if caption.word(first - 1) in ("is", "are"):
        near.add(caption.word(first - 2))
    return None if caption.tags[last] == "NN" or near.isdisjoint(LIST["openable"]) else _slot(entry, first, last)


def _awake(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    return _slot(entry, first, last) if caption.tags[last] in ("JJ", "RB") else None


def _shade(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    return _slot(entry, first, last) if caption.word(last + 1) in words_of("colour") else None


def _mark(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """ "a shirt with blue stripes" """
    if caption.tags[last] != "NNS" or entry.form != "NNS" or caption.preposition(first) not in ("with", "in"):
        return None
    return _slot(entry, first, last, avoid=_NONE if words_of("animal").isdisjoint(caption.words) else LIST["star"])


def _figure(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A drawn circle or square; as a formation of people only "in a circle"."""
    if not _is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    stands = caption.word(first - 1) == "a" and caption.word(first - 2) == "in" and caption.has_being()
    if stands != (entry.pool == "shape.line") or (not stands and entry.word == "square"):
        return None
    return _noun(caption, entry, first, last)


_MARKS: dict[str, Callable[[_Caption, Entry, int, int], Slot | None]] = {
    "state.open": _openable,
    "state.sleep": _awake,
    "state.shade": _shade,
    "pattern.mark": _mark,
    "shape.noun": _figure,
    "shape.line": _figure,
}


@lru_cache(maxsize=1)
def _people() -> frozenset[str]:
    return LIST["person"] | words_of("person") | words_of("gender")


def _fits(pool: str, head: str, words: Sequence[str]) -> bool:
    """May something of this pool be said of this noun?"""
    match pool:
        case "material.build":
            return head in LIST["building"] and head not in LIST["way"]
        case "material.way":
            return head in LIST["way"]
        case "material.cloth":
            return head in words_of("clothing")
        case "material.any":
            return not (
                head in _people()
                or head in words_of("clothing")
                or head in words_of("animal")
                or head in LIST["way"]
                or head in LIST["building"]
                or head in LIST["natural"]
            )
        case "pattern.any":
            return not (
                head in _people() or head in LIST["natural"] or head in words_of("place") or head in LIST["land"]
            )
        case "shape.any":
            return head in LIST["shaped"]
        case "shape.course":
            return head in LIST["course"]
        case "size.any" | "size.more" | "size.level" | "state.full":
            return head not in _people() and not (pool == "state.full" and head in words_of("place"))
        case "size.height":
            return head not in ("hair", "dress", "skirt", "sleeves", "grass", "shorts", "time")
        case "size.length":
            return head not in _people() and head not in ("time", "way")
        case "state.terrain":
            return head in LIST["land"] or (head in words_of("place") and head not in LIST["fixed_terrain"])
        case "state.crowd":
            return head in words_of("place")
        case "state.age":
            return head in _people() and head not in LIST["young"] and head not in words_of("person")
        case "state.new":
            return head not in _people() and head not in words_of("animal") and head not in LIST["time"]
        case "state.light":
            return head in LIST["dark"]
        case "state.mood":
            return head in _people()
        case "state.curly":
            return head == "hair"
        case "state.heat":
            return head not in _people() and head not in ("air", "pink")
        case "state.wet":
            return LIST["soaking"].isdisjoint(words)
    return True


def _relation(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    tag, pool, before = caption.tags[first], entry.pool, caption.word(first - 1)
    has_object = caption.tag(last + 1) in _OBJECT_TAGS
    ahead = caption.words[last + 1 : last + 5]
    match pool:
        case "relation.side":
            fits = tag in ("NN", "JJ", "RB") and before in LIST["side"]
        case "relation.upper":
            fits = before == "the" and caption.word(last + 1) in ("left", "right", "part", "half", "corner")
        case "relation.doors" | "relation.slope":
            fits = tag in ("RB", "NN", "NNS")
        case "relation.door":
            fits = tag in ("JJ", "NN") and caption.tag(last + 1) in (*_ANY_NOUN, "JJ")
        case "relation.inside":
            fits = tag in ("IN", "RB") and caption.word(last + 1) not in ("of", "in")
        case "relation.vertical":
            fits = has_object and before not in LIST["not_moving"] and not LIST["slope"].isdisjoint(ahead)
        case "relation.on":
            noun = caption.noun_after(last + 1) if caption.tag(last + 1) in ("DT", "PRP$") else -1
            fits = (
                tag == "IN"
                and noun >= 0
                and caption.words[noun] in LIST["perch"]
                and caption.word(noun + 1) != "of"
                and before in LIST["posture"]
                and caption.has_being()
            )
        case "relation.top" | "relation.beside" | "relation.near":
            fits = (
                has_object
                and caption.tag(last + 1) != "PRP"
                and LIST["person"].isdisjoint(ahead)
                and LIST["contrast"].isdisjoint(ahead)
            )
        case "relation.into" | "relation.onto":
            fits = has_object and tag == "IN" and "air" not in ahead and before not in LIST["not_moving"]
        case "relation.height" | "relation.over":  # "over the grass" means on it
            fits = has_object and tag == "IN" and before not in LIST["not_moving"] and LIST["expanse"].isdisjoint(ahead)
            fits = (
                fits
                and LIST["body"].isdisjoint(ahead)
                and not (entry.word in LIST["sheltered"] and not LIST["cover"].isdisjoint(ahead[:3]))
            )
        case "relation.depth":
            fits = has_object and tag == "IN" and "camera" not in ahead and LIST["contrast"].isdisjoint(ahead)
        case _:
            fits = has_object and tag == "IN"
    return _slot(entry, first, last) if fits else None


def _action(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A verb, in the pool of its frame: with an object, with a path, or with a place at most."""
    tag, pool = caption.tags[first], entry.pool
    if tag != entry.form:
        return None
    following = caption.tag(first + 1)
    transitive = following in _OBJECT_TAGS
    if transitive != pool.startswith("action.t_"):
        return None
    if following == "RP" and (pool != "action.path" or caption.tag(first + 2) not in _OBJECT_TAGS):
        return None
    before, after, tag_before = caption.word(first - 1), caption.word(first + 1), caption.tag(first - 1)
    if before in ("go", "goes", "going", "went") or (
        tag in ("VBG", "VBD") and tag_before in ("DT", "PRP$", "JJ", "POS")
    ):
        return None
    if tag == "VBD" and caption.deps[first] == "acl":
        return None
    ahead = caption.words[first + 1 : first + 6]
    avoid = _NONE
    if transitive:
        if following == "JJ" and caption.noun_after(first) < 0:  # "swings high"
            return None
        if not _fits_object(caption, pool, first, ahead):
            return None
        if not caption.has_being(animals=False):
            avoid = _forms_of("verbs_of_hands")
        if pool == "action.t_ride" and not LIST["route"].isdisjoint(caption.words[first + 3 : first + 8]):
            avoid = _union(avoid, _forms_of("verbs_in_place"))
        if pool in ("action.t_chase", "action.t_lick") and not words_of("animal").isdisjoint(ahead[:4]):
            avoid = _union(avoid, _forms_of("verbs_of_leading"))
    else:
        if not _fits_place(caption, entry, first, ahead):
            return None
        if not caption.has_being(animals=False):
            avoid = _forms_of("human_verbs")
        if not caption.has("water"):
            avoid = _union(avoid, _forms_of("verbs_in_water"))
        if pool == "action.sport" and caption.has("wintry"):
            avoid = _union(avoid, _forms_of("verbs_without_snow"))
        if after == "over":
            avoid = _union(avoid, _forms_of("verbs_not_over"))
        if not LIST["seats"].isdisjoint(ahead):
            avoid = _union(avoid, _forms_of("verbs_of_motion"))
    return _slot(entry, first, last, (), avoid)


def _fits_object(caption: _Caption, pool: str, first: int, ahead: Sequence[str]) -> bool:
    near = ahead[:4]
    if not LIST["body"].isdisjoint(near) or (
        caption.deps[first] in ("amod", "compound") and caption.tag(first + 1) == "NN"
    ):
        return False
    person = caption.tag(first + 1) == "PRP" or not LIST["person"].isdisjoint(near)
    if person and pool not in ("action.t_care", "action.t_wear"):
        return False
    human = caption.has_being(animals=False)
    match pool:
        case "action.t_watch" | "action.t_surf":
            return caption.lenient and not {"tv", "television", "movie"} & set(near)
        case "action.t_wear":
            return not words_of("clothing").isdisjoint(ahead) and "no" not in near
        case "action.t_throw":
            return human and not LIST["balls"].isdisjoint(near)
        case "action.t_hold":
            return human and LIST["balls"].isdisjoint(near) and words_of("animal").isdisjoint(near)
        case "action.t_bite":
            return not human and not words_of("animal").isdisjoint(caption.words)
        case "action.t_walk":
            return not words_of("animal").isdisjoint(near)
        case "action.t_eat":
            return not LIST["vegetal"].isdisjoint(near)
        case "action.t_cut":
            return not LIST["vegetal"].isdisjoint(near)
        case "action.t_game":
            return not LIST["game"].isdisjoint(near) and "video" not in near
        case "action.t_instrument":
            return not LIST["instrument"].isdisjoint(near)
        case "action.t_jump":
            return words_of("vehicle").isdisjoint(near)
        case "action.t_ride":
            return {"wave", "waves", "ride", "rides", "rapids"}.isdisjoint(near)
    return True


def _fits_place(caption: _Caption, entry: Entry, first: int, ahead: Sequence[str]) -> bool:
    after, pool = caption.word(first + 1), entry.pool
    if after in ("down", "up", "off", "still", "over") and entry.word in _POSTURES:
        return False
    match pool:
        case "action.path":
            if "air" in caption.words or "midair" in caption.words:
                return False
            if entry.word == "slide" and after != "down":
                return False
            return after in LIST["path"] or any(
                word in LIST["path"] and caption.heads[i] == first for i, word in enumerate(ahead, first + 1)
            )
        case "action.place":
            if "air" in caption.words or "midair" in caption.words or not LIST["face_down"].isdisjoint(ahead):
                return False
            return caption.has_being()
        case "action.play":
            return after not in ("at", "for", "on", "up", "in") or (after == "in" and entry.word == "play")
        case "action.pose":
            return after == "for" and caption.lenient
        case "action.together":
            return after not in ("at", "with", "by")
        case "action.look":
            return after == "at"
        case "action.talk":
            return after == "to"
        case "action.wait":
            return after not in ("to", "for") and "line" not in ahead
    return True


_POSTURES = frozenset(("sit", "stand", "lie", "lay", "kneel"))


@lru_cache(maxsize=16)
def _forms_of(name: str) -> frozenset[str]:
    """Every form of the verbs of a list."""
    return frozenset(inflect(verb, form) for verb in LIST[name] for form in VERB_FORMS)


_RULES: dict[str, Callable[[_Caption, Entry, int, int], Slot | None]] = {
    "colour": _colour,
    "number": _number,
    "gender": _gender,
    "person": _person,
    "animal": _animal,
    "clothing": _clothing,
    "food": _food,
    "vehicle": _vehicle,
    "place": _place,
    "object": _object,
    "weather": _weather,
    "material": _modifier,
    "pattern": _modifier,
    "shape": _modifier,
    "size": _modifier,
    "state": _modifier,
    "relation": _relation,
    "action": _action,
}
