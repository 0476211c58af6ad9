"""The rules for swapping modifiers: numbers, colours, material, pattern, shape, size, state, and the weather.

A rule takes a vocabulary entry found at the tokens first..last of a caption, and returns its slot, or None if the word
must not be swapped there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from negatives.caption import ANY_NOUN, NOUN_TAGS, Caption, other_number
from negatives.conditions import NONE, make_slot
from negatives.nouns import is_noun, swap_noun
from negatives.text import Slot
from negatives.vocabulary import LIST, Entry, entries, inflect, words_of


def number(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A number that counts a noun. "One" is swapped with other numbers only if noun and verb can be made to agree."""
    if caption.tags[first] != "CD" or caption.word(first - 1) in ("number", "no", "#"):
        return None
    colours, within = words_of("colour"), ("JJ", "VBN", "VBG", "NN", ",", "CC")
    noun = first + 1
    while caption.tag(noun) in within and caption.tag(noun + 1) in (*within, *ANY_NOUN):
        if caption.tags[noun] == "CC" and not {caption.word(noun - 1), caption.word(noun + 1)} <= colours:
            return None
        noun += 1
    if entry.word == "one":
        repairs = _agreement(caption, first, noun, "NNS") if caption.tag(noun) == "NN" else None
        return None if repairs is None else make_slot(entry, first, last, repairs)
    if caption.tag(noun) != "NNS":
        return None
    repairs = _agreement(caption, first, noun, "NN") if entry.pool == "number.word" else None
    return make_slot(entry, first, last, repairs or (), NONE if repairs else LIST["one"])


def _agreement(caption: Caption, first: int, noun: int, form: str) -> tuple[tuple[int, str, bool], ...] | None:
    """Repairs if the noun counted at `first` becomes plural (form NNS) or singular (NN); None if they are not sure.

    "Two dogs are running" -> noun "dog", verb "is". noun: index of the noun.
    """
    words, tags = caption.words, caption.tags
    if caption.tag(first - 1) in ("DT", "PRP$", "PDT", "CD", "JJ") or caption.tag(noun + 1) == "POS":
        return None
    if caption.has("plural_only"):  # "they", "both", ... refer to several things
        return None
    changed = _other_number(words[noun], form)
    if changed is None or words.count(words[noun]) > 1 or changed in words:  # "two dogs ... the dogs"
        return None
    repairs = [(noun, changed, False)]
    finite = [i for i, tag in enumerate(tags) if tag in ("VBZ", "VBP") or words[i] in ("was", "were")]
    if not finite:
        return tuple(repairs) if "VBD" in tags or "MD" in tags or "VBG" in tags or len(words) < 8 else None
    verb = finite[0]
    # "There is exactly one dog", "in the corner are two dogs": the verb is before the number it agrees with.
    ahead_of_number = words[verb] in ("is", "are", "was", "were") and first - 1 - (tags[first - 1] == "RB") == verb
    if ahead_of_number or (
        len(finite) == 1 and verb > noun and not any(tags[i] in ("CC", ",") for i in range(noun, verb))
    ):
        if not ahead_of_number and caption.deps[noun] not in ("nsubj", "nsubjpass", "ROOT"):
            return None
        wanted = "VBP" if form == "NNS" else "VBZ"
        if tags[verb] == wanted:  # the verb does not agree with the noun: a wrong tag
            return None
        new = other_number(words[verb], caption.parse.lemma[verb].lower(), wanted)
        return None if new is None else (*repairs, (verb, new, False))
    if verb < first and caption.deps[noun] in ("dobj", "pobj", "conj", "attr") and len(finite) == 1:
        return tuple(repairs)
    return None


@lru_cache(maxsize=4096)
def _other_number(surface: str, form: str) -> str | None:
    """The plural (NNS) or singular (NN) of a noun of the vocabulary; None for a noun that is not in it."""
    for entry in entries().get(surface, ()):
        if entry.words == (surface,) and entry.form and entry.form in NOUN_TAGS and entry.form != form:
            return inflect(entry.word, form)
    return {"person": "people", "people": "person"}.get(surface)


def colour(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A colour of a noun ("a red car") or after "in", "wearing" or "is". Hair and animals have pools of their own."""
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
        return None if before in ("is", "are") and caption.has("fixed_hue") else make_slot(entry, first, last)
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
    echoes = caption.repeated_adjective(first, last, noun)
    avoid = LIST["not_tinted"] if before in LIST["tinted"] else NONE
    return None if echoes is None else make_slot(entry, first, last, (), avoid, echoes)


@lru_cache(maxsize=1)
def _never_medium() -> frozenset[str]:
    """Nouns whose size is not swapped with "medium": the smaller of two dogs could also be called medium."""
    return LIST["person"] | words_of("animal") | {"one"}


def modifier(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A word for material, pattern, shape, size or state before a noun that it describes."""
    tag, pool = caption.tags[last], entry.pool
    if pool in _SPECIAL_POOLS:
        return _SPECIAL_POOLS[pool](caption, entry, first, last)
    if tag not in ("JJ", "NN", "VBN", "VBG", "VBD", "JJR", "RB"):
        return None
    noun = caption.noun_after(last)
    if noun < 0 or tag == "RB" or (tag == "NN" and entry.category in ("state", "size")):
        return None
    head, avoid = caption.words[noun], NONE
    if pool == "size.any" and (caption.word(first - 1) == "very" or head in _never_medium()):
        if entry.word in LIST["middling"]:
            return None
        avoid = LIST["middling"]
    echoes = caption.repeated_adjective(first, last, noun)
    return None if echoes is None else make_slot(entry, first, last, (), avoid, echoes)


def _openable(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """ "Open" or "closed" beside something that can be both: "an open door", "her mouth open", "the door is open"."""
    near = {caption.word(first - 1), caption.word(last + 1)}
    if caption.word(first - 1) in ("is", "are"):
        near.add(caption.word(first - 2))
    return None if caption.tags[last] == "NN" or near.isdisjoint(LIST["openable"]) else make_slot(entry, first, last)


def _anywhere(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A word that needs no noun after it: "asleep", "light" of a colour."""
    return make_slot(entry, first, last)


def _mark(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """The marks of a pattern: "a shirt with blue stripes" -> "a shirt with blue dots"."""
    if caption.tags[last] != "NNS" or entry.form != "NNS" or caption.preposition(first) not in ("with", "in"):
        return None
    return make_slot(entry, first, last)


def _figure(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A drawn circle or square, or people who stand "in a circle" (pool shape.line)."""
    if not is_noun(caption, entry, first, last) or caption.word(last + 1) == "of":
        return None
    stands = caption.word(first - 1) == "a" and caption.word(first - 2) == "in" and caption.has_being()
    if stands != (entry.pool == "shape.line") or (not stands and entry.word == "square"):
        return None
    return swap_noun(caption, entry, first, last)


_SPECIAL_POOLS: dict[str, Callable[[Caption, Entry, int, int], Slot | None]] = {
    "state.open": _openable,
    "state.sleep": _anywhere,
    "state.shade": _anywhere,
    "pattern.mark": _mark,
    "shape.noun": _figure,
    "shape.line": _figure,
}


def weather(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """Weather and light: "a sunny day", "in the rain", "at night"."""
    tag = caption.tags[last]
    if entry.pool == "weather.sky":
        if tag not in ("JJ", "NN", "RB", "VBN"):
            return None
        noun = caption.noun_after(last)
        if noun >= 0:
            is_sky = caption.words[noun] in LIST["sky"]
        else:
            is_sky = caption.word(first - 1) in ("is", "looks", "very", "and") and caption.has("sky")
        return make_slot(entry, first, last) if is_sky else None
    if tag not in ANY_NOUN or caption.tag(last + 1) in ANY_NOUN:
        return None
    return make_slot(entry, first, last)
