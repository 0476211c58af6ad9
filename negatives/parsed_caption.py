"""Parsed captions with their slots, and the context of a slot: its neighbours in the sentence and in the parse tree.

`negatives.balance` counts words in these contexts; `negatives.mined` compares captions by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from negatives.slots import find_slots
from negatives.text import Parse, Slot
from negatives.vocabulary import entries

# Penn Treebank tags of content words.
CONTENT_TAGS = frozenset(("NN", "NNS", "NNP", "VB", "VBG", "VBZ", "VBP", "VBD", "VBN", "JJ", "CD", "RP"))
# Categories of words that modify a noun: their head in the parse is that noun.
MODIFIER_CATEGORIES = frozenset(("colour", "size", "shape", "material", "pattern", "number", "state", "weather"))
START, END = "<s>", "</s>"  # in place of the word before the first and after the last word of a caption


class ParsedCaption(NamedTuple):
    """A caption with its parse and slots, and with the vocabulary groups that its photograph's captions name."""

    parse: Parse
    words: tuple[str, ...]  # lower-case tokens; "an" is written "a", since the article is adapted to its word
    lemmas: tuple[str, ...]
    slots: tuple[Slot, ...]
    named: frozenset[tuple[str, int]]  # (pool, group) named in any caption of the photograph: never drawn


def read_captions(parses: Sequence[Parse]) -> list[ParsedCaption]:
    """All captions of one photograph, from their parses."""
    read = []
    for parse in parses:
        words = tuple(parse.text[start:end].lower() for start, end in zip(parse.start, parse.end))
        lemmas = tuple(lemma.lower() for lemma in parse.lemma)
        read.append((parse, tuple("a" if word == "an" else word for word in words), lemmas, find_slots(parse)))
    named = frozenset().union(*(named_groups(words, lemmas) for _, words, lemmas, _ in read))
    return [ParsedCaption(*caption, named) for caption in read]


def named_groups(words: Sequence[str], lemmas: Sequence[str]) -> set[tuple[str, int]]:
    """(pool, group) of every vocabulary entry that occurs in a text, in any sense of the word."""
    index, found = entries(), set()
    for i, (word, lemma) in enumerate(zip(words, lemmas)):
        for entry in index.get(word, ()):
            if entry.pool and (len(entry.words) == 1 or tuple(words[i : i + len(entry.words)]) == entry.words):
                found.add((entry.pool, entry.group))
        if lemma != word:
            found.update((e.pool, e.group) for e in index.get(lemma, ()) if e.pool and len(e.words) == 1)
    return found


def neighbours(caption: ParsedCaption, slot: Slot) -> tuple[str, str]:
    """The words before and after a slot."""
    words = caption.words
    before = words[slot.first - 1] if slot.first else START
    return before, words[slot.last + 1] if slot.last + 1 < len(words) else END


def governor_and_dependent(caption: ParsedCaption, slot: Slot) -> tuple[str, str]:
    """Lemmas that the word of a slot is connected with in the parse: (governor, dependent); "" where there is none.

    For a verb: its subject, and its first object, preposition or particle; ("dog", "through") in "a dog runs through
    snow". For any other word: its head and nothing; "dog" for "brown" in "brown dog", "on: sit" for "bench" in "sits
    on a bench".
    """
    parse, lemmas, i = caption.parse, caption.lemmas, slot.last
    if slot.category == "action":
        return _subject_and_object(caption, i)
    head, dep = parse.head[i], parse.dep[i]
    if head == i:
        return "", ""
    if slot.category in MODIFIER_CATEGORIES or dep == "amod" or slot.category == "relation":
        return lemmas[head], ""
    if dep == "pobj":
        governor = parse.head[head]
        return f"{lemmas[head]}: {lemmas[governor] if governor != head else ''}", ""
    return f"{dep}: {lemmas[head]}", ""


def _subject_and_object(caption: ParsedCaption, verb: int) -> tuple[str, str]:
    parse, lemmas = caption.parse, caption.lemmas
    subject = object_ = ""
    for j, head in enumerate(parse.head):
        if head != verb or j == verb:
            continue
        if parse.dep[j] in ("nsubj", "nsubjpass"):
            subject = lemmas[j]
        elif not object_ and parse.dep[j] in ("dobj", "prep", "advmod", "prt"):
            object_ = lemmas[j]
    head = parse.head[verb]
    if not subject and head != verb and parse.dep[verb] in ("acl", "relcl", "advcl", "pcomp"):
        subject = lemmas[head]
    return subject, object_


def words_of_slot(caption: ParsedCaption, slot: Slot) -> str:
    """The lower-case word or words of a slot, as the caption spells them: "dogs", "teddy bear"."""
    return " ".join(caption.words[slot.first : slot.last + 1])


def content_lemmas(caption: ParsedCaption, but: Slot | None = None) -> set[str]:
    """Lemmas of the content words of a caption, without the words of the slot `but`."""
    inside = range(but.first, but.last + 1) if but is not None else ()
    return {
        lemma
        for i, (lemma, tag) in enumerate(zip(caption.lemmas, caption.parse.tag))
        if tag in CONTENT_TAGS and i not in inside
    }
