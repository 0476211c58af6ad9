"""The rules for swapping relations ("above") and actions (verbs).

A rule takes a vocabulary entry found at the tokens first..last of a caption, and returns its slot, or None if the word
must not be swapped there.
"""

from __future__ import annotations

from functools import lru_cache

from negatives.caption import OBJECT_TAGS, Caption
from negatives.conditions import NONE, make_slot, union
from negatives.text import Slot
from negatives.vocabulary import LIST, VERB_FORMS, Entry, inflect, words_of


def relation(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A relation. Two conditions are here, since they are too special for `[fits]`.

    "On" is swapped only before things that one sits or stands on ("a cat on a chair"). "Under" is not swapped where it
    means "covered by" ("under an umbrella", "under a blanket").
    """
    if entry.pool == "relation.on":
        noun = caption.noun_after(last + 1)
        if noun < 0 or caption.words[noun] not in LIST["perch"] or caption.word(noun + 1) == "of":
            return None
    is_cover = entry.pool in ("relation.height", "relation.over") and entry.word in LIST["sheltered"]
    if is_cover and not LIST["cover"].isdisjoint(caption.words[last + 1 : last + 4]):
        return None
    return make_slot(entry, first, last)


def action(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """A verb. It must be used as its pool says: with an object (action.t_*), with a path, or without an object."""
    if caption.tags[first] != entry.form or not _is_finite_or_participle(caption, first):
        return None
    following = caption.tag(first + 1)
    transitive = following in OBJECT_TAGS
    if transitive != entry.pool.startswith("action.t_"):
        return None
    if following == "RP" and (entry.pool != "action.path" or caption.tag(first + 2) not in OBJECT_TAGS):
        return None
    allowed = _takes_object(caption, entry, first) if transitive else _takes_place(caption, entry, first)
    if not allowed:
        return None
    avoid = _not_done_to(caption, entry, first) if transitive else _not_done_at(caption, entry, first)
    return make_slot(entry, first, last, (), avoid)


def _is_finite_or_participle(caption: Caption, i: int) -> bool:
    """Is the verb finite or a participle of a clause? Not in "goes running", "the running man", "a man called Tom"."""
    if caption.word(i - 1) in ("go", "goes", "going", "went"):
        return False
    tag = caption.tags[i]
    if tag in ("VBG", "VBD") and caption.tag(i - 1) in ("DT", "PRP$", "JJ", "POS"):
        return False
    return tag != "VBD" or caption.deps[i] != "acl"


def _takes_object(caption: Caption, entry: Entry, i: int) -> bool:
    """Is what follows verb `i` an object that other verbs can take? Not a part of the body, and mostly not a person."""
    following = caption.tag(i + 1)
    if following == "JJ" and caption.noun_after(i) < 0:  # "swings high"
        return False
    near = caption.words[i + 1 : i + 5]
    if not LIST["body"].isdisjoint(near) or (caption.deps[i] in ("amod", "compound") and following == "NN"):
        return False
    person = following == "PRP" or not LIST["person"].isdisjoint(near)
    return not person or entry.pool in ("action.t_care", "action.t_wear")


def _takes_place(caption: Caption, entry: Entry, i: int) -> bool:
    """Does verb `i` have the path that its pool asks for ("runs through")? A phrasal verb ("sits down") has none."""
    after = caption.word(i + 1)
    if after in ("down", "up", "off", "still", "over") and entry.word in _POSTURES:
        return False
    if entry.pool != "action.path":
        return True
    if entry.word == "slide" and after != "down":
        return False
    return after in LIST["path"] or any(
        word in LIST["path"] and caption.heads[j] == i for j, word in enumerate(caption.words[i + 1 : i + 6], i + 1)
    )


def _not_done_to(caption: Caption, entry: Entry, i: int) -> frozenset[str]:
    """Verbs that would be absurd, or also true, with the object that follows."""
    avoid = NONE if caption.has_being(animals=False) else _forms_of("verbs_of_hands")
    if entry.pool == "action.t_ride" and not LIST["route"].isdisjoint(caption.words[i + 3 : i + 8]):
        avoid = union(avoid, _forms_of("verbs_in_place"))
    near = caption.words[i + 1 : i + 5]
    if entry.pool in ("action.t_chase", "action.t_lick") and not words_of("animal").isdisjoint(near):
        avoid = union(avoid, _forms_of("verbs_of_leading"))
    return avoid


def _not_done_at(caption: Caption, entry: Entry, i: int) -> frozenset[str]:
    """Verbs without an object that would be absurd, or also true, in the place that the caption describes."""
    avoid = NONE if caption.has_being(animals=False) else _forms_of("human_verbs")
    if not caption.has("water"):
        avoid = union(avoid, _forms_of("verbs_in_water"))
    if entry.pool == "action.sport" and caption.has("wintry"):
        avoid = union(avoid, _forms_of("verbs_without_snow"))
    if caption.word(i + 1) == "over":
        avoid = union(avoid, _forms_of("verbs_not_over"))
    if not LIST["seats"].isdisjoint(caption.words[i + 1 : i + 6]):
        avoid = union(avoid, _forms_of("verbs_of_motion"))
    return avoid


_POSTURES = frozenset(("sit", "stand", "lie", "lay", "kneel"))


@lru_cache(maxsize=16)
def _forms_of(name: str) -> frozenset[str]:
    """Every form of the verbs of a list of `[lists]`."""
    return frozenset(inflect(verb, form) for verb in LIST[name] for form in VERB_FORMS)
