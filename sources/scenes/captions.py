"""Captions of a scene, made from templates."""

import itertools
import random
import string
from typing import NamedTuple

from common.regions import Region
from sources.scenes.scene import CLEAR, OFF_MIDDLE, PICTURE, common_ways, fits

PREPOSITION = {"beach": "on", "mountain": "on", "stage": "on"}  # all others: "in"
PLURALS = {"butterfly": "butterflies", "fish": "fish"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium",),
    "large": ("large", "big", "huge"),
}
# The words for directions: in the picture, and from one object to another.
_SIDES = {
    ("above",): ("in the upper half", "in the upper part"),
    ("below",): ("in the lower half", "in the lower part"),
    ("left",): ("on the left side", "in the left half"),
    ("right",): ("on the right side", "in the right half"),
    ("above", "left"): ("in the upper left part", "in the upper left"),
    ("above", "right"): ("in the upper right part", "in the upper right"),
    ("below", "left"): ("in the lower left part", "in the lower left"),
    ("below", "right"): ("in the lower right part", "in the lower right"),
}
_RELATIONS = {
    ("above",): ("above",),
    ("below",): ("below", "under"),
    ("left",): ("to the left of", "on the left of"),
    ("right",): ("to the right of", "on the right of"),
    ("above", "left"): ("to the upper left of",),
    ("above", "right"): ("to the upper right of",),
    ("below", "left"): ("to the lower left of",),
    ("below", "right"): ("to the lower right of",),
}

# Fields: {a}, {b}, {c} are noun phrases and {be} is "is" or "are" for {a}; {rel} is the relation of {a} to {b}, {rel2}
# of {a} to {c}; {side} is where {a} is; {adj} are adjectives of {a}; {all} is a list of noun phrases, {bes} its verb;
# {where} is "on a beach", {place} is "beach".
_TEMPLATES = {
    "inventory": (
        "there {be} {all} {where}",
        "{all} {where}",
        "the picture shows {all} {where}",
        "{where}, there {be} {all}",
        "{all} {bes} {where}",
        "{all} can be seen {where}",
        "you can see {all} {where}",
        "a {place} with {all}",
        "this {place} has {all}",
    ),
    "relation": (
        "{a} {be} {rel} {b}",
        "{a} {be} {rel} {b} {where}",
        "there {be} {a} {rel} {b}",
        "{where}, {a} {be} {rel} {b}",
        "{rel} {b}, there {be} {a}",
        "{rel} {b} {be} {a}",
        "the picture shows {a} {rel} {b}",
        "you can see {a} {rel} {b} {where}",
        "{a} {rel} {b} {be} {adj}",
        "{a} {be} {rel} {b} and {rel2} {c}",
    ),
    "placement": (
        "{a} {be} {side} of the picture",
        "{side} of the picture, there {be} {a}",
        "{side} of the picture {be} {a}",
        "{a} {side} of the picture {be} {adj}",
        "{where}, {a} can be seen {side} of the picture",
        "you can see {a} {side} of the picture",
    ),
    "attribute": (
        "{a} {where} {be} {adj}",
        "{where}, {a} {be} {adj}",
        "{a} {be} {adj} and {be} {side} of the picture",
        "{a} {be} {adj} and {be} {rel} {b}",
    ),
}
_JOINABLE = [
    text for role in _TEMPLATES.values() for text in role if text.startswith("{a} {be}") and "{where}" not in text
]


class Phrase(NamedTuple):
    """Some words of a caption, and the objects that they are about."""

    words: str
    objects: tuple[dict, ...] = ()


BACKGROUND = ({"box": (0.0, 0.0, 1.0, 1.0)},)


def write_captions(scene: dict, seed: int) -> list[str]:
    """The texts of `describe`."""
    return [text for text, _ in describe(scene, seed)]


def describe(scene: dict, seed: int) -> list[tuple[str, tuple[Region, ...]]]:
    """Five different captions of 6 to 18 words: one of each role in `_TEMPLATES`, and one more of a random role.

    A description ("two red balls") is always about *all* objects that it fits. A direction is used only if it is the
    same for all of them (and for all objects at the other end of a relation), by a clear margin; a diagonal direction
    is named as diagonal. So a caption is true whether "a" is read as "some" or as "the only", and a swapped direction
    makes it false. If the scene does not allow a role (no relation with a single object), "inventory" replaces it.

    All values of a category are used in the same phrases ("is medium" too, though it sounds odd): a phrase that only a
    swap can produce would carry information about which texts are false.

    Each caption has a region for every phrase that names objects, and for what is said of them: adjectives after "is",
    sides and directions have the boxes of their subject. The place has the whole picture.
    """
    rng = random.Random(f"captions {seed}")
    roles = [*_TEMPLATES, rng.choice(tuple(_TEMPLATES))]
    rng.shuffle(roles)
    captions: list[tuple[str, tuple[Region, ...]]] = []
    used: set[str] = set()
    for role in roles:
        for attempt in itertools.count():
            template = rng.choice(_TEMPLATES[role if attempt < 60 else "inventory"])
            clause = None if template in used else _sentence(template, scene, rng)
            text = "".join(phrase.words for phrase in clause) if clause else ""
            if clause and 6 <= len(text.split()) <= 18:
                used.add(template)
                captions.append((text[0].upper() + text[1:] + ".", _regions(clause)))
                break
    return captions


def _regions(phrases: list[Phrase]) -> tuple[Region, ...]:
    """The region of each phrase that is about objects."""
    ends = itertools.accumulate(len(phrase.words) for phrase in phrases)
    return tuple(
        Region(end - len(phrase.words), end, tuple(tuple(item["box"]) for item in phrase.objects))
        for phrase, end in zip(phrases, ends)
        if phrase.objects
    )


def _sentence(template: str, scene: dict, rng: random.Random) -> list[Phrase] | None:
    """The template filled with facts of the scene, sometimes with a second clause about another object."""
    cells = _cells(scene, rng)
    clause = _fill(template, scene, cells, rng)
    if clause and len(cells) > 1 and template in _JOINABLE and rng.random() < 0.5:
        second = _fill(rng.choice(_JOINABLE), scene, cells[1:] + cells[:1], rng)
        return second and [*clause, Phrase(", while "), *second]
    return clause


def _cells(scene: dict, rng: random.Random) -> list[tuple[dict, list]]:
    """Group the objects by some of their facts: [(facts, the objects that have them)], in random order."""
    looks = {"size": 0.4, "pattern": 0.4, "colour": 0.7}  # how often each is mentioned
    keys = ["kind", *(look for look in looks if rng.random() < looks[look])]
    groups: dict[tuple, list] = {}
    for item in scene["objects"]:
        groups.setdefault(tuple(item[key] for key in keys), []).append(item)
    cells = []
    for members in groups.values():
        shared = [look for look in looks if len({item[look] for item in members}) == 1]
        mentioned = {*keys, *(look for look in shared if rng.random() < looks[look])}
        cells.append(({fact: members[0][fact] for fact in (*looks, "kind") if fact in mentioned}, members))
    rng.shuffle(cells)
    return cells


def _fill(template: str, scene: dict, cells: list[tuple[dict, list]], rng: random.Random) -> list[Phrase] | None:
    """Fill one template, {a} from the first cell; None if no true caption can be made from these cells."""
    place = scene["background"]
    where = f"{PREPOSITION.get(place, 'in')} a {place}"
    slots = {"place": [Phrase(place, BACKGROUND)], "where": [Phrase(where, BACKGROUND)]}
    if "{all}" in template:
        listed = cells[: max(rng.randint(1, len(cells)) for _ in "ab")]
        slots["all"] = []
        for number, (facts, members) in enumerate(listed):
            joint = "" if number == 0 else " and " if number == len(listed) - 1 else ", "
            slots["all"] += [Phrase(joint), _noun_phrase(facts, members, rng)]
        slots["be"] = [Phrase("is" if len(listed[0][1]) == 1 else "are")]
        slots["bes"] = slots["be"] if len(listed) == 1 else [Phrase("are")]
        return _join(template, slots)
    facts, members = cells[0]
    slots["be"] = [Phrase("is" if len(members) == 1 else "are")]
    if "{adj}" in template:
        looks = [fact for fact in facts if fact in ("pattern", "colour")]
        rng.shuffle(looks)
        adjectives = looks[: rng.randint(1, 2)]
        facts = {fact: value for fact, value in facts.items() if fact not in adjectives}
        # "The cup is blue" needs a picture without another cup.
        if not adjectives or any(fits(facts.items(), item) for item in scene["objects"] if item not in members):
            return None
        slots["adj"] = [Phrase(" and ".join(cells[0][0][fact] for fact in adjectives), tuple(members))]
    slots["a"] = [_noun_phrase(facts, members, rng, definite="there {be}" not in template)]
    if "{side}" in template:
        ways = common_ways(members, [PICTURE], OFF_MIDDLE)
        if not ways:
            return None
        slots["side"] = [Phrase(rng.choice(_SIDES[ways]), tuple(members))]
    for slot, relation, index in (("b", "rel", 1), ("c", "rel2", 2)):
        if "{" + slot + "}" in template:
            facts, others = cells[index] if index < len(cells) else ({}, [])
            ways = common_ways(members, others, CLEAR)
            if not ways:
                return None
            slots[relation] = [Phrase(rng.choice(_RELATIONS[ways]), tuple(members))]
            slots[slot] = [_noun_phrase(facts, others, rng, definite=True)]
    return _join(template, slots)


def _join(template: str, slots: dict[str, list[Phrase]]) -> list[Phrase]:
    """The template's own words, and the phrases of its fields."""
    phrases = []
    for words, field, _, _ in string.Formatter().parse(template):
        phrases += [Phrase(words), *(slots[field] if field else ())]
    return phrases


def _noun_phrase(facts: dict, members: list, rng: random.Random, definite: bool = False) -> Phrase:
    """For example "a small red ball", "exactly two striped cups", "the house"."""
    # The order is size, pattern, colour: spaCy tags "a striped red ball" better than "a red striped ball".
    adjectives = [value for fact, value in facts.items() if fact not in ("size", "kind")]
    if "size" in facts:
        adjectives.insert(0, rng.choice(SIZE_WORDS[facts["size"]]))
    if len(members) > 1:
        number = rng.choice(("", "", "", "exactly ")) + NUMBERS[len(members)]
        return Phrase(" ".join([number, *adjectives, plural(facts["kind"])]), tuple(members))
    words = " ".join([*adjectives, facts["kind"]])
    article = rng.choice(("a", "a", "a", "one", *("the", "the") * definite))
    return Phrase(f"{'an' if article == 'a' and words[0] in 'aeiou' else article} {words}", tuple(members))


def plural(kind: str) -> str:
    return PLURALS.get(kind, kind + "s")
