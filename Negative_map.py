"""Which words of a parsed caption may be swapped: the rules of sense, agreement and reference.

The parse is made once, when the database is built; the rules need no parser and no torch. What may stand in for what
is in `Negative_words`; what is drawn is decided in `Negative_draw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from Negative_words import LIST, VERB_FORMS, Entry, entries, inflect, pools, words_of

_OBJECT_TAGS = frozenset(("DT", "PRP$", "PRP", "NN", "NNS", "NNP", "JJ", "CD", "WP", "PDT"))

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


class Parse(NamedTuple):
    """A caption and its parse as parallel sequences, one entry per token that is not white space."""

    text: str
    start: Sequence[int]
    end: Sequence[int]
    lemma: Sequence[str]
    tag: Sequence[str]
    head: Sequence[int]
    dep: Sequence[str]

    @classmethod
    def from_doc(cls, doc: Any) -> Parse:
        """Take from a spaCy Doc what negatives need. A head that is white space becomes the token's own index."""
        tokens = [token for token in doc if not token.is_space]
        index = {token.i: i for i, token in enumerate(tokens)}
        return cls(
            text=doc.text,
            start=tuple(token.idx for token in tokens),
            end=tuple(token.idx + len(token) for token in tokens),
            lemma=tuple(token.lemma_ for token in tokens),
            tag=tuple(token.tag_ for token in tokens),
            head=tuple(index.get(token.head.i, i) for i, token in enumerate(tokens)),
            dep=tuple(token.dep_ for token in tokens),
        )


class Slot(NamedTuple):
    """One place of a caption that may be swapped: tokens first..last hold `word` in the inflection `form`.

    `repairs` are words elsewhere that must follow if this one changes: (token, new word, is it content?). Pronouns
    are content (they become false too); agreement ("two dogs are" -> "one dog is") is only good English, and is
    made only when the number crosses between one and many. `avoid` are words that must not be drawn here.
    """

    category: str
    first: int
    last: int
    word: str
    form: str
    pool: str
    group: int
    repairs: tuple[tuple[int, str, bool], ...] = ()
    avoid: frozenset[str] = frozenset()


class Negative(NamedTuple):
    """A false caption. `changed` are the character spans in `text` of the words that made it false."""

    text: str
    kind: str
    category: str
    changed: tuple[tuple[int, int], ...]


_NOUN_TAGS = ("NN", "NNS")
_ANY_NOUN = ("NN", "NNS", "NNP", "NNPS")
_PREMODIFIERS = ("JJ", "JJR", "JJS", "NN", "CD", "VBN", "VBG", "RB", "PRP$", "DT", "POS", "HYPH", "CC")


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

    def __init__(self, parse: Parse) -> None:
        text = parse.text
        self.parse = parse
        self.words = [text[start:end].lower() for start, end in zip(parse.start, parse.end)]
        self.heads, self.deps = parse.head, parse.dep
        self.size = len(self.words)
        self.tags = list(parse.tag)
        for i, tag in enumerate(parse.tag):
            if tag in ("NNP", "NNPS"):
                start = parse.start[i]
                if parse.text[start : parse.end[i]].islower():  # "the white/NNP house/NNP" is no name
                    self.tags[i] = "NN" if tag == "NNP" else "NNS"
            elif tag == "NNS" and self.words[i] in _third_persons() and self._is_verb(i):
                self.tags[i] = "VBZ"
        self.fixed: set[int] = set()  # tokens of fixed compounds met so far

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

    def glued(self, first: int, last: int) -> bool:
        """Is a hyphen or apostrophe attached on either side ("two-story", "multi-coloured")?"""
        text, start, end = self.parse.text, self.parse.start[first], self.parse.end[last]
        return (start > 0 and text[start - 1] in "-'’/") or text[end : end + 1] in ("-", "/")

    def noun_after(self, last: int) -> int:
        """The head noun of the noun phrase that goes on after token `last`; -1 if none does."""
        colours = words_of("colour")
        i = last + 1
        while i < self.size and (
            self.tags[i] in ("JJ", "VBN", "VBG", "CD", ",", "HYPH", "CC") or self.words[i] in colours
        ):
            if self.tags[i] == "CC" and self.words[i - 1] not in colours:
                return -1
            i += 1
        if self.tag(i) not in _ANY_NOUN:
            return -1
        while self.tag(i + 1) in _NOUN_TAGS:
            i += 1
        return i

    def preposition(self, first: int) -> str:
        """The preposition that governs the noun phrase around token `first`, or ""."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            i -= 1
        return self.words[i] if i >= 0 and self.tags[i] in ("IN", "TO", "RP") else ""

    def has_being(self, animals: bool = True) -> bool:
        """Is anybody there who sits or stands? A vase that stands may as well be said to sit."""
        beings = _beings(animals)
        return any(word in beings for word in self.words)

    def absent(self, first: int) -> bool:
        """Is the noun phrase around token `first` said to be missing?"""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            if self.words[i] == "no":
                return True
            i -= 1
        return i >= 0 and self.words[i] == "without"

    def determined(self, first: int) -> bool:
        """Does the noun phrase have an article, number or possessive, so that it is countable in the singular?"""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            if self.tags[i] in ("DT", "CD", "PRP$", "POS"):
                return True
            i -= 1
        return False


def find_slots(parse: Parse) -> tuple[Slot, ...]:
    """Every place of the caption that may be swapped, in reading order.

    Words are looked up by surface, not by the parser's lemma (small models say "rid" for "riding"); tags and
    neighbours then decide about the sense. Heads are wrong too often to build on, and only confirm.
    """
    caption, index = _Caption(parse), entries()
    slots = []
    i = 0
    while i < caption.size:
        step = 1
        for entry in index.get(caption.words[i], ()):
            last = i + len(entry.words) - 1
            if last > i and tuple(caption.words[i : last + 1]) != entry.words:
                continue
            if not entry.pool:  # a fixed compound
                step = len(entry.words)
                caption.fixed.update(range(i, i + step))
                break
            if len(entry.words) < step:  # "ice cream" did not fit ("ice cream cone"), so neither does a part of it
                break
            step = len(entry.words)
            slot = None if caption.glued(i, last) else _RULES[entry.category](caption, entry, i, last)
            if slot is not None:
                slots.append(slot)
                break
        i += step
    return tuple(slots)


def _slot(
    entry: Entry,
    first: int,
    last: int,
    repairs: tuple[tuple[int, str, bool], ...] = (),
    avoid: frozenset[str] = frozenset(),
) -> Slot:
    return Slot(entry.category, first, last, entry.word, entry.form, entry.pool, entry.group, repairs, avoid)


def _noun(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A noun that heads its phrase. Its compound modifiers go with it: "tennis ball" -> "frisbee"."""
    words, tags = caption.words, caption.tags
    tag = tags[last]
    if tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN):
        return None
    if entry.form == "NNS" and tag == "NN" and inflect(entry.word, "NN") == entry.words[-1]:
        return None
    if entry.form == "NN" and tag == "NNS" and inflect(entry.word, "NNS") == entry.words[-1]:
        return None
    if caption.tag(last + 1) in _ANY_NOUN:
        return None
    if caption.absent(first):  # "without a shirt" stays true with any other garment
        return None
    pool, following = entry.pool, caption.word(last + 1)
    if pool == "person.age" and not LIST["unclothed"].isdisjoint(words):
        return None
    if entry.word == "costume" and not caption.determined(first):
        return None
    if following == "of" and entry.category in ("object", "clothing"):
        return None
    if entry.category == "place":
        preposition = caption.preposition(first)
        if pool == "place.ground" and (preposition not in LIST["ground"] or caption.word(first - 1) in ("a", "an")):
            return None
        if pool == "place.at" and preposition != "at":
            return None
        if pool in ("place.on", "place.in") and preposition not in LIST[pool] and (preposition or tag == "NNS"):
            return None
        if caption.word(first - 1) in LIST["terrain"] or caption.tag(first - 1) == "VBG":  # no "grassy river"
            return None
    if pool == "food.count" and entry.form == "NN" and not caption.determined(first):
        return None
    if pool in ("food.mass", "food.drink") and tag == "NNS":
        return None
    if entry.word == "glasses" and following in ("of", "on"):
        return None
    while first > 0 and tags[first - 1] in _ANY_NOUN:
        before = words[first - 1]
        if before in words_of("material") or before in words_of("colour") or before in words_of("pattern"):
            break
        is_compound = tags[first - 1] == "NN" and caption.deps[first - 1] == "compound"
        if not is_compound or not first <= caption.heads[first - 1] <= last or first - 1 in caption.fixed:
            return None
        first -= 1
    if tag == "NNS" and caption.word(first - 1) in ("a", "an"):  # "a runner slides": a verb that was taken for a noun
        return None
    if entry.category == "place" and entry.word in LIST["room"]:
        return _slot(entry, first, last, avoid=LIST["just_room"])
    if entry.word == "room":
        return _slot(entry, first, last, avoid=LIST["room"])
    # Nearly everybody wears a shirt, trousers and shoes: drawn only where a colour or pattern makes them wrong.
    bare = entry.category == "clothing" and caption.tag(first - 1) not in ("JJ", "NN", "VBN")
    bare = bare and caption.has_being(animals=False)
    return _slot(entry, first, last, avoid=LIST["always_worn"] if bare else frozenset())


def _gender(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A gendered noun, with the pronouns that surely refer to it; none of it where that is unclear."""
    tag = caption.tags[first]
    if entry.pool == "gender.adjective":
        fits = tag == "JJ" and caption.tag(first + 1) in _ANY_NOUN
        return _slot(entry, first, last) if fits and caption.word(first + 1) not in words_of("gender") else None
    if tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN):
        return None
    if caption.tag(last + 1) in _ANY_NOUN or not LIST["unclothed"].isdisjoint(caption.words):
        return None
    male = entry.group == _FIRST_IS_MALE
    pronouns = [i for i, word in enumerate(caption.words) if word in (LIST["he"] if male else LIST["she"])]
    if entry.form == "NNS" or not pronouns:
        return _slot(entry, first, last)
    if sum(word in _singular_nouns(male) for word in caption.words) > 1:
        return None
    repairs = []
    for i in pronouns:
        word, tag = caption.words[i], caption.tags[i]
        if word == "her" and caption.tag(i + 1) in ("JJ", *_ANY_NOUN):  # tagged PRP now and then
            tag = "PRP$"
        new = _PRONOUNS.get((word, tag)) or _PRONOUNS[word, ""]
        repairs.append((i, new, True))
    return _slot(entry, first, last, tuple(repairs))


@lru_cache(maxsize=2)
def _singular_nouns(male: bool) -> frozenset[str]:
    """What a male (or female) pronoun may refer to: gendered nouns of that side and nouns of no gender."""
    side = 0 if male else 1
    gendered = {word for pool, groups in pools().items() if pool.startswith("gender.") for word in groups[side].sources}
    neutral = {word for pool in ("person.age", "person.role") for group in pools()[pool] for word in group.sources}
    return frozenset(gendered | neutral | {"person", "someone", "individual"})


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
    return _slot(entry, first, last, repairs or (), frozenset() if repairs else LIST["one"])


def _agreement(caption: _Caption, first: int, noun: int, form: str) -> tuple[tuple[int, str, bool], ...] | None:
    """What must follow if the noun counted at `first` turns plural (NNS) or singular (NN); None if not sure."""
    words, tags = caption.words, caption.tags
    if caption.tag(first - 1) in ("DT", "PRP$", "PDT", "CD", "JJ") or caption.tag(noun + 1) == "POS":
        return None
    if not LIST["plural_only"].isdisjoint(words):  # words that speak of several, or of one, later on
        return None
    changed = _other_number(words[noun], form)
    if changed is None:
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
    if tag not in ("JJ", "NN"):
        return None
    noun = caption.noun_after(last)
    if noun < 0:
        if tag == "NN" or word in LIST["ambiguous_colour"]:
            joined = before == "and" and caption.word(first - 2) in words_of("colour")
            if not joined and before not in ("in", "wearing", "is", "are"):
                return None
        return _slot(entry, first, last) if entry.pool == "colour.any" else None
    head = caption.words[noun]
    if head in LIST["person"] or caption.tag(first + 1) == "NNP" or head in ("wine", "retriever", "retrievers"):
        return None
    natural = any(word in LIST["hair"] or word in words_of("animal") for word in caption.words[last + 1 : noun + 1])
    return _slot(entry, first, last) if natural == (entry.pool == "colour.natural") else None


def _modifier(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """Material, pattern, size and state words that stand before a noun they fit."""
    tag, pool = caption.tags[last], entry.pool
    if tag not in ("JJ", "NN", "VBN", "VBG", "VBD"):
        return None
    if pool == "state.open":
        near = {caption.word(first - 1), caption.word(last + 1)}
        return None if tag == "NN" or near.isdisjoint(LIST["openable"]) else _slot(entry, first, last)
    if pool == "state.sleep":
        return _slot(entry, first, last)
    if pool == "state.shade":
        return _slot(entry, first, last) if caption.word(last + 1) in words_of("colour") else None
    noun = caption.noun_after(last)
    if noun < 0 or (tag == "NN" and entry.category in ("state", "size")):
        return None
    head = caption.words[noun]
    person = head in LIST["person"] or head in words_of("person") or head in words_of("gender")
    fits = {
        "material.any": not person and head not in words_of("clothing"),
        "size.any": not person,
        "size.height": head not in ("hair", "dress", "skirt", "sleeves", "grass"),
        "size.level": not person,
        "size.length": not person,
        "state.weather": head in ("day", "sky", "weather", "afternoon", "morning", "evening", "night"),
        "state.terrain": head in LIST["land"] or head in words_of("place"),
        "state.crowd": head in words_of("place"),
        "state.full": not person and head not in words_of("place"),
        "state.age": person and head not in LIST["young"],
        "state.light": head in LIST["dark"],
        "state.mood": person,
        "state.curly": head == "hair",
        "state.heat": not person and head not in ("air", "pink"),
    }
    if not fits.get(pool, True):
        return None
    woven = entry.category == "pattern" and head in words_of("animal")
    return _slot(entry, first, last, avoid=LIST["woven"] if woven else frozenset())


def _relation(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    tag, pool, before = caption.tags[first], entry.pool, caption.word(first - 1)
    has_object = caption.tag(last + 1) in _OBJECT_TAGS
    ahead = caption.words[last + 1 : last + 5]
    if pool == "relation.side":
        fits = tag in ("NN", "JJ", "RB") and before in LIST["side"]
    elif pool == "relation.upper":
        fits = before == "the" and caption.word(last + 1) in ("left", "right", "part", "half", "corner")
    elif pool in ("relation.doors", "relation.slope"):
        fits = tag in ("RB", "NN", "NNS")
    elif pool == "relation.door":
        fits = tag in ("JJ", "NN") and caption.tag(last + 1) in (*_ANY_NOUN, "JJ")
    elif pool == "relation.inside":
        fits = tag in ("IN", "RB") and caption.word(last + 1) not in ("of", "in")
    elif pool == "relation.vertical":
        fits = has_object and not LIST["slope"].isdisjoint(ahead)
    elif pool in ("relation.top", "relation.beside"):
        fits = (
            has_object and caption.tag(last + 1) != "PRP" and LIST["person"].isdisjoint(ahead) and "each" not in ahead
        )
    elif pool in ("relation.into", "relation.onto"):
        fits = has_object and tag == "IN" and "air" not in ahead and before not in LIST["not_moving"]
    elif pool == "relation.height":  # "over the grass" means on it
        fits = has_object and tag == "IN" and before not in LIST["not_moving"] and LIST["expanse"].isdisjoint(ahead)
    else:
        fits = has_object and tag == "IN"
    return _slot(entry, first, last) if fits else None


def _action(caption: _Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A verb, in the pool of its frame: with an object, with a path, or with a place at most."""
    tag, pool = caption.tags[first], entry.pool
    before, after = caption.word(first - 1), caption.word(first + 1)
    if tag != entry.form or caption.tag(first + 1) == "RP" or before in ("go", "goes", "going", "went"):
        return None
    if caption.tag(first - 1) in ("DT", "PRP$", "JJ", "POS") and tag in ("VBG", "VBD"):
        return None
    if tag == "VBD" and caption.deps[first] == "acl":
        return None
    ahead = caption.words[first + 1 : first + 6]
    transitive = caption.tag(first + 1) in _OBJECT_TAGS
    if caption.tag(first + 1) == "JJ" and caption.noun_after(first) < 0:  # "swings high"
        return None
    if transitive != pool.startswith("action.t_"):
        return None
    if transitive:
        near = ahead[:4]
        if not LIST["body"].isdisjoint(near) or (
            caption.deps[first] in ("amod", "compound") and caption.tag(first + 1) == "NN"
        ):
            return None
        person = caption.tag(first + 1) == "PRP" or not LIST["person"].isdisjoint(near)
        if "each" in near or (person and pool not in ("action.t_care", "action.t_wear")):
            return None
        fits = {
            "action.t_wear": not words_of("clothing").isdisjoint(ahead),
            "action.t_walk": not words_of("animal").isdisjoint(near),
            "action.t_game": not LIST["game"].isdisjoint(near) and "video" not in near,
            "action.t_instrument": not LIST["instrument"].isdisjoint(near),
            "action.t_jump": words_of("vehicle").isdisjoint(near),
            "action.t_ride": {"wave", "waves", "ride", "rides", "rapids"}.isdisjoint(near),
        }.get(pool, True)
    else:
        if after in ("down", "up", "off", "still") and entry.word in ("sit", "stand", "lie", "lay", "kneel"):
            return None
        on_path = after in LIST["path"] or any(
            word in LIST["path"] and caption.heads[i] == first for i, word in enumerate(ahead, first + 1)
        )
        fits = {
            "action.path": on_path and not {"air", "midair"} & set(caption.words),
            "action.place": not {"air", "midair"} & set(caption.words) and caption.has_being(),
            "action.look": after == "at",
            "action.talk": after == "to",
            "action.wait": after not in ("to", "for"),
        }.get(pool, True)
    avoid = _needs_hands() if transitive and not caption.has_being(animals=False) else frozenset()
    return _slot(entry, first, last, avoid=avoid) if fits else None


@lru_cache(maxsize=1)
def _needs_hands() -> frozenset[str]:
    """All forms of the verbs that an animal cannot be the subject of."""
    return frozenset(inflect(verb, form) for verb in LIST["hands"] for form in VERB_FORMS)


_RULES = {
    "colour": _colour,
    "number": _number,
    "gender": _gender,
    "material": _modifier,
    "pattern": _modifier,
    "size": _modifier,
    "state": _modifier,
    "relation": _relation,
    "action": _action,
} | dict.fromkeys(("person", "animal", "clothing", "food", "vehicle", "place", "object"), _noun)
