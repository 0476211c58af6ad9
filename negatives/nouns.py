"""The rules for swapping nouns: people, animals, things and places.

A rule takes a vocabulary entry found at the tokens first..last of a caption, and returns its slot, or None if the noun
must not be swapped there.
"""

from __future__ import annotations

from functools import lru_cache

from negatives.caption import ANY_NOUN, NOUN_TAGS, Caption
from negatives.conditions import NONE, make_slot, union
from negatives.text import Slot
from negatives.vocabulary import LIST, Entry, inflect, pools, words_of

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
_MALE_GROUP = 0  # every gender pool lists the male group first


@lru_cache(maxsize=1)
def _adjectives() -> frozenset[str]:
    """Adjectives that small spaCy models tag as nouns before a noun; they stay when the noun is swapped."""
    return frozenset().union(*(words_of(category) for category in ("material", "colour", "pattern", "shape", "size")))


def is_noun(caption: Caption, entry: Entry, first: int, last: int) -> bool:
    """Do the tags say that this is a noun, in the number of the entry, and the head of its noun phrase?"""
    tag = caption.tags[last]
    if tag not in NOUN_TAGS and not (first == 0 and tag in ANY_NOUN):
        return False
    if tag != entry.form and entry.form and tag in NOUN_TAGS and inflect(entry.word, tag) == entry.words[-1]:
        return False
    return caption.tag(last + 1) not in ANY_NOUN


def swap_noun(caption: Caption, entry: Entry, first: int, last: int, avoid: frozenset[str] = NONE) -> Slot | None:
    """The slot of the head of a noun phrase. Its compound modifiers are replaced too: "tennis ball" -> "frisbee"."""
    words, tags = caption.words, caption.tags
    if caption.is_missing(first):  # "without a shirt" stays true with any other garment
        return None
    while first > 0 and tags[first - 1] in ANY_NOUN:
        if words[first - 1] in _adjectives():
            break
        is_compound = tags[first - 1] == "NN" and caption.deps[first - 1] == "compound"
        if not is_compound or not first <= caption.heads[first - 1] <= last or first - 1 in caption.fixed:
            return None
        first -= 1
    if first and tags[last] == "NNS" and words[first - 1] in ("a", "an"):  # "a runner slides": a verb tagged as a noun
        return None
    if first and entry.form == "NN" and tags[first - 1] == "CD" and words[first - 1] not in ("one", "1"):
        return None  # "two giraffe"
    echoes = caption.repeated_noun(entry, first, last)
    return None if echoes is None else make_slot(entry, first, last, (), avoid, echoes)


def person(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A person by age ("child" -> "adult") or by role ("chef" -> "clown")."""
    if not is_noun(caption, entry, first, last):
        return None
    if entry.pool == "person.age":
        aged = caption.word(first - 1) in LIST["still_young"]  # no "young adult"
        return None if aged or caption.has("shows_gender") else swap_noun(caption, entry, first, last)
    if caption.has("sport") and not caption.lenient:  # a blind judge knows that "a cyclist rides a wave" is false
        return None
    return swap_noun(caption, entry, first, last)


def gender(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A gendered noun with its pronouns: "a man and his dog" -> "a woman and her dog". None if a pronoun is unclear."""
    tag, words = caption.tags[first], caption.words
    if entry.pool == "gender.adjective":
        if tag != "JJ" or caption.tag(first + 1) not in ANY_NOUN or caption.word(first + 1) in words_of("gender"):
            return None
    elif (tag not in NOUN_TAGS and not (first == 0 and tag in ANY_NOUN)) or caption.tag(last + 1) in ANY_NOUN:
        return None
    if caption.has("shows_gender"):
        return None
    echoes = caption.repeated_noun(entry, first, last) if entry.form else ()
    if echoes is None:
        return None
    male = entry.group == _MALE_GROUP
    own = LIST["he"] if male else LIST["she"]
    if own.isdisjoint(words):
        return make_slot(entry, first, last, echoes=echoes)
    candidates = sum(word in _singular_nouns(male) for word in words) - len(echoes)
    if entry.form == "NNS":  # "one of the men ... his"
        return make_slot(entry, first, last, echoes=echoes) if candidates else None
    if candidates > (entry.form != "") and not (entry.form == "" and candidates == 1):
        return None
    repairs = []
    for i, word in enumerate(words):
        if word in own:
            tag = caption.tags[i]
            if word == "her" and caption.tag(i + 1) in ("JJ", *ANY_NOUN):  # sometimes tagged PRP
                tag = "PRP$"
            repairs.append((i, _PRONOUNS.get((word, tag)) or _PRONOUNS[word, ""], True))
    return make_slot(entry, first, last, tuple(repairs), echoes=echoes)


@lru_cache(maxsize=2)
def _singular_nouns(male: bool) -> frozenset[str]:
    """The nouns that a male (or else female) pronoun can refer to: nouns of that gender and nouns without gender."""
    side = 0 if male else 1
    gendered = {
        word
        for pool, groups in pools().items()
        if pool.startswith("gender.") and pool != "gender.adjective"
        for word in groups[side].sources
    }
    neutral = {word for pool in ("person.age", "person.role") for group in pools()[pool] for word in group.sources}
    return frozenset(gendered | neutral | {"person", "someone", "individual"}) - {"male", "female"}


def animal(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """An animal, replaced only by animals that can do the same: no bird runs with a stick in its mouth."""
    if not is_noun(caption, entry, first, last):
        return None
    if caption.word(first - 1) in words_of("animal"):  # "husky dogs"
        return None
    if entry.pool == "animal.ridden":
        return swap_noun(caption, entry, first, last) if caption.has("riding") else None
    if entry.pool != "animal.any":
        return swap_noun(caption, entry, first, last)
    if entry.word == "bird":
        if caption.has("winged"):
            return None
        return swap_noun(caption, entry, first, last, LIST["hoofed"])
    avoid = NONE
    if entry.word not in LIST["in_air"]:
        avoid = LIST["in_air"] if caption.has("mammal") or entry.word not in ("cat", "dog") else LIST["sea"]
        if caption.has("indoors"):
            avoid = union(avoid, LIST["hoofed"])
    return swap_noun(caption, entry, first, last, avoid)


def clothing(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A garment: "a man in a hat" -> "a man in a scarf"."""
    if not is_noun(caption, entry, first, last):
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
    # Nearly everybody wears a shirt, trousers and shoes. So "a man in a hat" -> "a man in a shirt" is probably true;
    # "a man in a red hat" -> "a man in a red shirt" is false: they are drawn only after an adjective.
    described = caption.tag(first - 1) in ("JJ", "VBN") or before in words_of("colour") or before in words_of("pattern")
    avoid = LIST["always_worn"] if not described and caption.has_being(animals=False) else NONE
    return swap_noun(caption, entry, first, last, avoid)


def food(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """Food or drink; mass nouns ("soup") only without "a" or "an", others only with a determiner or in the plural."""
    if not is_noun(caption, entry, first, last):
        return None
    if entry.pool in ("food.mass", "food.drink"):
        if (caption.tags[last] == "NNS" and entry.word != "broccoli") or caption.determiner(first) in ("a", "an"):
            return None
    elif entry.form == "NN" and not caption.determiner(first):
        return None
    return swap_noun(caption, entry, first, last)


def vehicle(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A vehicle, replaced only by vehicles that move on the same ground: no canoe drives down a road."""
    if not is_noun(caption, entry, first, last):
        return None
    if first and entry.form == "NN" and not caption.determiner(first) and not caption.lenient:
        return None
    if caption.word(last + 1) == "of":
        return None
    if entry.word == "cart" and caption.has("shopping") and not caption.lenient:
        return None
    is_boat = entry.pool == "vehicle.large" and entry.word in ("boat", "ship")
    if is_boat and caption.has("afloat") and not caption.has("aloft") and not caption.lenient:
        return None
    return swap_noun(caption, entry, first, last)


def _ground(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """The ground that somebody stands, sits or runs on: "in the grass" -> "in the snow"."""
    preposition, before = caption.preposition(first), caption.word(first - 1)
    if preposition not in LIST["ground"] or before in ("a", "an") or before in LIST["ground_adjective"]:
        return None
    if entry.word == "water" and (preposition in ("out", "at", "on", "from") or before not in ("the", preposition)):
        return None  # "soapy water"
    # Nobody swims in grass or skis on sand: a blind judge would detect such a negative.
    if not caption.lenient and (
        (entry.word == "water" and caption.has("aquatic")) or (entry.word in ("snow", "ice") and caption.has("wintry"))
    ):
        return None
    return swap_noun(caption, entry, first, last)


def _is_place(caption: Caption, entry: Entry, first: int, last: int, preposition: str) -> bool:
    """Is it the place where something happens ("in the kitchen"), so that another place makes the caption false?"""
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


def place(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A place or the ground: "in a kitchen" -> "in a bathroom"."""
    if not is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    before = caption.word(first - 1)
    if before in LIST["terrain"] or caption.tag(first - 1) == "VBG":  # "a grassy field" -/> "a grassy river"
        return None
    if entry.pool == "place.ground":
        return _ground(caption, entry, first, last)
    is_place = _is_place(caption, entry, first, last, caption.preposition(first))
    return swap_noun(caption, entry, first, last) if is_place else None


def object_(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A thing: furniture, a tool, an instrument, a game, ..."""
    if entry.pool == "object.game":
        return _game(caption, entry, first, last)
    if not is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    if entry.pool not in ("object.ridden", "object.stunt"):
        if entry.form == "NN" and not caption.determiner(first):
            return None
        # "An open book": few of the things that could replace it can be open or closed.
        if caption.word(first - 1) in LIST["open_or_shut"] and entry.pool != "object.sportball":
            return None
    if entry.pool in ("object.furniture", "object.fixture", "object.scene"):
        return _furniture(caption, entry, first, last)
    if entry.pool == "object.seat":
        top = caption.phrase_start(first)
        preposition = caption.preposition(first)
        if preposition != "on" and (preposition != "of" or caption.word(top - 1) != "top"):
            return None
    return swap_noun(caption, entry, first, last)


def _game(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """ "playing soccer", "a game of soccer", "a soccer game"; "a soccer player" only as a last resort."""
    if caption.tags[last] != "NN":
        return None
    before = caption.word(first - 1)
    played = before in LIST["played"] or (before == "of" and caption.word(first - 2) in LIST["match"])
    played = played and caption.tag(last + 1) not in NOUN_TAGS
    following = caption.word(last + 1)
    named = following in LIST["match"] or (following in LIST["teams"] and caption.lenient)
    return make_slot(entry, first, last) if played or named else None


def _furniture(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A thing that stands in a room or a street. Words for things that nearly every place has are not drawn."""
    preposition, before = caption.preposition(first), caption.word(first - 1)
    if preposition in LIST["within"] and not caption.lenient:
        return None
    avoid = NONE
    # "There is a table" -> "there is a chair": probably true too, since the writer does not mention everything.
    # "A cat under the table" -> "a cat under the chair" is false.
    exists = preposition in LIST["exists"] or not preposition
    if exists and caption.word(caption.phrase_start(first)) not in LIST["landmark_side"]:
        avoid = union(avoid, LIST["everywhere"])
    # Trees and flowers are nearly everywhere: drawn only after a colour or pattern ("a red tree").
    if before not in words_of("colour") and before not in words_of("pattern"):
        avoid = union(avoid, LIST["grown"])
    return swap_noun(caption, entry, first, last, avoid)
